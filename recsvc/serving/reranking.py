"""Order with a list's concerns. In: candidates by score, a wish for diversity. Out: the chosen, in order.

Greedy maximal marginal relevance (Carbonell and Goldstein 1998): at each place the item that is best
after its likeness to what was chosen before is taken off.
"""

from __future__ import annotations

from collections.abc import Sequence

from recsvc.domain.items import Item
from recsvc.serving.candidates import Candidate

OVER_FETCH = 5  # How many times the wanted length is looked at when the list is to be diverse.


def n_to_consider(limit: int, diversity: float) -> int:
    """How many candidates to gather for a slate of `limit` items."""
    return limit * OVER_FETCH if diversity > 0 else limit


def choose(candidates: Sequence[Candidate], limit: int, diversity: float) -> list[Candidate]:
    """The slate: by score at diversity 0, ever less alike towards 1."""
    if diversity == 0 or len(candidates) < 2:
        return list(candidates[:limit])
    relevance = _relevance(candidates)
    waiting = list(range(len(candidates)))
    closeness = [0.0] * len(candidates)  # To the closest item chosen so far.
    chosen: list[Candidate] = []
    while waiting and len(chosen) < limit:
        best = max(waiting, key=lambda n: ((1 - diversity) * relevance[n] - diversity * closeness[n], -n))
        waiting.remove(best)
        chosen.append(candidates[best])
        for n in waiting:
            closeness[n] = max(closeness[n], likeness(candidates[n].item, candidates[best].item))
    return chosen


def likeness(one: Item, other: Item) -> float:
    """How alike two items are, 0 to 1: the same category, and the share of tags in common (Jaccard)."""
    same_category = float(one.category is not None and one.category == other.category)
    union = set(one.tags) | set(other.tags)
    in_common = len(set(one.tags) & set(other.tags)) / len(union) if union else same_category
    return (same_category + in_common) / 2


def _relevance(candidates: Sequence[Candidate]) -> list[float]:
    """Scores spread over 0 to 1, each rung below the one before it."""
    scores = [candidate.score for candidate in candidates]
    top, bottom = max(scores), min(scores)
    if top == bottom or len({candidate.source for candidate in candidates}) > 1:
        n = len(candidates)
        return [1 - place / n for place in range(n)]
    return [(score - bottom) / (top - bottom) for score in scores]
