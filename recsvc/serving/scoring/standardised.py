"""What a model thinks, in deviations from what it thinks of the average item. In: a history. Out: scores.

A sum of trained and live parts needs one measure for both: the model's score less its mean over all items,
over its deviation, as training standardises it where a replay weighs the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import History
from recsvc.serving.scoring.parts import FloatArray, RowArray, Spread
from recsvc.serving.scoring.scorers import Scorer
from recsvc.serving.scoring.shortlist import Shortlist

Floats = NDArray[np.float64]

_NO_ROWS = np.zeros(0, dtype=np.int32)


class TrainedScores:
    """A model's scores after one history that is not empty. `shortlist` proposes where there are many."""

    def __init__(self, scorer: Scorer, history: History, shortlist: Shortlist | None) -> None:
        self._scorer, self._history, self._shortlist = scorer, history, shortlist

    def of(self, item_rows: RowArray) -> Floats:
        """Of some items: (n_item_rows,)."""
        return self._above_mean(self._all[item_rows])

    def of_new(self, new: Mapping[str, FloatArray]) -> Floats:
        """Of items that have no rows, by their factors: (n_new,). Raises ValueError as the scorer does."""
        return self._above_mean(self._scorer.score_with_new(self._history, _NO_ROWS, new)[1])

    def best(self, item_rows: RowArray, n: int) -> RowArray:
        """Of these rows the `n` with the highest scores, in ascending order."""
        scores = self._all[item_rows]
        if len(scores) <= n:
            return item_rows
        return np.sort(item_rows[np.argpartition(-scores, n)[:n]])

    @cached_property
    def _all(self) -> FloatArray:
        return self._scorer.score(self._history)

    @cached_property
    def _spread(self) -> Spread:
        return Spread.of_scores(self._all)

    def _above_mean(self, scores: FloatArray) -> Floats:
        spread = self._spread
        above: Floats = (scores.astype(np.float64) - spread.mean) / spread.deviation
        return above
