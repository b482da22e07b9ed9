"""Order with a list's concerns. In: candidates by score, a wish for diversity. Out: the chosen, in order.

Greedy maximal marginal relevance (Carbonell and Goldstein 1998): at each place the item that is best
after its likeness to what was chosen before is taken off.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
    relevance = np.array(_relevance(candidates))
    likeness_to = Likeness([candidate.item for candidate in candidates])
    closest = np.zeros(len(candidates))  # Each candidate's likeness to the closest item chosen so far.
    chosen: list[int] = []
    for _ in range(min(limit, len(candidates))):
        gain = (1 - diversity) * relevance - diversity * closest
        gain[chosen] = -np.inf
        best = int(gain.argmax())  # The first of equals.
        chosen.append(best)
        np.maximum(closest, likeness_to(best), out=closest)
    return [candidates[row] for row in chosen]


class Likeness:
    """How alike items are, 0 to 1: the same category, and the share of tags in common (Jaccard)."""

    def __init__(self, items: Sequence[Item]) -> None:
        categories: dict[str | None, int] = {None: -1}
        self._category = np.array([categories.setdefault(one.category, len(categories)) for one in items])
        tags = {tag: column for column, tag in enumerate(sorted({tag for one in items for tag in one.tags}))}
        self._tags = np.zeros((len(items), len(tags)), dtype=np.float32)
        for row, one in enumerate(items):
            self._tags[row, [tags[tag] for tag in one.tags]] = 1
        self._n_tags = self._tags.sum(axis=1)

    def __call__(self, row: int) -> NDArray[np.float64]:
        """How alike each item is to the one in this row: (n_items,)."""
        same_category = (self._category == self._category[row]) & (self._category >= 0)
        in_common = self._tags @ self._tags[row]
        union = self._n_tags + self._n_tags[row] - in_common
        jaccard = np.where(union > 0, in_common / np.maximum(union, 1), same_category)
        return np.asarray((same_category + jaccard) / 2, dtype=np.float64)


def _relevance(candidates: Sequence[Candidate]) -> list[float]:
    """Scores spread over 0 to 1, each rung below the one before it."""
    scores = [candidate.score for candidate in candidates]
    top, bottom = max(scores), min(scores)
    if top == bottom or len({candidate.source for candidate in candidates}) > 1:
        n = len(candidates)
        return [1 - place / n for place in range(n)]
    return [(score - bottom) / (top - bottom) for score in scores]
