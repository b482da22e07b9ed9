"""How an interaction stands in a row. In: interactions. Out: rows with a digest of the body, and back.

Two bodies are the same when every field was sent the same: an amount of 10.0 is not one of 10.00, while
09:00Z and 10:00+01:00 are one moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import AttributeValue, Channel
from recsvc.errors import EventConflictError, StoreError
from recsvc.stores.tables import from_micros, to_micros


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch: events stored now, and events that were stored before or sent twice."""

    accepted: int
    duplicates: int


class EventRow(NamedTuple):
    """A row of the table `events`, in the order of its columns."""

    event_id: str
    customer_id: str
    item_id: str | None
    type: str
    occurred_at: int
    channel: str | None
    document: str
    digest: bytes
    received_at: int


class _Rest(msgspec.Struct, omit_defaults=True):
    """The fields of an interaction that have no column of their own."""

    slate_id: str | None = None
    position: int | None = None
    placement: str | None = None
    value: Decimal | None = None
    currency: str | None = None
    quantity: int | None = None
    score: float | None = None
    scale: float | None = None
    properties: Mapping[str, AttributeValue] = {}


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(_Rest)
_CHANNELS = {channel.value: channel for channel in Channel}


def to_row(interaction: Interaction, received_at: int) -> EventRow:
    """The row of an interaction that was received at the moment, in microseconds."""
    rest = _ENCODER.encode(
        _Rest(
            interaction.slate_id,
            interaction.position,
            interaction.placement,
            interaction.value,
            interaction.currency,
            interaction.quantity,
            interaction.score,
            interaction.scale,
            interaction.properties,
        )
    )
    occurred_at = to_micros(interaction.occurred_at)
    channel = None if interaction.channel is None else interaction.channel.value
    body = _ENCODER.encode(
        (interaction.type, interaction.customer_id, interaction.item_id, occurred_at, channel)
    )
    return EventRow(
        interaction.event_id,
        interaction.customer_id,
        interaction.item_id,
        interaction.type,
        occurred_at,
        channel,
        rest.decode(),
        hashlib.blake2b(body + rest, digest_size=16).digest(),
        received_at,
    )


def from_row(row: Any) -> Interaction:
    """The interaction of a row. Raises StoreError where its document cannot be read."""
    channel = None if row.channel is None else _CHANNELS[row.channel]
    moment = from_micros(row.occurred_at)
    if row.document == "{}":  # Most events carry nothing beyond their columns.
        return Interaction(row.event_id, row.type, row.customer_id, row.item_id, moment, channel)
    try:
        rest = _DECODER.decode(row.document)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"event {row.event_id} in the store cannot be read ({error}): restore a backup"
        ) from error
    return Interaction(
        row.event_id,
        row.type,
        row.customer_id,
        row.item_id,
        moment,
        channel,
        rest.slate_id,
        rest.position,
        rest.placement,
        rest.value,
        rest.currency,
        rest.quantity,
        rest.score,
        rest.scale,
        rest.properties,
    )


def distinct_rows(interactions: Sequence[Interaction], received_at: datetime) -> list[EventRow]:
    """One row per event id, by id; a repetition of the same body is dropped.

    Raises:
        EventConflictError: two of them share an id but not a body.
    """
    received = to_micros(received_at)
    rows: dict[str, EventRow] = {}
    for interaction in interactions:
        row = to_row(interaction, received)
        if rows.setdefault(row.event_id, row).digest != row.digest:
            raise EventConflictError([row.event_id])
    # By id, so that two batches which overlap take their locks in the same order.
    return sorted(rows.values())


def check_same_bodies(rows: Sequence[EventRow], stored: Mapping[str, bytes]) -> None:
    """Compare rows with the digests that are stored under their ids.

    Raises:
        EventConflictError: names every id that is stored with another body.
    """
    taken = [row.event_id for row in rows if stored.get(row.event_id, row.digest) != row.digest]
    if taken:
        raise EventConflictError(taken)
