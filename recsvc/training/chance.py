"""Chance that does not hang on the order of rows. In: a sparse matrix. Out: a seed for every row and column.

A model drawn by the place of a row would change when ids are renamed. Here a row's seed comes from what it
holds: rows are coloured by colour refinement (Weisfeiler and Leman 1968), and only rows that nothing tells
apart, which might as well change places, are told apart by their place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Seeds = NDArray[np.uint64]
_N_REFINEMENTS = 4
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class PlacedBySeed:
    """A matrix in an order that no id decides: place p holds row `rows[p]`, and column `columns[p]`."""

    strengths: csr_matrix
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def seeds_of(strengths: csr_matrix) -> tuple[Seeds, Seeds]:
    """A seed for each row and for each column: (n_rows,), (n_columns,)."""
    rows = np.repeat(np.arange(strengths.shape[0]), np.diff(strengths.indptr))
    columns = strengths.indices
    edges = _mixed(strengths.data.astype(np.float32).view(np.uint32).astype(np.uint64))
    of_rows = np.zeros(strengths.shape[0], dtype=np.uint64)
    of_columns = np.ones(strengths.shape[1], dtype=np.uint64)
    for _ in range(_N_REFINEMENTS):
        of_rows, of_columns = (
            _mixed(of_rows + _summed(rows, _mixed(of_columns[columns] + edges), len(of_rows))),
            _mixed(of_columns + _summed(columns, _mixed(of_rows[rows] + edges), len(of_columns))),
        )
    return _told_apart(of_rows), _told_apart(of_columns)


def uniform_rows(seeds: Seeds, n_columns: int, *, seed: int) -> NDArray[np.float32]:
    """Numbers from 0 to 1, each row drawn by its own seed: (n_rows, n_columns)."""
    drawn = np.empty((len(seeds), n_columns), dtype=np.float32)
    start = _mixed(seeds + _mixed(np.array([seed], dtype=np.uint64)))
    steps = np.arange(1, n_columns + 1, dtype=np.uint64) * _GOLDEN
    for column, step in enumerate(steps):
        bits = _mixed(start + step)
        drawn[:, column] = (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    return drawn


def placed_by_seed(strengths: csr_matrix, row_seeds: Seeds, column_seeds: Seeds) -> PlacedBySeed:
    """The matrix with its rows and columns in the order of their seeds, for chance that goes by place."""
    rows, columns = np.argsort(row_seeds, kind="stable"), np.argsort(column_seeds, kind="stable")
    ordered = strengths[rows][:, columns].tocsr()
    ordered.sort_indices()
    return PlacedBySeed(ordered, rows, columns)


def lots(row_seeds: Seeds, column_seeds: Seeds, *, seed: int) -> Seeds:
    """A lot for every pair of a row and a column, drawn by the seeds of both: (n_pairs,)."""
    return _mixed(_mixed(row_seeds + _mixed(np.array([seed], dtype=np.uint64))) + column_seeds)


def _summed(places: NDArray[np.int64], values: Seeds, n: int) -> Seeds:
    """The sum of the values at each place, modulo 2^64: the order of addition changes nothing."""
    sums = np.zeros(n, dtype=np.uint64)
    np.add.at(sums, places, values)
    return sums


def _told_apart(colours: Seeds) -> Seeds:
    """Every row of a colour gets a seed of its own, by its place among them."""
    order = np.argsort(colours, kind="stable")
    ordered = colours[order]
    is_first = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else ordered == 0
    starts = np.flatnonzero(is_first)
    sizes = np.diff(np.append(starts, len(ordered)))
    places = np.arange(len(ordered)) - np.repeat(starts, sizes)
    seeds = np.empty_like(colours)
    seeds[order] = _mixed(ordered + _mixed(places.astype(np.uint64)))
    return seeds


def _mixed(values: Seeds) -> Seeds:
    """SplitMix64's finalizer (Steele, Lea and Flood 2014): every bit of the input moves every bit of this."""
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
