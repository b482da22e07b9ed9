"""How an interaction stands in a row. In: interactions. Out: rows with a digest of the body, and back.

Two bodies are the same when every field was sent the same: an amount of 10.0 is not one of 10.00, while
09:00Z and 10:00+01:00 are one moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.domain.moments import from_micros, to_micros
from recsvc.errors import EventConflictError, StoreError
from recsvc.stores.documents import decode_document, encode_document


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
    properties: Mapping[str, Any] = {}


# These fields follow the columns in an interaction too, in the same order.
_REST_OF = attrgetter(*_Rest.__struct_fields__)
_BY_TIME = attrgetter("occurred_at", "event_id")
_CHANNELS = {channel.value: channel for channel in Channel}


def to_row(interaction: Interaction, received_at: int) -> EventRow:
    """The row of an interaction that was received at the moment, in microseconds.

    Raises:
        StoreError: the interaction holds what JSON cannot.
    """
    name = f"event {interaction.event_id}"
    rest = encode_document(_Rest(*_REST_OF(interaction)), name)
    columns = (
        interaction.event_id,
        interaction.customer_id,
        interaction.item_id,
        interaction.type,
        to_micros(interaction.occurred_at),
        None if interaction.channel is None else interaction.channel.value,
    )
    body = encode_document(columns, name) + rest
    if "\\u0000" in body and any("\0" in text for text in columns if isinstance(text, str)):
        raise StoreError(f"{name!r} cannot be stored (it holds a NUL): mend its ids and its type")
    return EventRow(*columns, rest, hashlib.blake2b(body.encode(), digest_size=16).digest(), received_at)


def from_row(row: Sequence[Any]) -> Interaction:
    """The interaction of the first seven columns of a row.

    Raises:
        StoreError: its document cannot be read, or its channel is one of a newer release.
    """
    event_id, customer_id, item_id, kind, occurred_at, channel, rest = row
    known_channel, moment = read_channel(channel, event_id), from_micros(occurred_at)
    if rest == "{}":  # Most events carry nothing beyond their columns.
        return Interaction(event_id, kind, customer_id, item_id, moment, known_channel)
    others = _REST_OF(decode_document(rest, _Rest, f"event {event_id}"))
    return Interaction(event_id, kind, customer_id, item_id, moment, known_channel, *others)


def read_channel(channel: str | None, event_id: str) -> Channel | None:
    """The channel of an event's row. Raises StoreError: it is one of a newer release."""
    try:
        return None if channel is None else _CHANNELS[channel]
    except KeyError:
        raise StoreError(f"event {event_id} has the channel {channel}: install a newer release") from None


def distinct_rows(interactions: Sequence[Interaction], received_at: datetime) -> list[EventRow]:
    """One row per event id; a repetition of the same body is dropped.

    Raises:
        EventConflictError: two of them share an id but not a body.
    """
    received = to_micros(received_at)
    rows: dict[str, EventRow] = {}
    for interaction in interactions:
        row = to_row(interaction, received)
        if rows.setdefault(row.event_id, row).digest != row.digest:
            raise EventConflictError([row.event_id])
    return list(rows.values())


def sort_out(
    batches: Sequence[Sequence[EventRow]], stored: Mapping[str, bytes]
) -> tuple[list[EventRow], list[int | EventConflictError]]:
    """Tell what is new from what is stored, batch after batch; `stored` maps ids to digests.

    Returns the new rows by time, and for each batch how many of them are its own, or its conflict. A batch
    with a conflict brings no rows.
    """
    known = dict(stored)
    new: list[EventRow] = []
    outcomes: list[int | EventConflictError] = []
    for rows in batches:
        taken = [row.event_id for row in rows if known.get(row.event_id, row.digest) != row.digest]
        if taken:
            outcomes.append(EventConflictError(taken))
            continue
        fresh = [row for row in rows if row.event_id not in known]
        known.update((row.event_id, row.digest) for row in fresh)
        new += fresh
        outcomes.append(len(fresh))
    # By time, then id: so they are numbered, and whoever follows the log meets them as they happened.
    return sorted(new, key=_BY_TIME), outcomes
