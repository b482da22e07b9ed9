"""Products by pieces say what one product of the whole says."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.serving.scoring.products import QuadraticForm, product_of_rows


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 300, 1_024])
def test_half_of_a_symmetric_matrix_says_what_the_whole_says(n: int) -> None:
    rng = np.random.default_rng(n)
    drawn = rng.normal(size=(n, n))
    matrix = (drawn @ drawn.T / n).astype(np.float32)
    vector = rng.normal(size=n).astype(np.float32)
    before = matrix.copy()
    expected = float(vector.astype(np.float64) @ matrix.astype(np.float64) @ vector.astype(np.float64))
    assert QuadraticForm(matrix)(vector) == pytest.approx(expected, rel=1e-4)
    assert np.array_equal(matrix, before)


@pytest.mark.parametrize("n_factors", [1, 64, 1_024])
@pytest.mark.parametrize("n_rows", [0, 1, 32, 33, 700])
def test_rows_by_pieces_are_multiplied_as_at_once(n_factors: int, n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    factors = rng.normal(size=(900, n_factors)).astype(np.float32)
    vector = rng.normal(size=n_factors).astype(np.float32)
    rows = rng.choice(900, n_rows, replace=False).astype(np.int32)
    found = product_of_rows(factors, rows, vector)
    assert (found.dtype, found.shape) == (np.float32, (n_rows,))
    np.testing.assert_allclose(found, factors[rows] @ vector, rtol=1e-3, atol=1e-4)
