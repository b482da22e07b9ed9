"""How well items are placed that nobody took yet. In: a history, its items, a recipe. Out: NDCG among them.

The protocol is fixed, so that figures compare: a tenth of the items, drawn by the seed, is withheld with all
that happened to it; the recipe is fitted to the rest; whoever took withheld items and something else is
folded in from the rest alone; every withheld item is ranked for them, by its features only; NDCG@10, the mean
over customers. Of the withheld items nothing is seen before they are ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.domain.item_features import item_features
from recsvc.domain.items import Item
from recsvc.history.matrix import InteractionMatrix
from recsvc.training.blending import Model, Recipe
from recsvc.training.cold_start import best_ridge, incidence, solve, tabulate
from recsvc.training.families.base import FloatArray, TrainingData, training_data
from recsvc.training.metrics import ranking_metrics
from recsvc.training.ranking import best_rows
from recsvc.training.threads import one_blas_thread

WITHHELD_RATIO = 0.1
CUTOFF = 10
SEEDS = (1, 2, 3)
_SCORES_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class ColdItemsReport:
    """NDCG@10 among withheld items by seed, each a mean over `n_customers` of that seed."""

    seeds: tuple[int, ...]
    ndcg: tuple[float, ...]
    n_customers: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.ndcg))


def evaluate_cold_items(
    matrix: InteractionMatrix,
    items: Sequence[Item],
    recipe: Recipe,
    *,
    seeds: Sequence[int] = SEEDS,
    as_of: datetime | None = None,
) -> ColdItemsReport:
    """Judge a recipe on items that it never saw, by the protocol above.

    Args:
        items: one for each row of the matrix, in its order.
        as_of: the moment that ages count to; None leaves ages out.
    """
    features = [item_features(item, as_of=as_of) for item in items]
    with one_blas_thread():
        judged = [_judge(matrix, features, recipe, seed) for seed in seeds]
    ndcg, n_customers = zip(*judged, strict=True)
    return ColdItemsReport(tuple(seeds), ndcg, n_customers)


def _judge(
    matrix: InteractionMatrix, features: Sequence[tuple[str, ...]], recipe: Recipe, seed: int
) -> tuple[float, int]:
    """NDCG@10 under one seed, and over how many customers it is the mean."""
    n_items = len(matrix.item_ids)
    shuffled = np.random.default_rng(seed).permutation(n_items)
    n_withheld = max(1, round(n_items * WITHHELD_RATIO))
    withheld, kept = np.sort(shuffled[:n_withheld]), np.sort(shuffled[n_withheld:])
    left, relevant = _divided(matrix, kept, withheld)
    data = training_data(left)
    model = recipe.fit(data, seed=seed)
    placed = ColdScores(model, data, [features[row] for row in kept], [features[row] for row in withheld])
    customers = np.flatnonzero(np.diff(relevant.indptr))
    ndcg: list[NDArray[np.float64]] = []
    step = max(1, _SCORES_AT_ONCE // n_items)
    for start in range(0, len(customers), step):
        rows = customers[start : start + step]
        lists = best_rows(placed.score(data.strengths[rows]), CUTOFF)
        wanted = relevant[rows].toarray()
        hits = np.take_along_axis(wanted, np.maximum(lists, 0), axis=1) & (lists >= 0)
        ndcg.append(ranking_metrics(hits, wanted.sum(axis=1), (CUTOFF,))[f"ndcg@{CUTOFF}"])
    return float(np.concatenate(ndcg).mean()), len(customers)


def _divided(
    matrix: InteractionMatrix, kept: NDArray[np.int64], withheld: NDArray[np.int64]
) -> tuple[InteractionMatrix, csr_matrix]:
    """The matrix of the kept items; and by its customers, who took which withheld item."""
    left = matrix.strengths[:, kept].tocsr()
    customers = np.flatnonzero(np.diff(left.indptr))
    without = InteractionMatrix(
        customer_ids=tuple(matrix.customer_ids[row] for row in customers),
        item_ids=tuple(matrix.item_ids[row] for row in kept),
        strengths=left[customers],
        popularity=matrix.popularity[kept],
        refused=matrix.refused[customers][:, kept].tocsr(),
    )
    return without, (matrix.strengths[customers][:, withheld] > 0).tocsr()


class ColdScores:
    """A model's scores of items that it has no factors of.

    The ridge is linear in the factors, and so are a customer's scores: the ridge to these gives the scores
    that the factors of the ridge would give.
    """

    def __init__(
        self,
        model: Model,
        data: TrainingData,
        known: Sequence[tuple[str, ...]],
        new: Sequence[tuple[str, ...]],
    ) -> None:
        table = tabulate(known)
        self._has, self._n_new = table.has, len(new)
        self._parts = []
        has_new = incidence(new, table.names).T.toarray()
        for fitted, weight in model.parts:
            factors = fitted.item_factors()
            if factors is not None:
                ridge = best_ridge(table.has, factors, data.seeds[1])
                self._parts.append((fitted, weight, solve(table.has, has_new, ridge=ridge)))

    def score(self, histories: csr_matrix) -> FloatArray:
        """Scores of the new items: (n_histories, n_new). A part without factors says nothing of them."""
        total = np.zeros((histories.shape[0], self._n_new), dtype=np.float32)
        for fitted, weight, weights in self._parts:
            scores = fitted.score(histories)
            mean, deviation = scores.mean(axis=1, keepdims=True), scores.std(axis=1, keepdims=True)
            placed = (scores @ self._has) @ weights
            total += weight * (placed - mean) / np.where(deviation > 0, deviation, 1)
        return total
