"""The best of many scores, exactly. In: a score of every item for every list. Out: the highest, in order.

To partition every row costs more than to score it. Nearly all scores fall to one comparison instead: cut a
row into blocks, and at least `length` of its scores reach the `length`-th highest maximum of a block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsvc.training.families.base import FloatArray

_BLOCKS_PER_PLACE = 8  # More make the bound closer, and dearer to find.


def best_rows(scores: FloatArray, length: int) -> NDArray[np.int32]:
    """The item rows of the highest scores, best first and equal ones in order of row: (n_lists, length).

    `scores` is (n_lists, n_items). What is -inf is never listed; a list that runs short ends in -1.
    """
    n_lists, n_items = scores.shape
    length = min(length, n_items)
    bounds = _lower_bounds(scores, length)
    above = np.flatnonzero(scores > bounds[:, None])
    lists = above // n_items
    counts = np.bincount(lists, minlength=n_lists)
    width = max(int(counts.max(initial=0)), length)
    places = np.arange(len(above)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.full((n_lists, width), -1, dtype=np.int32)
    found = np.full((n_lists, width), -np.inf, dtype=np.float32)
    rows[lists, places] = above - lists * n_items
    found[lists, places] = scores.ravel()[above]
    # A list with too few scores above its bound has enough that equal it.
    for short in np.flatnonzero((counts < length) & np.isfinite(bounds)):
        equal = np.flatnonzero(scores[short] == bounds[short])[: length - counts[short]]
        end = counts[short] + len(equal)
        rows[short, counts[short] : end], found[short, counts[short] : end] = equal, bounds[short]
    order = np.argsort(-found, axis=1, kind="stable")[:, :length]
    return np.take_along_axis(rows, order, axis=1)


def _lower_bounds(scores: FloatArray, length: int) -> FloatArray:
    """A number for each row that at least `length` of its scores reach: (n_lists,)."""
    n_items = scores.shape[1]
    n_blocks = min(n_items, length * _BLOCKS_PER_PLACE)
    depth = n_items // n_blocks
    # Block b is the columns b, b + n_blocks, …: rows that are in order of score spread over all blocks.
    highest = scores[:, : depth * n_blocks].reshape(len(scores), depth, n_blocks).max(axis=1)
    bounds: FloatArray = np.partition(highest, n_blocks - length, axis=1)[:, n_blocks - length]
    return bounds
