"""What every part of a model can do. In: a history. Out: what the part thinks of all items, or of some."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import History
from recsvc.bundles.manifest import LEAST_DEVIATION, NO_DEVIATION

FloatArray = NDArray[np.float32]
NewFactors = Mapping[str, FloatArray]
"""By family, the factors of items that the model has no rows for: (n_new, n_factors) each."""
RowArray = NDArray[np.int32]
PlaceArray = NDArray[np.intp]  # Places in a history.


@dataclass(frozen=True)
class OpenRows:
    """Rows of what may be shown: those of a kind, ascending, but for the used ones, of `n_items` in all."""

    of_kind: RowArray
    used: RowArray
    n_items: int

    @cached_property
    def all(self) -> RowArray:
        """Ascending: (n_open,)."""
        if not self.used.size:
            return self.of_kind
        is_open = np.ones(self.n_items, dtype=np.bool_)
        is_open[self.used] = False
        return self.of_kind[is_open[self.of_kind]]

    @cached_property
    def is_of_kind(self) -> NDArray[np.bool_] | None:
        """By row, whether used or not: (n_items,); None where every row is."""
        if len(self.of_kind) == self.n_items:
            return None
        is_of_kind = np.zeros(self.n_items, dtype=np.bool_)
        is_of_kind[self.of_kind] = True
        return is_of_kind


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and deviation of a part's scores over all items, as a blend standardises them.

    A hundredth of the mean is part of the deviation, in squares, so that it is never 0.
    """

    mean: float
    deviation: float

    @property
    def variance(self) -> float:
        """Of the scores alone."""
        return max(self.deviation**2 - (LEAST_DEVIATION * self.mean) ** 2 - NO_DEVIATION**2, 0.0)

    @classmethod
    def of_moments(cls, mean: float, variance: float) -> Spread:
        return cls(mean, math.sqrt(max(variance, 0.0) + (LEAST_DEVIATION * mean) ** 2 + NO_DEVIATION**2))

    @classmethod
    def of_scores(cls, scores: FloatArray) -> Spread:
        mean = float(scores.mean(dtype=np.float64))
        return cls.of_moments(mean, float(np.square(scores - np.float32(mean)).mean(dtype=np.float64)))


class Scores(Protocol):
    """What one part thinks after one history."""

    def scores(self) -> FloatArray:
        """A score for every item: (n_items,). Not to be changed."""
        ...

    def scores_of(self, item_rows: RowArray) -> FloatArray:
        """The same of some items: (n_item_rows,). What it costs hangs on how many they are."""
        ...

    def spread(self) -> Spread:
        """Over the scores of all items, whether or not these were ever made."""
        ...


class FoldedIn(Scores, Protocol):
    """The same, with what each item of the history has to do with it."""

    def contributions(self, item_rows: RowArray) -> FloatArray:
        """What each history item adds to each score, which is their sum: (n_item_rows, n_history).

        No row stands twice in `item_rows`.
        """
        ...

    def mean_contributions(self) -> FloatArray:
        """What each history item adds to the mean of all scores: (n_history,)."""
        ...

    def without(self, places: PlaceArray) -> Scores:
        """What the part thinks after a history that lacks the items at these places of it.

        The same as folding in what is left, for less.
        """
        ...


class Part(Protocol):
    """One family's share of a model."""

    @property
    def is_personal(self) -> bool:
        """Whether two customers may get different scores."""
        ...

    def fold_in(self, history: History) -> FoldedIn:
        """Take in a history that is not empty."""
        ...

    def similar(self, item_row: int) -> FloatArray:
        """How like the item every other one is, at most 1: (n_items,), at most 0 where nothing is known."""
        ...
