"""A linear model of each item from all the others, in closed form.

Source: Steck, "Embarrassingly shallow autoencoders for sparse data" (EASE, 2019), eq. 8: with
P = (XᵀX + λI)⁻¹, the weight of item j for item k is -P_jk / P_kk, and 0 for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import Parameter
from recsvc.errors import TrainingError
from recsvc.training.families.base import Family, Fitted, FloatArray, TrainingData
from recsvc.training.threads import one_blas_thread

MAX_ITEMS = 6000
"""The weights are items times items: 144 MB of so many, and twice that for a moment of the fit."""

REGULARIZATION_SHARES = (1.0, 0.4, 2.5)
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Ease(Family):
    """The settings. `regularization_share` is of the λ that data of such popularity usually wants.

    `asked_regularization` is a λ itself instead.
    """

    regularization_share: float = 1.0
    asked_regularization: float | None = None
    name: str = "ease"
    is_personal: bool = True

    def fit(self, data: TrainingData, *, seed: int) -> FittedEase:
        """As the protocol says. Raises TrainingError for more items than `MAX_ITEMS`."""
        n_items = data.strengths.shape[1]
        if n_items > MAX_ITEMS:
            raise TrainingError(f"ease takes up to {MAX_ITEMS:,} items; there are {n_items:,}")
        share = self.regularization_share
        if self.asked_regularization is not None:
            share = self.asked_regularization / usual_regularization(data)
        regularization = share * usual_regularization(data)
        inverse = _inverse_with_ridge(data.strengths, regularization, np.float32)
        if inverse is None:  # Items that next to everybody took together are too alike for single precision.
            inverse = _inverse_with_ridge(data.strengths, regularization, np.float64)
        if inverse is None:
            raise TrainingError(
                "ease cannot tell the items apart: their strengths lie too far from each other"
            )
        inverse /= -np.diagonal(inverse).copy()
        np.fill_diagonal(inverse, 0)
        return FittedEase(replace(self, regularization_share=share), inverse, regularization)

    def settings(self, data: TrainingData) -> tuple[Family, ...]:
        if data.strengths.shape[1] > MAX_ITEMS:
            return ()
        if self.asked_regularization is not None:
            return (self,)
        return tuple(replace(self, regularization_share=share) for share in REGULARIZATION_SHARES)


@dataclass(frozen=True)
class FittedEase(Fitted):
    """`weights` is (n_items, n_items): row j is what j adds to every item's score."""

    family: Ease
    weights: FloatArray
    regularization: float

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return {
            "regularization": self.regularization,
            "regularization_share": self.family.regularization_share,
        }

    def score(self, histories: csr_matrix) -> FloatArray:
        return np.asarray(histories @ self.weights, dtype=np.float32)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"ease_weights": self.weights}


def usual_regularization(data: TrainingData) -> float:
    """λ from the mean diagonal of XᵀX: 200 for one of 11, 540 for 270, 640 for 500, 1,100 for 3,000.

    These are the best of MovieLens-small, MovieLens-1M and, as published, MovieLens-20M and Netflix.
    """
    mean = float(np.square(data.strengths.data, dtype=np.float64).sum() / data.strengths.shape[1])
    return float(round(100 * mean**0.3, 1))


def _inverse_with_ridge(
    strengths: csr_matrix, ridge: float, precision: type[np.floating[Any]]
) -> FloatArray | None:
    """(XᵀX + λI)⁻¹ by Cholesky, (n_items, n_items); None where the precision does not carry it.

    It is scaled to a diagonal of 1 on the way, so that strengths of many magnitudes keep their digits.
    """
    wide = strengths.astype(precision)
    matrix = (wide.T @ wide).toarray(order="F")
    matrix[np.diag_indices_from(matrix)] += precision(ridge)
    scale = 1 / np.sqrt(np.diagonal(matrix))
    matrix *= scale
    matrix *= scale[:, None]
    factorise, invert = get_lapack_funcs(("potrf", "potri"), dtype=precision)
    with one_blas_thread():  # Sums in the same order on any machine.
        factor, failed = factorise(matrix, lower=1, overwrite_a=1)
        if failed:
            return None
        inverse, failed = invert(factor, lower=1, overwrite_c=1)
    if failed:
        return None
    _mirror_lower(inverse)
    inverse *= scale
    inverse *= scale[:, None]
    return np.asarray(inverse.T, dtype=np.float32)  # The same by rows, as it is read.


def _mirror_lower(matrix: NDArray[Any]) -> None:
    """Make the part above the diagonal the image of the part below it, a block of rows at a time."""
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        stop = start + _ROWS_AT_ONCE
        corner = matrix[start:stop, start:stop]
        corner[:] = np.tril(corner) + np.tril(corner, -1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
