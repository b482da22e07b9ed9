"""Item factors that a customer is folded into. In: item factors, histories. Out: customers, their scores.

Whatever learned the factors, a customer's own are one ridge solve from history alone (Hu, Koren and
Volinsky 2008, eq. 4): (YᵀY + λI + Yᵀ(C - I)Y)⁻¹ Yᵀ C 1, with C the confidence of the items taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.base import Family, Fitted, FloatArray
from recsvc.training.threads import one_blas_thread


@dataclass(frozen=True)
class FoldIn:
    """How a history becomes a customer's vector: what its strengths are multiplied by, and the ridge."""

    confidence: float
    regularization: float

    def solver(self, item_factors: FloatArray) -> AlternatingLeastSquares:
        """The solver over item factors of (n_items, n_factors). Threads may use it at once."""
        with one_blas_thread():  # Sums in the same order on any machine.
            solver = AlternatingLeastSquares(
                factors=item_factors.shape[1],
                alpha=self.confidence,
                regularization=self.regularization,
                num_threads=1,  # Whoever scores brings threads of their own.
            )
            solver.item_factors = item_factors
            solver.YtY  # noqa: B018 - it is kept, so that threads need not each make it.
        return solver


@dataclass(frozen=True)
class FittedFactors(Fitted):
    """Item factors; a customer's are always folded in from history, in training as in serving.

    `factors` is (n_items, n_factors). `learned_with` are the settings that only the fit needed.
    """

    family: Family
    factors: FloatArray
    fold_in: FoldIn
    learned_with: Mapping[str, Parameter]
    _solver: AlternatingLeastSquares = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_solver", self.fold_in.solver(self.factors))

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return {
            "n_factors": self.factors.shape[1],
            "confidence": self.fold_in.confidence,
            "regularization": self.fold_in.regularization,
            **self.learned_with,
        }

    def score(self, histories: csr_matrix) -> FloatArray:
        return np.asarray(self.customer_factors(histories) @ self.factors.T, dtype=np.float32)

    def customer_factors(self, histories: csr_matrix) -> FloatArray:
        customers = self._solver.recalculate_user(np.arange(histories.shape[0]), histories.tocsr())
        return np.asarray(customers, dtype=np.float32)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        ridge = np.eye(self.factors.shape[1], dtype=np.float32) * np.float32(self.fold_in.regularization)
        name = self.family.name
        return {f"{name}_item_factors": self.factors, f"{name}_gram": self._solver.YtY + ridge}

    def item_factors(self) -> FloatArray:
        return self.factors
