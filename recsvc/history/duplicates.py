"""Tell an event that came twice from two events with one id. In: checked rows. Out: firsts and conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl


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
    # Hashes find the few rows that may be duplicates; only those are compared in full.
    hashes = rows.select(content).hash_rows()
    ordered = np.sort(hashes.to_numpy())
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return rows
    suspects = hashes.is_in(pl.Series(repeated).implode())
    places = rows.select(pl.int_range(pl.len(), dtype=pl.UInt32)).to_series()
    compared = rows.select(content).filter(suspects)
    later = places.filter(suspects).filter(
        ~compared.select(pl.struct(content).is_first_distinct()).to_series()
    )
    return rows.filter(~places.is_in(later.implode()))
