"""The clean history as one table. In: checked rows, or `Interaction`s. Out: `InteractionTable`.

Texts that repeat are kept as categories and absent columns as one null, so that an interaction takes a few
dozen bytes whatever its ids look like.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.errors import SourceError
from recsvc.history.times import EPOCH, UTC_MICROSECONDS

TABLE_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.Categorical(),
    "item_id": pl.Categorical(),
    "type": pl.Categorical(),
    "occurred_at": UTC_MICROSECONDS,
    "channel": pl.Categorical(),
    "value": pl.Float64(),
    "currency": pl.Categorical(),
    "quantity": pl.Int64(),
    "score": pl.Float64(),
    "scale": pl.Float64(),
    "position": pl.Int64(),
    "placement": pl.Categorical(),
    "slate_id": pl.String(),
    "event_id": pl.String(),
}
_CHUNK_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class InteractionTable:
    """Clean interactions, one row each, in the order of their source.

    `compact` has the columns of `TABLE_SCHEMA`; `frame` is the same with every text as String. `item_id` is
    null where the type names none, `occurred_at` where the source has no times.
    """

    compact: pl.DataFrame

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> InteractionTable:
        """Take over a frame with some of the columns; those that it lacks are null, others are dropped."""
        columns = [
            pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in TABLE_SCHEMA.items()
        ]
        return cls(frame.select(columns))

    @classmethod
    def from_interactions(cls, interactions: Iterable[Interaction]) -> InteractionTable:
        """A history that was read from the store."""
        remaining = iter(interactions)
        chunks = [pl.DataFrame(schema=TABLE_SCHEMA)]
        while chunk := list(islice(remaining, _CHUNK_ROWS)):
            chunks.append(pl.DataFrame([_as_row(one) for one in chunk], schema=TABLE_SCHEMA, orient="row"))
        return cls(pl.concat(chunks))

    @property
    def frame(self) -> pl.DataFrame:
        """The rows with every text as String: made anew at each call, so keep it while you need it."""
        texts = [name for name, dtype in TABLE_SCHEMA.items() if dtype == pl.Categorical]
        return self.compact.with_columns(pl.col(texts).cast(pl.String))

    @property
    def has_times(self) -> bool:
        """Whether the source says when things happened."""
        return self.compact["occurred_at"].null_count() < self.compact.height

    def __len__(self) -> int:
        return self.compact.height

    def codes(self, name: str) -> NDArray[np.unsignedinteger[Any]]:
        """The category of each row in a column of texts that repeat, 0 where it is null: (n_rows,).

        Not to be written to: where nothing is null these are the numbers of the table itself.
        """
        codes = self.compact[name].to_physical()
        return (codes.fill_null(0) if codes.null_count() else codes).to_numpy()

    def texts(self, name: str, codes: NDArray[np.integer[Any]]) -> pl.Series:
        """The texts that these codes of a column stand for: (n_codes,) String."""
        dtype = self.compact.schema[name]
        physical = pl.Series(codes, dtype=self.compact[name].head(0).to_physical().dtype)
        return physical.cat.to(dtype).cast(pl.String)

    def between(self, since: datetime | None, until: datetime | None) -> InteractionTable:
        """The interactions from `since` (inclusive) to `until` (exclusive); None is open.

        Without times there is no window to cut, so a bounded one is empty.
        """
        times = self.compact["occurred_at"]
        if not times.null_count() and times.is_sorted():
            # A slice shares the rows, where a filter would copy them.
            micros = times.to_physical()
            first, last = (_place_of(moment, micros) for moment in (since, until))
            first, last = first or 0, len(micros) if last is None else last
            return InteractionTable(self.compact.slice(first, max(last - first, 0)))
        inside = pl.lit(True)
        if since is not None:
            inside &= pl.col("occurred_at") >= since
        if until is not None:
            inside &= pl.col("occurred_at") < until
        return InteractionTable(self.compact.filter(inside))

    def of_customers(self, customer_ids: Collection[str]) -> InteractionTable:
        """The interactions of these customers."""
        return InteractionTable(self.compact.filter(_is_one_of(customer_ids)))

    def without_customers(self, customer_ids: Collection[str]) -> InteractionTable:
        """The interactions of everybody else."""
        return InteractionTable(self.compact.filter(~_is_one_of(customer_ids)))

    def interactions(self) -> Iterator[Interaction]:
        """The rows as domain values, in order, for the store.

        An `event_id` that the source does not give is the first 32 hexadecimal digits of the SHA-256 of
        the row's content: reading the same row again gives the same id.

        Raises:
            SourceError: the source has no times, so there is nothing to remember when.
        """
        if self.compact["occurred_at"].null_count():
            raise SourceError(
                "the history has no times, so it cannot be imported; map a column to occurred_at"
            )
        # As a number: polars would look the zone up in the system's time zone files, which may be absent.
        micros = pl.col("occurred_at").dt.epoch("us")
        for chunk in self.compact.iter_slices(_CHUNK_ROWS):
            for row in chunk.with_columns(micros).iter_rows(named=True):
                yield _as_interaction(row)


def _place_of(moment: datetime | None, micros: pl.Series) -> int | None:
    """How many of the times, which ascend, lie before a moment; None for no moment."""
    if moment is None:
        return None
    return int(micros.search_sorted((moment - EPOCH) // timedelta(microseconds=1), side="left"))


def _is_one_of(customer_ids: Collection[str]) -> pl.Expr:
    return (
        pl.col("customer_id").cast(pl.String).is_in(pl.Series(list(customer_ids), dtype=pl.String).implode())
    )


def _as_row(interaction: Interaction) -> tuple[object, ...]:
    return (
        interaction.customer_id,
        interaction.item_id,
        interaction.type,
        interaction.occurred_at,
        interaction.channel and interaction.channel.value,
        None if interaction.value is None else float(interaction.value),
        interaction.currency,
        interaction.quantity,
        interaction.score,
        interaction.scale,
        interaction.position,
        interaction.placement,
        interaction.slate_id,
        interaction.event_id,
    )


def _as_interaction(row: dict[str, Any]) -> Interaction:
    value: float | None = row["value"]
    return Interaction(
        event_id=row["event_id"] or _content_id(row),
        type=row["type"],
        customer_id=row["customer_id"],
        item_id=row["item_id"],
        occurred_at=EPOCH + timedelta(microseconds=row["occurred_at"]),
        channel=Channel(row["channel"]) if row["channel"] else None,
        slate_id=row["slate_id"],
        position=row["position"],
        placement=row["placement"],
        # repr is the shortest text that reads back as the same float: 12.1 stays 12.1.
        value=None if value is None else Decimal(repr(value)),
        currency=row["currency"],
        quantity=row["quantity"],
        score=row["score"],
        scale=row["scale"],
    )


def _content_id(row: dict[str, Any]) -> str:
    content = [row[name] for name in TABLE_SCHEMA if name != "event_id"]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:32]
