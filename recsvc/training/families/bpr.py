"""Bayesian personalised ranking, by `implicit`: what a customer took shall stand above what they did not.

Source: Rendle, Freudenthaler, Gantner and Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit
feedback" (2009). Only the item factors are kept; customers are folded in as those of ALS are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking

from recsvc.training.chance import Seeds, placed_by_seed, uniform_rows
from recsvc.training.families.base import Family, FloatArray, TrainingData
from recsvc.training.families.folding import FittedFactors, FoldIn
from recsvc.training.threads import one_blas_thread


@dataclass(frozen=True)
class Bpr(Family):
    """The settings. `confidence` and `regularization` are of the fold-in, the others of the descent."""

    n_factors: int = 32
    learning_rate: float = 0.01
    decay: float = 0.01
    n_iterations: int = 100
    confidence: float = 1.5
    regularization: float = 100.0
    name: str = "bpr"
    is_personal: bool = True

    def fit(self, data: TrainingData, *, seed: int) -> FittedFactors:
        customers, items = data.seeds
        placed = placed_by_seed(data.strengths, customers, items)
        with one_blas_thread():  # implicit asks for it.
            model = BayesianPersonalizedRanking(
                factors=self.n_factors,
                learning_rate=self.learning_rate,
                regularization=self.decay,
                iterations=self.n_iterations,
                num_threads=1,  # Several write over each other's steps, each time otherwise.
                random_state=seed,
            )
            vars(model).update(  # What is there already is what it starts from.
                user_factors=self._start(customers[placed.rows], seed),
                item_factors=self._start(items[placed.columns], seed),
            )
            model.user_factors[:, -1] = 1  # An item's last factor is its bias.
            model.item_factors[data.customer_counts[placed.columns] == 0] = 0
            model.fit(placed.strengths, show_progress=False)
        factors = np.empty_like(model.item_factors)
        factors[placed.columns] = model.item_factors
        fold_in = FoldIn(self.confidence, self.regularization)
        learned_with = {
            "learning_rate": self.learning_rate,
            "decay": self.decay,
            "n_iterations": self.n_iterations,
        }
        return FittedFactors(self, factors, fold_in, learned_with)

    def _start(self, seeds: Seeds, seed: int) -> FloatArray:
        """As implicit scales its own; one more column for the bias."""
        start = uniform_rows(seeds, self.n_factors + 1, seed=seed)
        return (start - np.float32(0.5)) / np.float32(self.n_factors)
