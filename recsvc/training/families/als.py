"""Alternating least squares for implicit feedback, by `implicit`.

Source: Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets" (2008). A pair's
confidence is `confidence` times its strength, everything else has confidence 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.base import FloatArray, TrainingData


@dataclass(frozen=True, slots=True)
class Als:
    """The parameters. Few items are told apart by few factors: one for each `items_per_factor`."""

    max_factors: int = 128
    min_factors: int = 16
    items_per_factor: int = 40
    confidence: float = 40.0
    regularization: float = 2.0
    n_iterations: int = 15
    name: str = "als"
    is_personal: bool = True

    def fit(self, data: TrainingData, *, seed: int) -> FittedAls:
        n_customers, n_items = data.strengths.shape
        fitting = min(self.max_factors, max(self.min_factors, n_items // self.items_per_factor))
        n_factors = min(fitting, n_customers, n_items)
        with threadpool_limits(1, user_api="blas"):  # implicit runs its own threads; BLAS's get in their way.
            model = AlternatingLeastSquares(
                factors=n_factors,
                alpha=self.confidence,
                regularization=self.regularization,
                iterations=self.n_iterations,
                random_state=seed,
            )
            model.fit(data.strengths.tocsr(), show_progress=False)
        return FittedAls(self, model)


@dataclass(frozen=True, slots=True)
class FittedAls:
    """Item factors; a customer's are always folded in from history, in training as in serving."""

    settings: Als
    model: AlternatingLeastSquares

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return {
            "n_factors": int(self.model.factors),
            "confidence": self.settings.confidence,
            "regularization": self.settings.regularization,
            "n_iterations": self.settings.n_iterations,
        }

    def score(self, histories: csr_matrix) -> FloatArray:
        customers = self.model.recalculate_user(np.arange(histories.shape[0]), histories.tocsr())
        return np.asarray(customers @ self.model.item_factors.T, dtype=np.float32)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        factors = np.asarray(self.model.item_factors, dtype=np.float32)
        ridge = np.eye(factors.shape[1], dtype=np.float32) * np.float32(self.settings.regularization)
        return {"als_item_factors": factors, "als_gram": factors.T @ factors + ridge}
