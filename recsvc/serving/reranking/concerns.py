"""What a list must beware of. In: candidates as numbers. Out: what each would cost at the next place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]  # (n_candidates,): a category by its number; -1 for none.

SMOOTHING = 0.01  # Steck's alpha: so much of the wanted mix is mixed into that of the list.
_NEXT_TO_NOTHING = 1e-300  # Keeps the logarithm finite where a share of 0 makes it count for nothing.


class Concern(Protocol):
    """A cost that depends on what was chosen before."""

    def cost(self) -> Floats:
        """What each candidate costs if it is next: (n_candidates,). Not to be changed."""
        ...

    def take(self, row: int) -> None:
        """The candidate of this row was chosen."""
        ...


class Repetition:
    """The likeness to the closest that was chosen (Carbonell and Goldstein 1998), 0 to 1.

    To that comes `of_mean` times the mean likeness to all that were chosen. A little of it tells those apart
    that are equally like the closest: else chance would, and a stronger wish could make a list more alike.
    """

    def __init__(
        self, n_candidates: int, likeness_to: Callable[[int], Floats], *, of_mean: float = 0.0
    ) -> None:
        self._likeness_to = likeness_to
        self._of_mean = of_mean
        self._closest = np.zeros(n_candidates)
        self._total = np.zeros(n_candidates)
        self._n_chosen = 0

    def cost(self) -> Floats:
        return self._closest + self._total * (self._of_mean / max(self._n_chosen, 1))

    def take(self, row: int) -> None:
        likeness = self._likeness_to(row)
        np.maximum(self._closest, likeness, out=self._closest)
        self._total += likeness
        self._n_chosen += 1


class Miscalibration:
    """How far the list's mix of categories would be from the wanted one (Steck 2018, equations 3 and 4).

    KL(p‖q~) in nats, q~ = (1 − α)·q + α·p, where q is the share of each category in the list with the
    candidate at its end. `shares` (n_categories,) is p and sums to 1; an item without a category is of none.
    The cost is the difference that the candidate makes to it: what it is anyhow is the same for all.
    """

    def __init__(self, categories: Codes, shares: Floats, smoothing: float = SMOOTHING) -> None:
        self._codes = categories
        # One more category, which nobody wants, takes the items without one: code -1 is the last place.
        self._shares = np.append(shares, 0.0)
        self._floor = np.maximum(smoothing * self._shares, _NEXT_TO_NOTHING)
        self._smoothing = smoothing
        self._counts = np.zeros(len(self._shares))
        self._n_chosen = 0

    def cost(self) -> Floats:
        share = (1 - self._smoothing) / (self._n_chosen + 1)
        without = share * self._counts + self._floor
        cost: Floats = (self._shares * np.log(without / (without + share)))[self._codes]
        return cost

    def take(self, row: int) -> None:
        self._counts[self._codes[row]] += 1
        self._n_chosen += 1


class Openings:
    """The relevance of the candidates that may be next: not chosen yet, of a category short of its most.

    Where these run out, the categories that had their most are open again: better than a short list.
    """

    def __init__(self, relevance: Floats, categories: Codes, most_of_a_category: int) -> None:
        self.relevance = relevance.copy()
        """(n_candidates,), of those that may not be next -inf. Not to be changed."""
        self._categories = categories
        self._most = most_of_a_category
        self._counts = [0] * (int(categories.max(initial=-1)) + 1)
        self._n_open = len(relevance)
        self._kept_back: dict[int, float] = {}

    def take(self, row: int) -> None:
        """The candidate of this row was chosen."""
        self.relevance[row] = -np.inf
        self._n_open -= 1
        category = int(self._categories[row])
        if category >= 0:
            self._counts[category] += 1
            if self._counts[category] == self._most:
                self._close(category)
        if not self._n_open:
            self._open_all()

    def _close(self, category: int) -> None:
        rows = np.flatnonzero((self._categories == category) & (self.relevance > -np.inf))
        self._kept_back |= zip(rows.tolist(), self.relevance[rows].tolist(), strict=True)
        self.relevance[rows] = -np.inf
        self._n_open -= len(rows)

    def _open_all(self) -> None:
        for row, relevance in self._kept_back.items():
            self.relevance[row] = relevance
        self._n_open = len(self._kept_back)
        self._kept_back = {}
