"""Logistic matrix factorization, by `implicit`: factors of the odds that a customer takes an item.

Source: Johnson, "Logistic matrix factorization for implicit feedback data" (2014). Only the item factors are
kept; customers are folded in as those of ALS are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from implicit.cpu.lmf import LogisticMatrixFactorization

from recsvc.training.chance import Seeds, placed_by_seed, uniform_rows
from recsvc.training.families.base import Family, FloatArray, TrainingData
from recsvc.training.families.folding import FittedFactors, FoldIn
from recsvc.training.threads import one_blas_thread


@dataclass(frozen=True)
class Lmf(Family):
    """The settings. `confidence` and `regularization` are of the fold-in, the others of the descent."""

    n_factors: int = 32
    learning_rate: float = 1.0
    decay: float = 5.0
    n_iterations: int = 30
    n_negatives: int = 30
    confidence: float = 1.5
    regularization: float = 10.0
    name: str = "lmf"
    is_personal: bool = True

    def fit(self, data: TrainingData, *, seed: int) -> FittedFactors:
        customers, items = data.seeds
        placed = placed_by_seed(data.strengths, customers, items)
        with one_blas_thread():  # implicit asks for it.
            model = LogisticMatrixFactorization(
                factors=self.n_factors,
                learning_rate=self.learning_rate,
                regularization=self.decay,
                iterations=self.n_iterations,
                neg_prop=self.n_negatives,
                num_threads=1,  # What is drawn against a customer hangs on the thread that they fall to.
                random_state=seed,
            )
            vars(model).update(  # What is there already is what it starts from.
                user_factors=self._start(customers[placed.rows], seed),
                item_factors=self._start(items[placed.columns], seed),
            )
            model.user_factors[:, -2] = 1  # The last two factors are biases: the item's, the customer's.
            model.item_factors[:, -1] = 1
            model.item_factors[data.customer_counts[placed.columns] == 0] = 0
            model.fit(placed.strengths, show_progress=False)
        factors = np.empty_like(model.item_factors)
        factors[placed.columns] = model.item_factors
        fold_in = FoldIn(self.confidence, self.regularization)
        learned_with = {
            "learning_rate": self.learning_rate,
            "decay": self.decay,
            "n_iterations": self.n_iterations,
            "n_negatives": self.n_negatives,
        }
        return FittedFactors(self, factors, fold_in, learned_with)

    def _start(self, seeds: Seeds, seed: int) -> FloatArray:
        """With mean 0 and deviation 1, as implicit's own; two more columns for the biases."""
        start = uniform_rows(seeds, self.n_factors + 2, seed=seed)
        return (start - np.float32(0.5)) * np.float32(sqrt(12))
