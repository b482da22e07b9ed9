"""Gather what happened and write it down as events. In: arrays by visit. Out: one frame of events.

While drawing, a happening names its customer, item and channel by row and its moment in milliseconds;
here, at the end, rows become ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from recsvc.sample_bank.rhythm import CHANNELS, Visits
from recsvc.sample_bank.timeline import FloatArray, IntArray

EVENT_SCHEMA: dict[str, Any] = {
    "event_id": pl.String,
    "type": pl.String,
    "customer_id": pl.String,
    "item_id": pl.String,
    "occurred_at": pl.Datetime("ms", "UTC"),
    "channel": pl.String,
    "value": pl.String,
    "currency": pl.String,
    "quantity": pl.Int64,
    "score": pl.Float64,
    "scale": pl.Float64,
    "position": pl.Int64,
    "placement": pl.String,
    "slate_id": pl.String,
}


def happened(
    type_name: str,
    visits: Visits,
    visit_row: IntArray,
    at_ms: IntArray,
    *,
    item_row: IntArray | None = None,
    euros: FloatArray | None = None,
    **columns: Any,
) -> pl.DataFrame:
    """Happenings of one type during these visits. `columns` are event fields; `euros` becomes the value."""
    frame = pl.DataFrame(
        {
            "visit_row": visit_row,
            "customer_row": visits.customer_row[visit_row],
            "channel_row": visits.channel_row[visit_row],
            "at_ms": at_ms,
            **columns,
        }
    ).with_columns(type=pl.lit(type_name))
    if item_row is not None:
        frame = frame.with_columns(item_row=pl.Series(item_row))
    if euros is not None:
        frame = frame.with_columns(cents=pl.Series(np.rint(euros * 100).astype(np.int64)))
    return frame


def gather(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All parts in one frame; what a part does not say is null."""
    return pl.concat(parts, how="diagonal")


def write_down(
    happenings: pl.DataFrame, customer_ids: Sequence[str], item_ids: Sequence[str]
) -> pl.DataFrame:
    """Put the happenings in order of time, number them, and turn rows into ids."""
    ordered = happenings.sort("at_ms", "customer_row", maintain_order=True)
    channels = pl.Series([channel.value for channel in CHANNELS])
    cents = ordered["cents"]
    return ordered.with_columns(
        event_id=pl.format("e{}", pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(7)),
        customer_id=pl.Series(customer_ids).gather(ordered["customer_row"]),
        item_id=pl.Series(item_ids).gather(ordered["item_row"]),
        occurred_at=pl.from_epoch("at_ms", time_unit="ms").dt.replace_time_zone("UTC"),
        channel=channels.gather(ordered["channel_row"]),
        value=pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2)),
        currency=pl.when(cents.is_not_null()).then(pl.lit("EUR")),
    ).select(pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items())


def spread(n: int, rows: IntArray, rng: np.random.Generator) -> IntArray:
    """`n` draws out of `rows` that leave out none while there are enough of them."""
    once = rng.permutation(rows)[:n]
    if len(rows) == 0:
        return once
    return np.concatenate([once, rng.choice(rows, n - len(once))])
