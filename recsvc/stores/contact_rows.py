"""What the store holds of contacts. In: how to ask it, a customer, offers. Out: rows.

A list asks outside of a transaction, what is reserved within one. Both do so in the driver's own words: every
offer list asks, and SQLAlchemy's part would cost several times the database's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import msgspec

from recsvc.domain.contacts import Spent
from recsvc.domain.interactions import IMPRESSION
from recsvc.stores.database import Ask
from recsvc.typed_decoding import decode_json

IN_ALL = -1
"""The day under which all contacts of an offer are counted."""

_MOST_SETTLED = 200  # Of one offer at once.
_IDENTITIES = "SELECT customer_id, identity_id FROM identities WHERE customer_id"
_IDS = (
    f"{_IDENTITIES} = :who UNION "
    f"{_IDENTITIES} = (SELECT customer_id FROM identities WHERE identity_id = :who)"
)
_ENDED = (
    "SELECT {columns} FROM reservations WHERE offer_id = :offer AND until <= :now AND is_charged = 1 "
    f"ORDER BY until LIMIT {_MOST_SETTLED}"
)


class Held(NamedTuple):
    """A row of `reservations`. Moments are in microseconds."""

    slate_id: str
    offer_id: str
    customer_id: str
    channel: str
    made_at: int
    until: int
    is_charged: int


class Shown(NamedTuple):
    """When an item was first shown on a slate, in microseconds, and where."""

    at: int
    channel: str | None


class _Slate(msgspec.Struct):
    """What an event's document says of where it was shown."""

    slate_id: str | None = None


def ids_of(ask: Ask, customer_id: str) -> Sequence[str]:
    """Every id of the customer whose id it is."""
    rows = ask(_IDS, {"who": customer_id})
    owner = next((owner for owner, identity in rows if identity == customer_id), customer_id)
    return [owner, *(identity for of, identity in rows if of == owner)]


def held_by(ask: Ask, ids: Sequence[str]) -> Sequence[Held]:
    """What is reserved for these ids, and what has ended and was not settled."""
    names = _named(ids)
    return [Held._make(row) for row in ask(_held_statement(len(names)), names)]


def ended_of(ask: Ask, offer_id: str, now: int) -> Sequence[Held]:
    """Reservations of the offer that took from all and whose time is over, the first to end first."""
    statement = _ENDED.format(columns=", ".join(Held._fields))
    return [Held._make(row) for row in ask(statement, {"offer": offer_id, "now": now})]


def shown_to(ask: Ask, ids: Sequence[str], since: int) -> Mapping[tuple[str, str], Shown]:
    """When and where each item was first shown on each slate; without one, each impression by itself."""
    names = _named(ids)
    first: dict[tuple[str, str], Shown] = {}
    for item_id, event_id, at, channel, document in ask(
        _shown_statement(len(names)), {**names, "since": since, "impression": IMPRESSION}
    ):
        slate_id = decode_json(document, _Slate).slate_id if '"slate_id"' in document else None
        place, shown = (item_id, slate_id or f"event {event_id}"), Shown(at, channel)
        if place not in first or at < first[place].at:
            first[place] = shown
    return first


def spent_on(ask: Ask, offer_ids: Sequence[str], day: int) -> Mapping[str, Spent]:
    """How many contacts with each offer were paid for: in all, and on the day since 1970."""
    if not offer_ids:
        return {}
    names = _named(offer_ids)
    rows = ask(_spent_statement(len(names)), {**names, "all": IN_ALL, "day": day})
    counts = {(offer_id, of): n for offer_id, of, n in rows}
    return {one: Spent(counts.get((one, IN_ALL), 0), counts.get((one, day), 0)) for one in offer_ids}


def _named(values: Sequence[str]) -> dict[str, object]:
    return {f"id{number}": value for number, value in enumerate(values)}


def _places(n: int) -> str:
    return ", ".join(f":id{number}" for number in range(n))


@cache
def _held_statement(n_ids: int) -> str:
    columns = ", ".join(Held._fields)
    return f"SELECT {columns} FROM reservations WHERE customer_id IN ({_places(n_ids)})"


@cache
def _shown_statement(n_ids: int) -> str:
    return (
        "SELECT item_id, event_id, occurred_at, channel, document FROM events "
        f"WHERE customer_id IN ({_places(n_ids)}) AND occurred_at > :since AND type = :impression"
    )


@cache
def _spent_statement(n_ids: int) -> str:
    of_offers = f"offer_id IN ({_places(n_ids)})"
    return f"SELECT offer_id, day, n FROM offer_spend WHERE {of_offers} AND day IN (:all, :day)"
