"""Factors for items that nobody took yet. In: fitted factors, the items. Out: factors by feature.

A ridge regression from what the items are to the factors that were learned of them (Gantner et al., "Learning
attribute-to-feature mappings for cold-start recommendations", 2010, by a closed form): a new item's factors
are then the sum of those of its features. Every item counts alike: weights by how many took it made it worse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from recsvc.bundles.features import feature_arrays
from recsvc.domain.item_features import item_features
from recsvc.domain.items import Item
from recsvc.training.blending import Model
from recsvc.training.chance import Seeds
from recsvc.training.families.base import FloatArray, TrainingData

MIN_ITEMS_OF_FEATURE = 3
MAX_FEATURES = 2_500
"""The rarest beyond so many are left out: the regression costs their cube, 20,000 million operations here."""

RIDGES = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
TOLERANCE = 1.01
"""How much worse than the best a weaker ridge may predict left-out items. It tells items apart better: a
strong one predicts well by predicting nearly the same for all."""

_N_FOLDS = 5
_MAX_COMPARED = 128  # Of the factors: spread over all, so many show which ridge is best.


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Which item has which feature. `names` are in bytewise order; `has` is (n_items, n_features), 0 or 1."""

    names: tuple[str, ...]
    has: csr_matrix


def cold_start_arrays(
    model: Model, data: TrainingData, items: Sequence[Item], *, as_of: datetime | None
) -> Mapping[str, NDArray[Any]]:
    """The arrays by which serving scores new items; none where no part of the model has factors.

    Args:
        items: one for each row of the model, in its order; more are not looked at.
        as_of: the end of the training window, to which ages count, in serving too.
    """
    n_items = data.strengths.shape[1]
    factors = {
        fitted.family.name: block for fitted, _ in model.parts if (block := fitted.item_factors()) is not None
    }
    if not factors:
        return {}
    table = tabulate([item_features(item, as_of=as_of) for item in items[:n_items]])
    by_family = {
        family: np.ascontiguousarray(
            regress(table.has, block, ridge=best_ridge(table.has, block, data.seeds[1])), dtype=np.float32
        )
        for family, block in factors.items()
    }
    return feature_arrays(table.names, by_family)


def tabulate(items: Sequence[Sequence[str]]) -> FeatureTable:
    """The features that enough items have, each item's given as names without repetition."""
    counts = Counter(name for features in items for name in features)
    least = min(MIN_ITEMS_OF_FEATURE, len(items))
    common = sorted((-count, name) for name, count in counts.items() if count >= least)
    names = tuple(sorted(name for _, name in common[:MAX_FEATURES]))
    return FeatureTable(names, incidence(items, names))


def incidence(items: Sequence[Sequence[str]], names: Sequence[str]) -> csr_matrix:
    """Which of the items has which of the named features: (n_items, n_names)."""
    columns = {name: column for column, name in enumerate(names)}
    known = [[columns[name] for name in features if name in columns] for features in items]
    starts = np.cumsum([0, *(len(one) for one in known)])
    flat = np.array([column for one in known for column in one], dtype=np.int32)
    return csr_matrix((np.ones(len(flat)), flat, starts), shape=(len(items), len(names)))


def regress(has: csr_matrix, targets: FloatArray, *, ridge: float) -> NDArray[np.float64]:
    """B of the least |has B - targets|² + ridge |B|²: (n_features, n_targets)."""
    return solve(has, has.T @ targets.astype(np.float64), ridge=ridge)


def solve(has: csr_matrix, right_side: NDArray[np.float64], *, ridge: float) -> NDArray[np.float64]:
    """X of (hasᵀ has + ridge I) X = right_side; both (n_features, n)."""
    system = (has.T @ has).toarray()
    system[np.diag_indices_from(system)] += ridge
    solved: NDArray[np.float64] = cho_solve(cho_factor(system, overwrite_a=True), right_side)
    return solved


def best_ridge(has: csr_matrix, factors: FloatArray, seeds: Seeds) -> float:
    """The weakest ridge that predicts the factors of a fifth of the items, left out, about as well as any."""
    is_left_out = np.argsort(np.argsort(seeds, kind="stable"), kind="stable") % _N_FOLDS == 0
    kept, left_out = has[~is_left_out], has[is_left_out]
    compared = factors[:, :: -(-factors.shape[1] // _MAX_COMPARED)]
    known, wanted = compared[~is_left_out], compared[is_left_out]
    errors = [
        float(np.square(left_out @ regress(kept, known, ridge=ridge) - wanted).sum()) for ridge in RIDGES
    ]
    return next(
        ridge for ridge, error in zip(RIDGES, errors, strict=True) if error <= TOLERANCE * min(errors)
    )
