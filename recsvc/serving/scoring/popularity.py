"""Everybody gets what most people take. In: decayed counts. Out: their logarithms."""

from __future__ import annotations

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.serving.scoring.parts import FloatArray, PlaceArray, RowArray, Spread


class PopularityPart:
    """The same for every history: what there is to know of it is known once."""

    is_personal = False

    def __init__(self, bundle: Bundle) -> None:
        self._scores: FloatArray = np.log1p(bundle.popularity)  # (n_items,)
        self._spread = Spread.of_scores(self._scores)

    @property
    def scores(self) -> FloatArray:
        """(n_items,)."""
        return self._scores

    def fold_in(self, history: History) -> FoldedPopularity:
        return FoldedPopularity(self._scores, self._spread, len(history))

    def similar(self, item_row: int) -> FloatArray:
        return np.zeros_like(self._scores)


class FoldedPopularity:
    """A history of `n_history` items that changes nothing."""

    def __init__(self, scores: FloatArray, spread: Spread, n_history: int) -> None:
        self._scores, self._spread, self._n_history = scores, spread, n_history

    def scores(self) -> FloatArray:
        return self._scores

    def scores_of(self, item_rows: RowArray) -> FloatArray:
        return self._scores[item_rows]

    def spread(self) -> Spread:
        return self._spread

    def contributions(self, item_rows: RowArray) -> FloatArray:
        return np.zeros((len(item_rows), self._n_history), dtype=np.float32)

    def mean_contributions(self) -> FloatArray:
        return np.zeros(self._n_history, dtype=np.float32)

    def without(self, places: PlaceArray) -> FoldedPopularity:
        return FoldedPopularity(self._scores, self._spread, self._n_history - len(places))
