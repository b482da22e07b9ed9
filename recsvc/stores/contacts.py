"""Contacts of customers with offers in SQL. In: offers, a moment. Out: what is short, and what is reserved.

The events are the truth: a contact is an impression that was stored, so nothing has to be told of it, nothing
is rebuilt, and no cache that is lost can let an offer out once too often. A reservation is a row that ends by
itself. To look and to reserve is one transaction, one after another, so that each sees what went before.

What all customers share is charged when it is reserved, and given back when the reservation ends unshown.
Whoever next reserves such an offer, or finds it short, settles what has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from recsvc.domain.contacts import (
    Contact,
    ContactBook,
    Shortage,
    Spent,
    counted_since,
    is_counted,
    is_paid_for,
)
from recsvc.domain.decisions import Decision
from recsvc.domain.interactions import IMPRESSION
from recsvc.domain.items import Channel, Item
from recsvc.errors import StoreError
from recsvc.policy_offers import OffersPolicy
from recsvc.stores.database import Database
from recsvc.stores.offer_tables import offer_spend, reservations
from recsvc.stores.tables import events, from_micros, identities, to_micros
from recsvc.stores.turns import writing_in_turn
from recsvc.typed_decoding import decode_json

LINE = 0x7265_6373_766F
"""Whoever takes or gives back contacts stands in this line."""
IN_ALL = -1
"""The day under which all contacts of an offer are counted."""

_CLOCKS_DIFFER = timedelta(minutes=5)  # An impression may be dated so much before its slate was made.
_MOST_SETTLED = 200  # Of one offer at once.
_DAY = 86_400_000_000

_OWNER = select(identities.c.customer_id).where(identities.c.identity_id == bindparam("who"))
_OWNED = select(identities.c.identity_id).where(identities.c.customer_id == bindparam("who"))
_SHOWN = select(
    events.c.item_id, events.c.event_id, events.c.occurred_at, events.c.channel, events.c.document
).where(
    events.c.customer_id.in_(bindparam("whose", expanding=True)),
    events.c.occurred_at > bindparam("since"),
    events.c.type == IMPRESSION,
)
_RESERVED = select(reservations).where(reservations.c.customer_id.in_(bindparam("whose", expanding=True)))
_ENDED = (
    select(reservations)
    .where(
        reservations.c.offer_id == bindparam("offer"),
        reservations.c.until <= bindparam("now"),
        reservations.c.is_charged == 1,
    )
    .order_by(reservations.c.until)
    .limit(_MOST_SETTLED)
)
_SPENT = select(offer_spend).where(
    offer_spend.c.offer_id.in_(bindparam("offers", expanding=True)),
    offer_spend.c.day.in_([IN_ALL, bindparam("day")]),
)


class _Slate(msgspec.Struct):
    """What an event's document says of where it was shown."""

    slate_id: str | None = None


