"""What several models would list. In: fitted families, blends of them, histories. Out: the best lists.

Each family scores a customer once, whatever the number of blends that its scores go into.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.training.blending import standardised
from recsvc.training.families.base import FloatArray
from recsvc.training.ranking import best_rows

Lists = Mapping[str, NDArray[np.int32]]  # By name: (n_lists, length), item rows, best first.
_Pairs = tuple[NDArray[np.int64], NDArray[np.int32]]  # Places in a table, by row and by column.

# Scores are float32. Fewer customers in a batch make a product of matrices dearer, more take more memory.
_SCORES_AT_ONCE = 4_000_000  # Of one family: 16 MB, whatever the number of items.
_SCORES_IN_ALL = 12_000_000  # Of all families of a batch: 48 MB.
_RANKED_AT_ONCE = 650_000  # As many as stay in a processor's cache from one step to the next.
_SCORES_IN_ALL_THREADS = 32_000_000  # 128 MB, whatever the number of processors.


class Scores(Protocol):
    """What can be listed from: a fitted family, or a model of several."""

    def score(self, histories: csr_matrix) -> FloatArray:
        """As `Fitted.score`."""
        ...


@dataclass(frozen=True, slots=True)
class Contest:
    """Who makes lists, and how long they are.

    `blends` has by name the weights of families that `fitted` names. A blend of one scores as it does alone.
    What customers had is listed for them only where it `may_repeat`.
    """

    fitted: Mapping[str, Scores]
    blends: Mapping[str, Mapping[str, float]]
    length: int
    may_repeat: bool = False

    def lists_of(self, strengths: csr_matrix, rows: NDArray[np.int64]) -> Iterator[tuple[int, Lists]]:
        """The best items of each customer of `rows`, batch by batch.

        Yields the place in `rows` of the first of the batch, and the lists of every model. What is short of
        items ends in -1.
        """
        step = max(1, self._n_scores() // strengths.shape[1])
        starts = range(0, len(rows), step)
        n_threads = min(os.cpu_count() or 1, _SCORES_IN_ALL_THREADS // (self._n_scores() * len(self.fitted)))
        with ThreadPoolExecutor(max(1, n_threads)) as threads:
            ranked = threads.map(lambda start: self._rank(strengths[rows[start : start + step]]), starts)
            yield from zip(starts, ranked, strict=True)

    def _n_scores(self) -> int:
        """Of one family in a batch: the same on any machine, for a product of matrices may hang on it."""
        return max(1, min(_SCORES_AT_ONCE, _SCORES_IN_ALL // len(self.fitted)))

    def _rank(self, histories: csr_matrix) -> Lists:
        n_customers, n_items = histories.shape
        scores = {name: one.score(histories) for name, one in self.fitted.items()}
        step = max(1, _RANKED_AT_ONCE // n_items)
        parts = [
            self._rank_few(histories[few], {name: table[few] for name, table in scores.items()})
            for few in (slice(first, first + step) for first in range(0, n_customers, step))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _rank_few(self, histories: csr_matrix, scores: Mapping[str, FloatArray]) -> Lists:
        """Changes `scores`."""
        masked = self._masked(histories)
        lists = {name: _best(table, masked, self.length) for name, table in scores.items()}
        of_blends = {name for weights in self.blends.values() if len(weights) > 1 for name in weights}
        standard = {name: standardised(scores[name]) for name in of_blends}
        for name, weights in self.blends.items():
            if len(weights) == 1:
                lists[name] = lists[next(iter(weights))]
            else:
                lists[name] = _best(_weighted_sum(standard, weights), masked, self.length)
        return lists

    def _masked(self, histories: csr_matrix) -> _Pairs:
        """The places of the table of scores that no list may name."""
        if self.may_repeat:
            return np.empty(0, np.int64), np.empty(0, np.int32)
        return np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr)), histories.indices


def _best(scores: FloatArray, masked: _Pairs, length: int) -> NDArray[np.int32]:
    """The best of what is not masked. Leaves the scores as they were."""
    of_masked = scores[masked]
    scores[masked] = -np.inf
    lists = best_rows(scores, length)
    scores[masked] = of_masked
    return lists


def _weighted_sum(standard: Mapping[str, FloatArray], weights: Mapping[str, float]) -> FloatArray:
    """What `blended` makes of scores once they are standardised, to the last bit: (n_lists, n_items)."""
    (first, first_weight), *others = weights.items()
    total: FloatArray = standard[first] * np.float32(first_weight)
    addend = np.empty_like(total)
    for family, weight in others:
        total += np.multiply(standard[family], np.float32(weight), out=addend)
    return total
