"""Tell an event that came twice from two events with one id. In: checked rows. Out: firsts and conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

_SLICE_ROWS = 2**18
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, with bits in no order: 2**64 over the golden ratio


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """`firsts` are the rows to keep, in order; `conflicts` carry the id of an earlier, other row."""

    firsts: pl.DataFrame
    conflicts: pl.DataFrame
    n_duplicates: int


def drop_duplicates(rows: pl.DataFrame, *, origin: Sequence[str]) -> Deduplicated:
    """Keep the first of rows with the same content. The columns of `origin` say where a row stood."""
    content = [name for name in rows.columns if name not in origin]
    firsts = _firsts_of(rows, content)
    n_duplicates = rows.height - firsts.height
    if "event_id" not in content:
        return Deduplicated(firsts, firsts.clear(), n_duplicates)
    is_later = pl.col("event_id").is_not_null() & ~pl.col("event_id").is_first_distinct()
    return Deduplicated(firsts.filter(~is_later), firsts.filter(is_later), n_duplicates)


def _firsts_of(rows: pl.DataFrame, content: Sequence[str]) -> pl.DataFrame:
    # Short hashes find the few rows that may be duplicates; only those are compared in full.
    suspects = _rows_that_repeat(_hash_rows(rows, content))
    compared = rows.select(content)[suspects]
    is_first = compared.select(pl.struct(content).is_first_distinct()).to_series().to_numpy()
    if is_first.all():
        return rows
    is_kept = np.ones(rows.height, np.bool_)
    is_kept[suspects[~is_first]] = False
    return rows.filter(pl.Series(is_kept))


def _hash_rows(rows: pl.DataFrame, content: Sequence[str]) -> NDArray[np.uint32]:
    """A hash of each row, slice by slice, so that it takes no more memory than its result: (n_rows,)."""
    hashes = np.empty(rows.height, np.uint32)
    for start in range(0, rows.height, _SLICE_ROWS):
        mixed = np.zeros(min(_SLICE_ROWS, rows.height - start), np.uint64)
        for name in content:
            mixed *= _FACTOR
            mixed += _numbers(rows[name].slice(start, _SLICE_ROWS).to_physical())
        mixed ^= mixed >> np.uint64(32)
        mixed *= _FACTOR
        hashes[start : start + len(mixed)] = mixed >> np.uint64(32)
    return hashes


def _numbers(values: pl.Series) -> NDArray[Any]:
    if values.dtype.is_integer() and not values.null_count():
        return values.to_numpy().astype(np.uint64, copy=False)
    return values.hash().to_numpy()


def _rows_that_repeat(hashes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The rows whose hash is that of another row, in order."""
    ordered = pl.Series(hashes).sort().to_numpy()
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    is_likely = np.zeros(2**20, np.bool_)
    is_likely[repeated >> 12] = True
    likely = np.flatnonzero(is_likely[hashes >> 12])
    rows: NDArray[np.int64] = likely[np.isin(hashes[likely], repeated)]
    return rows