class SqlContacts:
    """Counts contacts over all channels and all ids of a customer. Safe to use from several processes.

    `is_content` tells whether an item is content, so that its impressions are no contacts with offers.
    """

    def __init__(
        self, database: Database, policy: OffersPolicy, *, is_content: Callable[[str], bool]
    ) -> None:
        self._database = database
        self._policy = policy
        self._is_content = is_content
        charge = database.insert(offer_spend)
        self._charges = charge.on_conflict_do_update(  # Made once: that takes longer than to execute it.
            index_elements=["offer_id", "day"], set_={"n": offer_spend.c.n + charge.excluded.n}
        )

    def shortages(
        self, customer_id: str, offers: Sequence[Item], *, channel: Channel, now: datetime
    ) -> Mapping[str, Shortage]:
        """Those of the offers that have no contact left for the customer, and why. Raises StoreError."""
        if not self._policy.contact_caps and not any(map(is_counted, offers)):
            return {}
        with self._database.reading() as connection:
            found = self._shortages(connection, customer_id, offers, channel, now)
            short = [one for one in offers if one.item_id in found and is_paid_for(one)]
            ended = [one for one in short if connection.execute(_ENDED, _at(one, now)).first() is not None]
        if not ended:
            return found
        with writing_in_turn(self._database, LINE) as connection:
            self._settle(connection, ended, now)
            return self._shortages(connection, customer_id, offers, channel, now)

    def take(
        self, connection: Connection, decision: Decision, offers: Sequence[Item], *, until: datetime
    ) -> dict[str, Shortage]:
        """Take one contact of each offer for the slate of a decision, or none: then what is short.

        Within a transaction in the line of offers, so that nobody else takes a contact meanwhile.
        """
        who, now = decision.customer_id, decision.decided_at
        self._settle(connection, filter(is_paid_for, offers), now)
        book = self._book(connection, who, offers, decision.channel, now)
        short: dict[str, Shortage] = {}
        for offer in offers:
            shortage = book.shortage_of(offer)
            if shortage is None:
                book.reserve(offer)
            else:
                short[offer.item_id] = shortage
        if not short:
            self._forget_ended(connection, who, now)
            self._keep(connection, decision, offers, until)
        return short

    def _shortages(
        self,
        connection: Connection,
        customer_id: str,
        offers: Sequence[Item],
        channel: Channel,
        now: datetime,
    ) -> dict[str, Shortage]:
        book = self._book(connection, customer_id, offers, channel, now)
        found = ((offer.item_id, book.shortage_of(offer)) for offer in offers)
        return {offer_id: shortage for offer_id, shortage in found if shortage is not None}

    def _book(
        self,
        connection: Connection,
        customer_id: str,
        offers: Sequence[Item],
        channel: Channel,
        now: datetime,
    ) -> ContactBook:
        ids = _ids_of(connection, customer_id)
        held = connection.execute(_RESERVED, {"whose": ids}).all()
        begun = min((row.made_at for row in held), default=to_micros(now))
        since = min(to_micros(counted_since(offers, self._policy, now)), begun - _micros(_CLOCKS_DIFFER))
        shown = self._shown(connection, ids, since)
        contacts = {place: self._contact(*place, *when) for place, when in shown.items()}
        for row in held:
            if row.until > to_micros(now):
                place = (row.offer_id, row.slate_id)
                contacts.setdefault(place, self._contact(*place, row.made_at, row.channel))
        spent = self._spent(connection, [offer.item_id for offer in offers if is_paid_for(offer)], now)
        return ContactBook(list(contacts.values()), spent, self._policy, channel=channel, now=now)

    def _contact(self, item_id: str, _slate: str, at: int, channel: str | None) -> Contact:
        known = None if channel is None else Channel(channel)
        return Contact(item_id, from_micros(at), known, is_offer=not self._is_content(item_id))

    def _shown(
        self, connection: Connection, ids: Sequence[str], since: int
    ) -> dict[tuple[str, str], tuple[int, str | None]]:
        """When and where each item was first shown on each slate; without one, each impression by itself."""
        first: dict[tuple[str, str], tuple[int, str | None]] = {}
        for row in connection.execute(_SHOWN, {"whose": ids, "since": since}):
            slate_id = decode_json(row.document, _Slate).slate_id
            place = (row.item_id, slate_id or f"event {row.event_id}")
            when = (row.occurred_at, row.channel)
            first[place] = min(first.get(place, when), when, key=lambda one: one[0])
        return first

    def _spent(self, connection: Connection, offer_ids: Sequence[str], now: datetime) -> dict[str, Spent]:
        if not offer_ids:
            return {}
        day = to_micros(now) // _DAY
        rows = connection.execute(_SPENT, {"offers": offer_ids, "day": day}).all()
        counts = {(row.offer_id, row.day): row.n for row in rows}
        return {one: Spent(counts.get((one, IN_ALL), 0), counts.get((one, day), 0)) for one in offer_ids}

    def _settle(self, connection: Connection, offers: Iterable[Item], now: datetime) -> None:
        """End the reservations whose time is over; what was shown meanwhile stays charged."""
        for offer in offers:
            for row in connection.execute(_ENDED, _at(offer, now)).all():
                ids = _ids_of(connection, row.customer_id)
                shown = self._shown(connection, ids, row.made_at - _micros(_CLOCKS_DIFFER))
                self._end(connection, row, gives_back=(row.offer_id, row.slate_id) not in shown)

    def _end(self, connection: Connection, row: Any, *, gives_back: bool) -> None:
        one = (reservations.c.slate_id == row.slate_id) & (reservations.c.offer_id == row.offer_id)
        connection.execute(delete(reservations).where(one))
        if row.is_charged and gives_back:
            self._charge(connection, [row.offer_id], row.made_at // _DAY, -1)

    def _forget_ended(self, connection: Connection, customer_id: str, now: datetime) -> None:
        """The customer's own reservations that took from nobody else end without a word."""
        ended = (reservations.c.until <= to_micros(now)) & (reservations.c.is_charged == 0)
        connection.execute(delete(reservations).where(reservations.c.customer_id == customer_id, ended))

    def _keep(
        self, connection: Connection, decision: Decision, offers: Sequence[Item], until: datetime
    ) -> None:
        made_at = to_micros(decision.decided_at)
        rows = [
            (
                decision.decision_id,
                offer.item_id,
                decision.customer_id,
                decision.channel.value,
                made_at,
                to_micros(until),
                int(is_paid_for(offer)),
            )
            for offer in offers
        ]
        if self._database.insert_new(connection, reservations, rows) < len(rows):
            raise StoreError(f"there are reservations for {decision.decision_id} already")
        charged = [offer.item_id for offer in offers if is_paid_for(offer)]
        self._charge(connection, charged, made_at // _DAY, 1)

    def _charge(self, connection: Connection, offer_ids: Sequence[str], day: int, n: int) -> None:
        rows = [{"offer_id": one, "day": each, "n": n} for one in offer_ids for each in (IN_ALL, day)]
        if rows:
            connection.execute(self._charges, rows)


def _ids_of(connection: Connection, customer_id: str) -> list[str]:
    """Every id of the customer whose id it is."""
    owner = connection.execute(_OWNER, {"who": customer_id}).scalar_one_or_none() or customer_id
    return [owner, *connection.execute(_OWNED, {"who": owner}).scalars()]


def _at(offer: Item, now: datetime) -> dict[str, Any]:
    return {"offer": offer.item_id, "now": to_micros(now)}


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
