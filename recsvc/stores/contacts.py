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

from sqlalchemy import Connection

from recsvc.domain.contacts import (
    Contact,
    ContactBook,
    Shortage,
    counted_since,
    is_counted,
    is_paid_for,
)
from recsvc.domain.decisions import Decision
from recsvc.domain.items import Channel, Item
from recsvc.domain.moments import from_micros, to_micros
from recsvc.errors import StoreError
from recsvc.policy_offers import OffersPolicy
from recsvc.stores.contact_rows import IN_ALL, Held, ended_of, held_by, ids_of, shown_to, spent_on
from recsvc.stores.database import Ask, Database
from recsvc.stores.offer_tables import reservations
from recsvc.stores.turns import writing_in_turn

LINE = 0x7265_6373_766F
"""Whoever takes or gives back contacts stands in this line."""

_CLOCKS_DIFFER = timedelta(minutes=5)  # An impression may be dated so much before its slate was made.
_DAY = 86_400_000_000
_END = "DELETE FROM reservations WHERE slate_id = :slate AND offer_id = :offer"
_FORGET_ENDED = "DELETE FROM reservations WHERE customer_id = :who AND until <= :now AND is_charged = 0"
_CHARGE = (
    "INSERT INTO offer_spend (offer_id, day, n) VALUES (:offer, :day, :n) "
    "ON CONFLICT (offer_id, day) DO UPDATE SET n = offer_spend.n + excluded.n"
)


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

    def shortages(
        self, customer_id: str, offers: Sequence[Item], *, channel: Channel, now: datetime
    ) -> Mapping[str, Shortage]:
        """Those of the offers that have no contact left for the customer, and why. Raises StoreError."""
        if not self._policy.contact_caps and not any(map(is_counted, offers)):
            return {}
        ask = self._database.look_up_all
        found = self._shortages(ask, customer_id, offers, channel, now)
        short = [one for one in offers if one.item_id in found and is_paid_for(one)]
        ended = [one for one in short if ended_of(ask, one.item_id, to_micros(now))]
        if not ended:
            return found
        with writing_in_turn(self._database, LINE) as connection:
            self._settle(connection, ended, now)
            return self._shortages(self._database.asking(connection), customer_id, offers, channel, now)

    def take(
        self, connection: Connection, decision: Decision, offers: Sequence[Item], *, until: datetime
    ) -> dict[str, Shortage]:
        """Take one contact of each offer for the slate of a decision, or none: then what is short.

        Within a transaction in the line of offers, so that nobody else takes a contact meanwhile.
        """
        who, now = decision.customer_id, decision.decided_at
        self._settle(connection, filter(is_paid_for, offers), now)
        book = self._book(self._database.asking(connection), who, offers, decision.channel, now)
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
        self, ask: Ask, customer_id: str, offers: Sequence[Item], channel: Channel, now: datetime
    ) -> dict[str, Shortage]:
        book = self._book(ask, customer_id, offers, channel, now)
        found = ((offer.item_id, book.shortage_of(offer)) for offer in offers)
        return {offer_id: shortage for offer_id, shortage in found if shortage is not None}

    def _book(
        self, ask: Ask, customer_id: str, offers: Sequence[Item], channel: Channel, now: datetime
    ) -> ContactBook:
        ids = ids_of(ask, customer_id)
        held = held_by(ask, ids)
        begun = min((row.made_at for row in held), default=to_micros(now))
        since = min(to_micros(counted_since(offers, self._policy, now)), begun - _micros(_CLOCKS_DIFFER))
        shown = shown_to(ask, ids, since)
        contacts = {place: self._contact(*place, *when) for place, when in shown.items()}
        for row in held:
            if row.until > to_micros(now):
                place = (row.offer_id, row.slate_id)
                contacts.setdefault(place, self._contact(*place, row.made_at, row.channel))
        spent = spent_on(ask, [one.item_id for one in offers if is_paid_for(one)], to_micros(now) // _DAY)
        return ContactBook(list(contacts.values()), spent, self._policy, channel=channel, now=now)

    def _contact(self, item_id: str, _slate: str, at: int, channel: str | None) -> Contact:
        known = None if channel is None else Channel(channel)
        return Contact(item_id, from_micros(at), known, is_offer=not self._is_content(item_id))

    def _settle(self, connection: Connection, offers: Iterable[Item], now: datetime) -> None:
        """End the reservations whose time is over; what was shown meanwhile stays charged."""
        ask = self._database.asking(connection)
        for offer in offers:
            for row in ended_of(ask, offer.item_id, to_micros(now)):
                shown = shown_to(ask, ids_of(ask, row.customer_id), row.made_at - _micros(_CLOCKS_DIFFER))
                self._end(connection, row, gives_back=(row.offer_id, row.slate_id) not in shown)

    def _end(self, connection: Connection, row: Held, *, gives_back: bool) -> None:
        place = {"slate": row.slate_id, "offer": row.offer_id}
        self._database.asking(connection)(_END, place)
        if row.is_charged and gives_back:
            self._charge(connection, [row.offer_id], row.made_at // _DAY, -1)

    def _forget_ended(self, connection: Connection, customer_id: str, now: datetime) -> None:
        """The customer's own reservations that took from nobody else end without a word."""
        self._database.asking(connection)(_FORGET_ENDED, {"who": customer_id, "now": to_micros(now)})

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
        ask = self._database.asking(connection)
        for offer_id in offer_ids:
            for each in (IN_ALL, day):
                ask(_CHARGE, {"offer": offer_id, "day": each, "n": n})


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
