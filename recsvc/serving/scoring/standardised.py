"""What a model thinks, in deviations from what it thinks of the average item. In: a history. Out: scores.

A sum of trained and live parts needs one measure for both: the model's score less its mean over all items,
over its deviation, as training standardises it where a replay weighs the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import History
from recsvc.serving.scoring.parts import FloatArray, OpenRows, RowArray, Spread
from recsvc.serving.scoring.scorers import Scorer
from recsvc.serving.scoring.shortlist import Shortlist

Floats = NDArray[np.float64]

_NO_ROWS = np.zeros(0, dtype=np.int32)


class TrainedOpinion(Protocol):
    """What the model says of items to one customer."""

    def of(self, item_rows: RowArray) -> Floats:
        """Of some items: (n_item_rows,)."""
        ...

    def common_of(self, item_rows: RowArray) -> Floats:
        """What of it every history gets: (n_item_rows,)."""
        ...

    def of_new(self, new: Mapping[str, FloatArray], n_new: int) -> Floats:
        """Of items that have no rows, by their factors: (n_new,)."""
        ...

    def best(self, open_rows: OpenRows, n: int) -> RowArray:
        """The best `n` of these rows, in ascending order."""
        ...


class NoOpinion:
    """What it says without a history: that every item is an average one, and the best are the popular."""

    def __init__(self, popularity: FloatArray) -> None:
        self._popularity = popularity

    def of(self, item_rows: RowArray) -> Floats:
        return np.zeros(len(item_rows))

    def common_of(self, item_rows: RowArray) -> Floats:
        return np.zeros(len(item_rows))

    def of_new(self, new: Mapping[str, FloatArray], n_new: int) -> Floats:
        return np.zeros(n_new)

    def best(self, open_rows: OpenRows, n: int) -> RowArray:
        return _best(open_rows.all, self._popularity[open_rows.all], n)


class _Opinion(ABC):
    """What a model thinks after one history that is not empty, however it finds its best."""

    def __init__(self, scorer: Scorer, history: History) -> None:
        self._scorer, self._history = scorer, history

    @abstractmethod
    def of(self, item_rows: RowArray) -> Floats:
        """Of some items: (n_item_rows,)."""

    def common_of(self, item_rows: RowArray) -> Floats:
        common: Floats = self._scorer.common_of(item_rows).astype(np.float64) / self._spread.deviation
        return common

    def of_new(self, new: Mapping[str, FloatArray], n_new: int) -> Floats:
        return self._above_mean(self._scorer.score_with_new(self._history, _NO_ROWS, new)[1])

    @abstractmethod
    def best(self, open_rows: OpenRows, n: int) -> RowArray:
        """The best `n` of these rows, in ascending order."""

    @property
    @abstractmethod
    def _spread(self) -> Spread:
        """Of the model's scores of all items."""

    def _above_mean(self, scores: FloatArray) -> Floats:
        spread = self._spread
        above: Floats = (scores.astype(np.float64) - spread.mean) / spread.deviation
        return above


class ScoredWhole(_Opinion):
    """All items are scored at once: they are few."""

    def of(self, item_rows: RowArray) -> Floats:
        return self._above_mean(self._all[item_rows])

    def best(self, open_rows: OpenRows, n: int) -> RowArray:
        return _best(open_rows.all, self._all[open_rows.all], n)

    @cached_property
    def _all(self) -> FloatArray:
        return self._scorer.score(self._history)

    @cached_property
    def _spread(self) -> Spread:
        return Spread.of_scores(self._all)


class ScoredInPart(_Opinion):
    """Only what is asked for is scored: there are many items, and a shortlist finds the best."""

    def __init__(self, scorer: Scorer, history: History, shortlist: Shortlist) -> None:
        super().__init__(scorer, history)
        self._shortlist = shortlist

    def of(self, item_rows: RowArray) -> Floats:
        return self._above_mean(self._scorer.score_of(self._history, item_rows))

    def best(self, open_rows: OpenRows, n: int) -> RowArray:
        few = self._shortlist.among(open_rows, self._history, n)
        if len(few) < n:
            few = open_rows.all
        return _best(few, self._scorer.score_of(self._history, few), n)

    @cached_property
    def _spread(self) -> Spread:
        return self._scorer.spread(self._history)


def opinion_after(history: History, scorer: Scorer, shortlist: Shortlist | None) -> TrainedOpinion:
    """What a model thinks after a history that is not empty, at the least cost."""
    if shortlist is None:
        return ScoredWhole(scorer, history)
    return ScoredInPart(scorer, history, shortlist)


def _best(item_rows: RowArray, scores: FloatArray, n: int) -> RowArray:
    if len(scores) <= n:
        return item_rows
    nth = np.partition(scores, len(scores) - n)[len(scores) - n]  # A third of the cost of argpartition.
    above = np.flatnonzero(scores > nth)
    tied = np.flatnonzero(scores == nth)[: n - len(above)]
    best: RowArray = item_rows[np.sort(np.concatenate([above, tied]))]
    return best
