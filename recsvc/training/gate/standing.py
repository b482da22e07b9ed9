"""The champion as the gate asks it. In: a bundle and how it scores. Out: scores of the training part's items.

A bundle has rows of its own. Here its scores are laid into the columns of the training part, so that both
models are asked in the same words: what the champion does not know is never on a list of its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.bundle import Bundle, History
from recsvc.training.families.base import FloatArray


class HistoryScorer(Protocol):
    """How a bundle scores."""

    def score(self, history: History) -> FloatArray:
        """A score for every item of the bundle: (n_items,). The history is not empty. Not to be changed."""
        ...


class Champion(Protocol):
    """The bundle that serves, and its scorer: what serving loads is one."""

    @property
    def bundle(self) -> Bundle: ...

    @property
    def scorer(self) -> HistoryScorer: ...


class StandingScores:
    """A bundle's own scores over other items. It scores as it serves: from history alone, folded in."""

    def __init__(self, champion: Champion, item_ids: tuple[str, ...], strength_scale: float) -> None:
        """`item_ids` are those of the columns; `strength_scale` is what histories come multiplied by."""
        bundle = champion.bundle
        rows = (bundle.items.row_of(item_id) for item_id in item_ids)
        self._scorer = champion.scorer
        self._rows = np.array([-1 if row is None else row for row in rows], dtype=np.int64)
        self._rescale = np.float32(bundle.manifest.strength_scale / strength_scale)
        self.popularity = self._laid_out(bundle.popularity, np.float32(0))

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Which of the items the bundle knows: (n_items,)."""
        return self._rows >= 0

    def score(self, histories: csr_matrix) -> FloatArray:
        """As `Fitted.score`; -inf for what the bundle does not know. Without a history: by popularity."""
        scores = np.empty(histories.shape, dtype=np.float32)
        for place, (start, stop) in enumerate(pairwise(histories.indptr)):
            scores[place] = self._score_one(histories.indices[start:stop], histories.data[start:stop])
        return scores

    def _score_one(self, columns: NDArray[np.int32], strengths: FloatArray) -> FloatArray:
        rows = self._rows[columns]
        known = rows >= 0
        if not known.any():
            return np.where(self.is_known, self.popularity, np.float32(-np.inf))
        history = History(rows[known].astype(np.int32), strengths[known] * self._rescale)
        return self._laid_out(self._scorer.score(history), np.float32(-np.inf))

    def _laid_out(self, values: FloatArray, unknown: np.float32) -> FloatArray:
        return np.where(self.is_known, values[self._rows], unknown).astype(np.float32)
