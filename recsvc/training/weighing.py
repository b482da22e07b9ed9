"""How much each family weighs in a blend. In: fitted families, a hold-out. Out: a weight for each, or none.

The best of every family's list make a shortlist for each customer, with which thousands of blends can be
judged at the cost of one: only who stands on some list can come first in a sum of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from recsvc.training.blending import standardised
from recsvc.training.evaluation import HeldOut, hits_in
from recsvc.training.families.base import Fitted, FloatArray, TrainingData
from recsvc.training.ranking import best_rows
from recsvc.training.threads import one_blas_thread

_LENGTH = 20
_DEPTH = 60
_SCORES_AT_ONCE = 4_000_000
_STEPS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0)
_MAX_SWEEPS = 6
_DISCOUNT = (1 / np.log2(np.arange(2, _LENGTH + 2))).astype(np.float32)

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Shortlists:
    """`scores` (n_families, n_customers, n_items) standardised; what is `closed` may not be listed.

    `is_bound` are the families that must stay behind the others.
    """

    scores: FloatArray
    is_bound: NDArray[np.bool_]
    is_hit: NDArray[np.bool_]
    is_closed: NDArray[np.bool_]
    ideal: NDArray[np.float32]

    def allows(self, weights: Weights) -> bool:
        """Whether the families that are bound weigh at most half of what the others weigh."""
        return bool(weights[~self.is_bound].sum() >= 2 * weights[self.is_bound].sum())

    def ndcg(self, weights: Weights) -> NDArray[np.float32]:
        """Of each customer, under these weights: (n_customers,)."""
        used = np.flatnonzero(weights)
        total = np.tensordot(weights[used].astype(np.float32), self.scores[used], axes=1)
        total[self.is_closed] = -np.inf
        length = min(_LENGTH, total.shape[1])
        best = np.argpartition(-total, length - 1, axis=1)[:, :length]
        order = np.argsort(-np.take_along_axis(total, best, axis=1), axis=1, kind="stable")
        hits = np.take_along_axis(self.is_hit, np.take_along_axis(best, order, axis=1), axis=1)
        gain: NDArray[np.float32] = (hits @ _DISCOUNT[:length]) / self.ideal
        return gain

    def mean_ndcg(self, weights: Weights) -> float:
        """Over all customers."""
        return float(self.ndcg(weights).mean())


def best_weights(fitted: Sequence[Fitted], data: TrainingData, held_out: HeldOut) -> tuple[float, ...]:
    """Weights of at least 0 that sum to 1, those of the families that do not pay being 0.

    They are climbed one at a time from the best single family, where items may be had again from each of
    them; then a family goes that is missed by no more than the standard error of its own contribution. Of
    those that stay, the optimum is flat and chance picks its peak: the weights are the middle of all that
    cannot be told apart from the best.

    What is popular stays behind what is the customer's own, whatever the hold-out says: most people take what
    they are shown, and the popular list is at hand as a lower rung anyway. Not so where items may be had
    again: those count when they are taken up, which asks for more than being shown them.
    """
    shortlists = _shortlists(fitted, data, held_out)
    alone = [one for one in np.eye(len(fitted)) if shortlists.allows(one)] or list(np.eye(len(fitted)))
    # What repeats a history and what turns it down are of use only together: no best of the two leads there.
    starts = alone if held_out.may_repeat else [max(alone, key=shortlists.mean_ndcg)]
    summit = max((_climbed(start, shortlists) for start in starts), key=shortlists.mean_ndcg)
    weights = _middle(_that_pay(summit, shortlists), shortlists)
    return tuple(round(float(one), 4) for one in weights)


def _climbed(weights: Weights, shortlists: _Shortlists) -> Weights:
    best = float(shortlists.ndcg(weights).mean())
    for _ in range(_MAX_SWEEPS):
        before = best
        for place in range(len(weights)):
            for step in _STEPS:
                tried = weights.copy()
                tried[place] = step
                if (
                    shortlists.allows(tried)
                    and tried.any()
                    and (score := float(shortlists.ndcg(tried).mean())) > best
                ):
                    best, weights = score, tried
        if best == before:
            break
    return weights


def _that_pay(weights: Weights, shortlists: _Shortlists) -> NDArray[np.intp]:
    """The families whose loss would be felt, the lightest being asked first."""
    for place in np.argsort(weights, kind="stable"):
        if weights[place] and np.count_nonzero(weights) > 1:
            without = weights.copy()
            without[place] = 0
            if not shortlists.allows(without):
                continue
            if _is_near(shortlists.ndcg(without), shortlists.ndcg(weights)):
                weights = without
    return np.flatnonzero(weights)


def _middle(kept: NDArray[np.intp], shortlists: _Shortlists) -> Weights:
    """The mean of the weights, in steps of a tenth, that lose no more than its standard error to the best."""
    if len(kept) == 1:
        single: Weights = np.eye(len(shortlists.scores))[kept[0]]
        return single
    grid = []
    for shares in product(range(1, 11), repeat=len(kept)):
        weights = np.zeros(len(shortlists.scores))
        weights[kept] = np.array(shares) / 10
        if sum(shares) == 10 and shortlists.allows(weights):
            grid.append((weights, shortlists.ndcg(weights)))
    best = max((gained for _, gained in grid), key=lambda gained: float(gained.mean()))
    near = [weights for weights, gained in grid if _is_near(gained, best)]
    middle: Weights = np.mean(near, axis=0)
    return middle


def _is_near(gained: NDArray[np.float32], best: NDArray[np.float32]) -> bool:
    lost = best - gained
    return bool(lost.mean() <= lost.std() / np.sqrt(len(lost)))


def _shortlists(fitted: Sequence[Fitted], data: TrainingData, held_out: HeldOut) -> _Shortlists:
    with one_blas_thread():
        scores, hits, closed = zip(*_batches(fitted, data, held_out), strict=True)
    n_relevant = np.minimum(held_out.n_relevant, _LENGTH)
    return _Shortlists(
        np.concatenate(scores, axis=1),
        np.array([not (one.family.is_personal or held_out.may_repeat) for one in fitted]),
        np.concatenate(hits),
        np.concatenate(closed),
        np.concatenate([[1], np.cumsum(_DISCOUNT)])[n_relevant].astype(np.float32),
    )


def _batches(
    fitted: Sequence[Fitted], data: TrainingData, held_out: HeldOut
) -> Iterator[tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]]:
    step = max(1, _SCORES_AT_ONCE // data.strengths.shape[1])
    for start in range(0, held_out.n_customers, step):
        histories = data.strengths[held_out.customer_rows[start : start + step]]
        customers = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        scores = [standardised(one.score(histories)) for one in fitted]
        if not held_out.may_repeat:
            for one in scores:
                one[customers, histories.indices] = -np.inf
        rows = np.sort(np.concatenate([best_rows(one, _DEPTH) for one in scores], axis=1), axis=1)
        is_closed = (rows < 0) | (np.diff(rows, axis=1, prepend=-1) == 0)
        short = np.stack([np.take_along_axis(one, np.maximum(rows, 0), axis=1) for one in scores])
        short[:, is_closed] = 0
        yield short, hits_in(rows, held_out.relevant[start : start + step]), is_closed
