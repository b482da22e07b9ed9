"""The leading singular vectors of a sparse matrix. In: the matrix, a seed for each row and column. Out: both.

Source: Halko, Martinsson and Tropp, "Finding structure with randomness" (2011), algorithm 4.4, with the bases
made orthogonal by the Cholesky factors of their Gram matrices, which costs a fraction of QR, and by QR where
that fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.sparse import csr_matrix

from recsvc.training.chance import Seeds, uniform_rows

_N_ITERATIONS = 4
_OVERSAMPLING = 64
_MAX_EXACT = 1_500  # Of the shorter side: that small, its Gram matrix is quickly solved exactly.
_LEAST_VALUE = 1e-3  # Of the greatest one: below it, what single precision finds is rounding.
_RIDGE = 1e-8
_VECTORS_AT_ONCE = 64  # Images of so many vectors are held at a time: rows may be many more than columns.

FloatArray = NDArray[np.float32]
Sides = tuple[Seeds, Seeds]


@dataclass(frozen=True, slots=True)
class SingularVectors:
    """`of_columns` is (n_columns, n), orthonormal; `values` (n,), falling and above 0."""

    of_columns: FloatArray
    values: NDArray[np.float64]

    @property
    def n(self) -> int:
        return len(self.values)


def leading_singular_vectors(matrix: csr_matrix, n: int, seeds: Sides, *, seed: int) -> SingularVectors:
    """At most `n` right singular vectors of a float32 matrix, those of the greatest values.

    What is iterated on are vectors of the shorter side, so that memory hangs on that.

    Args:
        seeds: of the rows and of the columns.
    """
    of_rows, of_columns = seeds
    if matrix.shape[0] < matrix.shape[1]:
        transposed = matrix.T.tocsr()
        left, values = _leading(transposed, matrix, n, of_rows, seed)
        return SingularVectors(_orthonormal_images(transposed, left, values), values)
    right, values = _leading(matrix, matrix.T.tocsr(), n, of_columns, seed)
    return SingularVectors(right, values)


def _leading(
    matrix: csr_matrix, transposed: csr_matrix, n: int, column_seeds: Seeds, seed: int
) -> tuple[FloatArray, NDArray[np.float64]]:
    """Right singular vectors of a matrix that has at least as many rows as columns, and their values."""
    n_columns = matrix.shape[1]
    if n_columns <= _MAX_EXACT:
        basis = np.eye(n_columns, dtype=np.float32)
    else:
        basis = uniform_rows(column_seeds, min(n + _OVERSAMPLING, n_columns), seed=seed)
        basis -= np.float32(0.5)
        for _ in range(_N_ITERATIONS):
            basis = _there_and_back(matrix, transposed, _orthonormal(basis))
        basis = _orthonormal(_orthonormal(basis))  # Once is not enough in single precision.
    squares, turn = np.linalg.eigh((basis.T @ _there_and_back(matrix, transposed, basis)).astype(np.float64))
    kept = np.flatnonzero(squares > max(squares[-1], 0) * _LEAST_VALUE**2)[::-1][:n]
    return basis @ turn[:, kept].astype(np.float32), np.sqrt(squares[kept])


def _there_and_back(matrix: csr_matrix, transposed: csr_matrix, basis: FloatArray) -> FloatArray:
    """The basis times the matrix and times its transpose: (n_columns, width)."""
    images = np.empty_like(basis)
    for first in range(0, basis.shape[1], _VECTORS_AT_ONCE):
        few = slice(first, first + _VECTORS_AT_ONCE)
        images[:, few] = transposed @ (matrix @ np.ascontiguousarray(basis[:, few]))
    return images


def _orthonormal_images(matrix: csr_matrix, vectors: FloatArray, values: NDArray[np.float64]) -> FloatArray:
    """The vectors of the other side, which the matrix makes of these and their values."""
    images = np.empty((matrix.shape[0], vectors.shape[1]), dtype=np.float32)
    for first in range(0, vectors.shape[1], _VECTORS_AT_ONCE):
        few = slice(first, first + _VECTORS_AT_ONCE)
        images[:, few] = matrix @ np.ascontiguousarray(vectors[:, few])
    images /= values.astype(np.float32)
    return images


def _orthonormal(basis: FloatArray) -> FloatArray:
    """An orthonormal basis of the same space, or of more where some of its directions are only rounding."""
    gram = (basis.T @ basis).astype(np.float64)
    try:
        triangle = np.linalg.cholesky(gram + np.eye(len(gram)) * (_RIDGE * np.trace(gram) / len(gram)))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.qr(basis).Q)
    turned: FloatArray = solve_triangular(triangle.astype(np.float32), basis.T, lower=True).T
    return np.ascontiguousarray(turned)
