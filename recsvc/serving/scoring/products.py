"""Products that cost what memory costs, by pieces. In: arrays. Out: what one product of all would say."""

from __future__ import annotations

import numpy as np

from recsvc.serving.scoring.parts import FloatArray, RowArray

_PIECE = 32_768
"""So many numbers, 128 KB, are still in the processor's own cache when they are multiplied."""
_BLOCK = 128
"""Rows of a symmetric matrix that are multiplied at once, less what stands below its diagonal."""


def product_of_rows(factors: FloatArray, rows: RowArray, vector: FloatArray) -> FloatArray:
    """Some rows of the factors times the vector: (n_rows,)."""
    at_once = max(_BLOCK // 4, _PIECE // max(len(vector), 1))
    if len(rows) <= at_once:
        return np.asarray(factors[rows] @ vector, dtype=np.float32)
    product = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), at_once):
        some = slice(start, start + at_once)
        product[some] = factors[rows[some]] @ vector
    return product


class QuadraticForm:
    """vᵀMv for a symmetric M, by little more than half of it. The matrix is not copied: it may be mapped."""

    def __init__(self, matrix: FloatArray) -> None:
        self._blocks = [matrix[start : start + _BLOCK, start:] for start in range(0, len(matrix), _BLOCK)]

    def __call__(self, vector: FloatArray) -> float:
        whole = 0.0
        for number, block in enumerate(self._blocks):
            rest = vector[number * _BLOCK :]
            own = rest[: len(block)]
            on_diagonal = block[:, : len(block)]
            whole += 2 * float(own @ (block @ rest)) - float(own @ (on_diagonal @ own))
        return whole
