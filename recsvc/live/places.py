"""Rows of arrays that grow, and that make room when they are full. In: arrays. Out: arrays, and new rows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.rows import NO_ROW

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Places = NDArray[np.int32]  # Rows in half the memory, -1 for none.

_Number = TypeVar("_Number", bound=np.generic)
_MAKES_ROOM = 8  # One part in so many goes when all places are taken.


def grown(array: NDArray[_Number], n: int, value: float) -> NDArray[_Number]:
    """The array with room for `n` rows, the new ones full of a value."""
    larger: NDArray[_Number] = np.full((n, *array.shape[1:]), value, array.dtype)
    larger[: len(array)] = array
    return larger


def rings(values: NDArray[np.integer], owners: NDArray[np.integer], n_before: Rows, width: int) -> Places:
    """The last values of each owner, in turns over so many places: (n_owners, width).

    `values` and `owners` (n,) are in order; as many as `n_before` (n_owners,) says came before them.
    """
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    numbers = n_before[ordered] + np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    found = np.full((len(n_before), width), NO_ROW, np.int32)
    found[ordered, numbers % width] = values[order]  # Of those at one place the last stays.
    return found


def by_appearance(groups: NDArray[np.integer]) -> tuple[Rows, Rows]:
    """The groups in the order in which they first come, and for each place the number of its group: (n,)."""
    names, firsts, numbers = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    places = np.empty(len(names), np.int64)
    places[order] = np.arange(len(names))
    return names[order].astype(np.int64), places[numbers]


def kept_rows(worth: Floats) -> tuple[Rows, Places]:
    """The rows worth most, in order, and by old row the new one; the place after the last is of nobody."""
    n_gone = max(len(worth) // _MAKES_ROOM, 1)
    rows = np.sort(np.argsort(worth, kind="stable")[n_gone:])
    places = np.full(len(worth) + 1, NO_ROW, np.int32)
    places[rows] = np.arange(len(rows), dtype=np.int32)
    return rows, places


def renumbered(rows: dict[str, int], places: Places) -> dict[str, int]:
    """The ids that are still there, by their new rows."""
    return {one: int(places[row]) for one, row in rows.items() if places[row] >= 0}
