"""Several comparisons at once. In: p-values. Out: what each of them may be judged by, by itself."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values in the order given: the chance of any false finding stays under alpha (Holm 1979)."""
    n, highest = len(p_values), 0.0
    adjusted = [0.0] * n
    for rank, place in enumerate(sorted(range(n), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (n - rank) * p_values[place]))
        adjusted[place] = highest
    return tuple(adjusted)


def holm_levels(p_values: Sequence[float], alpha: float) -> tuple[float, ...]:
    """The level that Holm leaves to each: a p-value at or under it is a finding.

    An interval of 1 - level excludes 0 just where that is so. All that are no finding have the level at which
    the first of them failed.
    """
    levels = [alpha] * len(p_values)
    left, has_failed = len(p_values), False
    for place in sorted(range(len(p_values)), key=lambda place: p_values[place]):
        levels[place] = alpha / left
        has_failed = has_failed or p_values[place] > alpha / left
        left -= not has_failed
    return tuple(levels)
