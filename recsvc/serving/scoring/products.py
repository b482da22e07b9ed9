"""Products that cost what memory costs, by pieces. In: arrays. Out: what one product of all would say."""

from __future__ import annotations

import numpy as np

from recsvc.serving.scoring.parts import FloatArray, RowArray

_PIECE = 32_768
"""So many numbers, 128 KB, are still in the processor's own cache when they are multiplied."""
_BLOCK = 128
"""Rows of a symmetric matrix that are kept together, less what stands below its diagonal."""


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
    """vᵀMv for a symmetric M, by little more than half of it, which is all that is kept."""

    def __init__(self, matrix: FloatArray) -> None:
        self._blocks = [
            matrix[start : start + _BLOCK, start:].copy() for start in range(0, len(matrix), _BLOCK)
        ]
        for block in self._blocks:
            block[:, : len(block)] /= 2  # All that is kept counts twice, and what is on the diagonal once.

    def __call__(self, vector: FloatArray) -> float:
        half = 0.0
        for number, block in enumerate(self._blocks):
            rest = vector[number * _BLOCK :]
            half += float(rest[: len(block)] @ (block @ rest))
        return 2 * half
