"""What a list must beware of. In: candidates as numbers. Out: what each would cost at the next place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]  # (n_candidates,): a category by its number; -1 for none.

SMOOTHING = 0.01  # Steck's alpha: so much of the wanted mix is mixed into that of the list.


class Concern(Protocol):
    """A cost that depends on what was chosen before."""

    def cost(self) -> Floats:
        """What each candidate costs if it is next: (n_candidates,). Not to be changed."""
        ...

    def take(self, row: int) -> None:
        """The candidate of this row was chosen."""
        ...


class Repetition:
    """The likeness to the closest that was chosen (Carbonell and Goldstein 1998), 0 to 1."""

    def __init__(self, n_candidates: int, likeness_to: Callable[[int], Floats]) -> None:
        self._likeness_to = likeness_to
        self._closest = np.zeros(n_candidates)

    def cost(self) -> Floats:
        return self._closest

    def take(self, row: int) -> None:
        np.maximum(self._closest, self._likeness_to(row), out=self._closest)


class Miscalibration:
    """How far the list's mix of categories would be from the wanted one (Steck 2018, equations 3 and 4).

    KL(p‖q~) in nats, q~ = (1 − α)·q + α·p, where q is the share of each category in the list with the
    candidate at its end. `shares` (n_categories,) is p and sums to 1; an item without a category is of none.
    The cost is the difference that the candidate makes to it: what it is anyhow is the same for all.
    """

    def __init__(self, categories: Codes, shares: Floats, smoothing: float = SMOOTHING) -> None:
        self._codes = categories
        self._wanted = np.flatnonzero(shares)
        self._shares = shares[self._wanted]
        self._floor = smoothing * self._shares
        self._smoothing = smoothing
        self._counts = np.zeros(len(shares) + 1)  # The last is of the items without a category: code -1.
        self._by_category = np.zeros(len(shares) + 1)
        self._n_chosen = 0

    def cost(self) -> Floats:
        share = (1 - self._smoothing) / (self._n_chosen + 1)
        without = share * self._counts[self._wanted] + self._floor
        self._by_category[self._wanted] = self._shares * np.log(without / (without + share))
        return np.asarray(self._by_category[self._codes])

    def take(self, row: int) -> None:
        self._counts[self._codes[row]] += 1
        self._n_chosen += 1


class Openings:
    """Which candidates may be next: those not chosen yet, of a category that has not had its most.

    Where these run out, the categories that had their most are open again: better than a short list.
    """

    def __init__(self, categories: Codes, most_of_a_category: int) -> None:
        self._categories = categories
        self._most = most_of_a_category
        self._counts = np.zeros(int(categories.max(initial=-1)) + 1, dtype=np.int64)
        self._is_chosen = np.zeros(len(categories), dtype=np.bool_)
        self._is_full = np.zeros(len(categories), dtype=np.bool_)
        self._n_full = 0

    def closed(self) -> NDArray[np.bool_]:
        """Whether each candidate is barred from the next place: (n_candidates,)."""
        if not self._n_full:
            return self._is_chosen
        closed = self._is_chosen | self._is_full
        return self._is_chosen if closed.all() else closed

    def take(self, row: int) -> None:
        """The candidate of this row was chosen."""
        self._is_chosen[row] = True
        category = self._categories[row]
        if category < 0:
            return
        self._counts[category] += 1
        if self._counts[category] == self._most:
            self._is_full |= self._categories == category
            self._n_full += 1
