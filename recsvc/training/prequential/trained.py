"""What a trained model says on occasions of a replay. In: a model of the time before. Out: scores, the best.

Each customer is folded in from what was known just before the occasion, and the scores are standardised over
all items of the model, as those of a family are in a blend. What came later than the model is placed by its
features, as it is in service. Without a history there is nothing to fold in: every score is 0, the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import NO_DEVIATION
from recsvc.live.scoring import SHORTLIST_LENGTH
from recsvc.training.blending import Model, standardised
from recsvc.training.cold_items import ColdScores
from recsvc.training.families.base import FloatArray
from recsvc.training.prequential.histories import Histories
from recsvc.training.ranking import best_rows

_SCORES_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Items that a model has no rows for, and what scores them by their features."""

    item_ids: tuple[str, ...]
    scores: ColdScores


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, and what it was fitted to: its items, the scale of its strengths, what was popular.

    `newcomers` None: nothing can be scored by its features.
    """

    model: Model
    item_ids: tuple[str, ...]
    strength_scale: float
    popularity: FloatArray
    newcomers: Newcomers | None

    @property
    def scored_ids(self) -> tuple[str, ...]:
        """The items of the model, then those that came later."""
        return self.item_ids + (self.newcomers.item_ids if self.newcomers else ())

    def score(self, histories: csr_matrix) -> tuple[FloatArray, FloatArray]:
        """Standardised: of the model's items, (n_histories, n_items), and of newcomers, (n_histories, n_new).

        Rows of strengths in the scale of the model.
        """
        scores = self.model.score(histories)
        # A blend is a sum of standardised parts, and so are the scores by features of one part alone.
        deviation = scores.std(axis=1, keepdims=True) if len(self.model.parts) > 1 else np.float32(1)
        if self.newcomers is None:
            return standardised(scores), np.zeros((len(scores), 0), dtype=np.float32)
        new = self.newcomers.scores.score(histories) / np.maximum(deviation, NO_DEVIATION)
        return standardised(scores), new.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the model says on an occasion.

    `scores` (n_scored,) are what a blend with live parts sees. `alone` (n_scored,) are what there is without
    them: the same, or for who has no history what is popular. `best` are the rows of the model with the
    highest of these, but for what was met.
    """

    scores: FloatArray
    alone: FloatArray
    best: NDArray[np.int32]


def opinions(trained: Trained, histories: Histories, is_listed: NDArray[np.bool_]) -> Iterator[Opinion]:
    """One for each occasion, in order. Only items that are listed, (n_items,), can be among the best."""
    n_occasions = histories.strengths.shape[0]
    step = max(1, _SCORES_AT_ONCE // max(len(trained.scored_ids), 1))
    popular = standardised(np.log1p(trained.popularity)[None])
    for start in range(0, n_occasions, step):
        own = (histories.strengths[start : start + step] * np.float32(trained.strength_scale)).tocsr()
        is_cold = np.diff(own.indptr) == 0
        known, new = trained.score(own)
        known[is_cold], new[is_cold] = 0, 0
        known_alone = np.where(is_cold[:, None], popular, known)
        open_to = known_alone.copy()
        open_to[:, ~is_listed] = -np.inf
        met = histories.met[start : start + step].tocoo()
        open_to[met.row, met.col] = -np.inf
        scores, alone = np.hstack([known, new]), np.hstack([known_alone, new])
        best = best_rows(open_to, SHORTLIST_LENGTH)
        yield from (Opinion(*one) for one in zip(scores, alone, best, strict=True))
