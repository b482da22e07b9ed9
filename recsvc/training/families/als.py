"""Alternating least squares for implicit feedback, by `implicit`.

Source: Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets" (2008). A pair's
confidence is `confidence` times its strength, everything else has confidence 1. In the words of Rendle,
Krichene, Zhang and Koren, "Revisiting the performance of iALS on item recommendation benchmarks" (2022),
where what was not taken weighs a0 beside 1: confidence = 1 + 1/a0, regularization = λ(1 + a0)/a0. At a
confidence of 1, what was taken weighs no more than what was not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import log

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares

from recsvc.training.chance import Seeds, uniform_rows
from recsvc.training.families.base import Family, FloatArray, TrainingData
from recsvc.training.families.folding import FittedFactors, FoldIn
from recsvc.training.threads import one_blas_thread

MIN_FACTORS, MAX_FACTORS = 16, 256
FEWEST_FACTORS = 8  # With a share of the least that items call for; fewer tell nothing apart.
CONFIDENCES = (3.0, 6.0, 15.0, 40.0)
REGULARIZATIONS = (2.0, 7.0, 15.0, 30.0)
_N_SETTINGS = 9
_SPARSE = 0.0007
_START = np.float32(0.01)  # Small, so that the first sweeps decide.


@dataclass(frozen=True)
class Als(Family):
    """The settings. `factor_share` is the share of as many factors as the number of items calls for.

    `asked_factors` are so many instead; never more than there are customers or items.
    """

    confidence: float = 40.0
    regularization: float = 2.0
    factor_share: float = 1.0
    n_iterations: int = 15
    asked_factors: int | None = None
    name: str = "als"
    is_personal: bool = True

    def fit(self, data: TrainingData, *, seed: int) -> FittedFactors:
        n_customers, n_items = data.strengths.shape
        if self.asked_factors is None:
            n_factors = _n_factors(self.factor_share, n_customers, n_items)
        else:
            n_factors = min(self.asked_factors, n_customers, n_items)
        customers, items = data.seeds
        with one_blas_thread():  # implicit runs its own threads; BLAS's get in their way.
            model = AlternatingLeastSquares(
                factors=n_factors,
                alpha=self.confidence,
                regularization=self.regularization,
                iterations=self.n_iterations,
            )
            vars(model).update(  # What is there already is what it starts from.
                user_factors=_start(customers, n_factors, seed), item_factors=_start(items, n_factors, seed)
            )
            model.fit(data.strengths, show_progress=False)
        fold_in = FoldIn(self.confidence, self.regularization)
        share = self.factor_share if self.asked_factors is None else n_factors / n_factors_for(n_items)
        learned_with = {"n_iterations": self.n_iterations, "factor_share": share}
        return FittedFactors(self, model.item_factors, fold_in, learned_with)

    def settings(self, data: TrainingData) -> tuple[Family, ...]:
        """A grid, what suits the density first; the best guess also with half and with twice the factors."""
        n_customers, n_items = data.strengths.shape
        usual = _usual(max(data.strengths.nnz, 1) / (n_customers * n_items))
        grid = sorted(
            product(CONFIDENCES, REGULARIZATIONS),
            key=lambda pair: sum(abs(log(one / other)) for one, other in zip(pair, usual, strict=True)),
        )
        here = (self.confidence, self.regularization)  # What nobody doubted stays in the running.
        chosen = list(dict.fromkeys((*grid[: _N_SETTINGS - 3], here, *grid)))[: _N_SETTINGS - 2]
        full = tuple(
            replace(self, confidence=confidence, regularization=regularization)
            for confidence, regularization in chosen
        )
        n_usual = _n_factors(self.factor_share, n_customers, n_items)
        others = tuple(
            replace(full[0], factor_share=self.factor_share * share)
            for share in (0.5, 2.0)
            if self.asked_factors is None
            and _n_factors(self.factor_share * share, n_customers, n_items) != n_usual
        )
        return (full[0], *others, *full[1:])

    def reduced(self) -> Family:
        """Half the factors and a fifth of the sweeps."""
        return replace(self, factor_share=self.factor_share / 2, n_iterations=max(3, self.n_iterations // 5))


def n_factors_for(n_items: int) -> int:
    """Few items are told apart by few factors: 16 for 640, 64 for 5,000, 256 from 41,000 on."""
    return min(MAX_FACTORS, max(MIN_FACTORS, round(16 * float((n_items / 640) ** (2 / 3)))))


def _n_factors(share: float, n_customers: int, n_items: int) -> int:
    """As many as the items call for, times the share; never more than there are customers or items."""
    wanted = min(max(round(share * n_factors_for(n_items)), FEWEST_FACTORS), MAX_FACTORS)
    return min(wanted, n_customers, n_items)


def _usual(density: float) -> tuple[float, float]:
    """Confidence and regularization: the sparser the data, the more a pair says, and the less is shrunk.

    Through the best of Gowalla, 0.07 % dense, at 40 and 2, and of MovieLens, 1 to 4 %, at 6 to 3 and 30.
    """
    sparseness = _SPARSE / density
    confidence = min(max(CONFIDENCES[-1] * sparseness**0.6, CONFIDENCES[0]), CONFIDENCES[-1])
    shrinkage = REGULARIZATIONS[0] / sparseness**0.9
    return confidence, min(max(shrinkage, REGULARIZATIONS[0]), REGULARIZATIONS[-1])


def _start(seeds: Seeds, n_factors: int, seed: int) -> FloatArray:
    """implicit's own start is as small, but all positive: with every factor next to parallel to every other,
    the first solves magnify rounding until renamed ids change scores by a tenth."""
    drawn = uniform_rows(seeds, n_factors, seed=seed)
    drawn -= np.float32(0.5)
    drawn *= _START  # In place: of the customers' factors there is room for one copy.
    return drawn
