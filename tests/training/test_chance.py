"""Chance that does not hang on the order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.training.chance import placed_by_seed, seeds_of, uniform_rows
from tests.training.examples import blocks_with_one_withheld


def random_matrix(n_rows: int = 90, n_columns: int = 70, seed: int = 4) -> csr_matrix:
    rng = np.random.default_rng(seed)
    taken = rng.random((n_rows, n_columns)) < 0.1
    return csr_matrix(np.where(taken, rng.random(taken.shape), 0).astype(np.float32))


def renamed(matrix: csr_matrix, seed: int = 8) -> tuple[csr_matrix, NDArray[np.int64], NDArray[np.int64]]:
    """The matrix in another order of rows and columns, and the old place of each."""
    rng = np.random.default_rng(seed)
    rows, columns = (rng.permutation(n) for n in matrix.shape)
    other = matrix[rows][:, columns].tocsr()
    other.sort_indices()
    return other, rows, columns


def test_a_row_keeps_its_seed_wherever_it_stands() -> None:
    matrix = random_matrix()
    other, rows, columns = renamed(matrix)
    (of_rows, of_columns), (of_other_rows, of_other_columns) = seeds_of(matrix), seeds_of(other)
    assert (of_other_rows == of_rows[rows]).all() and (of_other_columns == of_columns[columns]).all()


def test_rows_that_nothing_tells_apart_change_places_and_no_more() -> None:
    strengths, _ = blocks_with_one_withheld()
    matrix = csr_matrix(strengths)
    seeds, others = seeds_of(matrix)[0], seeds_of(renamed(matrix)[0])[0]
    assert len(set(seeds.tolist())) == matrix.shape[0]
    assert sorted(seeds.tolist()) == sorted(others.tolist())


def test_symmetric_rows_are_told_apart_on_both_sides() -> None:
    for alike in (np.ones((50, 30)), np.eye(40), np.zeros((3, 5))):
        for seeds in seeds_of(csr_matrix(alike.astype(np.float32))):
            assert len(set(seeds.tolist())) == len(seeds)


def test_one_more_strength_changes_the_seeds_around_it() -> None:
    matrix = random_matrix()
    stronger = matrix.copy()
    stronger.data[0] *= 2
    (row,), column = np.flatnonzero(np.diff(matrix.indptr))[:1], matrix.indices[0]
    before, after = seeds_of(matrix), seeds_of(stronger)
    assert before[0][row] != after[0][row] and before[1][column] != after[1][column]


def test_rows_are_drawn_by_their_seed_alone() -> None:
    seeds = seeds_of(random_matrix())[0]
    drawn, order = uniform_rows(seeds, 12, seed=3), np.random.default_rng(1).permutation(len(seeds))
    assert (uniform_rows(seeds[order], 12, seed=3) == drawn[order]).all()
    assert (uniform_rows(seeds, 20, seed=3)[:, :12] == drawn).all()
    assert (uniform_rows(seeds, 12, seed=4) != drawn).mean() > 0.999


def test_draws_are_uniform_and_independent() -> None:
    drawn = uniform_rows(np.arange(20_000, dtype=np.uint64), 16, seed=0).astype(np.float64)
    assert drawn.min() >= 0 and drawn.max() < 1
    deciles = np.apply_along_axis(lambda one: np.histogram(one, 10, (0, 1))[0], 0, drawn)
    # Chi-square with 9 degrees of freedom: above 40 once in 130,000.
    assert (((deciles - 2000) ** 2 / 2000).sum(axis=0) < 40).all()
    between = np.corrcoef(drawn, rowvar=False) - np.eye(16)
    assert np.abs(between).max() < 5 / np.sqrt(20_000)
    along = np.corrcoef(drawn[1:].ravel(), drawn[:-1].ravel())[0, 1]
    assert abs(along) < 5 / np.sqrt(drawn.size)


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (3, 0)])
def test_nothing_has_no_seeds(shape: tuple[int, int]) -> None:
    of_rows, of_columns = seeds_of(csr_matrix(shape, dtype=np.float32))
    assert of_rows.shape == shape[:1] and of_columns.shape == shape[1:]
    assert uniform_rows(of_rows, 4, seed=1).shape == (shape[0], 4)


def test_a_matrix_placed_by_seed_is_the_same_whatever_the_order_it_came_in() -> None:
    matrix = random_matrix()
    other = renamed(matrix)[0]
    one, two = (placed_by_seed(each, *seeds_of(each)) for each in (matrix, other))
    assert (one.strengths != two.strengths).nnz == 0
    assert (one.strengths != matrix[one.rows][:, one.columns]).nnz == 0
    assert (two.strengths != other[two.rows][:, two.columns]).nnz == 0
