"""What a trained model says on occasions of a replay. In: a model of the time before. Out: scores, the best.

Each customer is folded in from what was known just before the occasion, and the scores are standardised over
all items of the model, as those of a family are in a blend. Without a history there is nothing to fold in:
every score is 0, the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.live.scoring import SHORTLIST_LENGTH
from recsvc.training.blending import Model, standardised
from recsvc.training.families.base import FloatArray
from recsvc.training.prequential.histories import Histories
from recsvc.training.ranking import best_rows

_SCORES_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, and what it was fitted to: its items, the scale of its strengths, what was popular."""

    model: Model
    item_ids: tuple[str, ...]
    strength_scale: float
    popularity: FloatArray


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the model says on an occasion.

    `scores` (n_items,) are what a blend with live parts sees. `alone` (n_items,) are what there is without
    them: the same, or for who has no history what is popular. `best` are the rows with the highest of these,
    but for what was met.
    """

    scores: FloatArray
    alone: FloatArray
    best: NDArray[np.int32]


def opinions(trained: Trained, histories: Histories, is_listed: NDArray[np.bool_]) -> Iterator[Opinion]:
    """One for each occasion, in order. Only items that are listed, (n_items,), can be among the best."""
    n_occasions, n_items = histories.strengths.shape
    step = max(1, _SCORES_AT_ONCE // n_items)
    popular = standardised(np.log1p(trained.popularity)[None])[0]
    for start in range(0, n_occasions, step):
        own = histories.strengths[start : start + step] * np.float32(trained.strength_scale)
        has_history = np.diff(own.indptr) > 0
        scores = standardised(trained.model.score(own.tocsr()))
        scores[~has_history] = 0
        alone = np.where(has_history[:, None], scores, popular)
        open_to = alone.copy()
        open_to[:, ~is_listed] = -np.inf
        met = histories.met[start : start + step].tocoo()
        open_to[met.row, met.col] = -np.inf
        best = best_rows(open_to, SHORTLIST_LENGTH)
        yield from (Opinion(*one) for one in zip(scores, alone, best, strict=True))
