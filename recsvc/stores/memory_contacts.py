"""Contacts in memory: for tests and trials. Same behaviour as the real store, nothing kept."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from recsvc.domain.contacts import (
    Contact,
    ContactBook,
    Reserved,
    Shortage,
    Spent,
    counted_since,
    is_paid_for,
)
from recsvc.domain.interactions import IMPRESSION
from recsvc.domain.items import Channel, Item
from recsvc.policy_offers import OffersPolicy
from recsvc.stores.memory import MemoryEvents
from recsvc.stores.memory_identities import MemoryIdentities

_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Held:
    slate_id: str
    offer_id: str
    customer_id: str
    channel: Channel
    made_at: datetime
    until: datetime
    is_charged: bool


class MemoryContacts:
    """Counts contacts over all channels and all ids of a customer."""

    def __init__(
        self,
        events: MemoryEvents,
        identities: MemoryIdentities,
        policy: OffersPolicy,
        *,
        is_content: Callable[[str], bool],
    ) -> None:
        self._events = events
        self._identities = identities
        self._policy = policy
        self._is_content = is_content
        self._held: list[_Held] = []
        self._spent = Counter[tuple[str, date | None]]()
        self._lock = threading.Lock()

    def shortages(
        self, customer_id: str, offers: Sequence[Item], *, channel: Channel, now: datetime
    ) -> Mapping[str, Shortage]:
        """Those of the offers that have no contact left for the customer, and why."""
        with self._lock:
            self._settle(now)
            book = self._book(customer_id, offers, channel, now)
            found = ((offer.item_id, book.shortage_of(offer)) for offer in offers)
            return {offer_id: shortage for offer_id, shortage in found if shortage is not None}

    def reserve(
        self,
        customer_id: str,
        slate_id: str,
        offers: Sequence[Item],
        *,
        channel: Channel,
        now: datetime,
        until: datetime,
    ) -> Reserved:
        """Take one contact of each offer that has one left, in their order, at once."""
        granted: list[str] = []
        refused: dict[str, Shortage] = {}
        with self._lock:
            self._settle(now)
            book = self._book(customer_id, offers, channel, now)
            for offer in offers:
                shortage = book.shortage_of(offer)
                if shortage is not None:
                    refused[offer.item_id] = shortage
                    continue
                book.reserve(offer)
                granted.append(offer.item_id)
                charged = is_paid_for(offer)
                self._held.append(_Held(slate_id, offer.item_id, customer_id, channel, now, until, charged))
                if charged:
                    self._charge(offer.item_id, now, 1)
        return Reserved(tuple(granted), refused)

    def release(self, customer_id: str, slate_id: str) -> None:
        """Give back what was reserved for a slate that nobody will show."""
        with self._lock:
            for held in [one for one in self._held if one.slate_id == slate_id]:
                self._end(held, gives_back=True)

    def _settle(self, now: datetime) -> None:
        for held in [one for one in self._held if one.until <= now]:
            shown = self._shown(held.customer_id, held.made_at - _CLOCKS_DIFFER)
            self._end(held, gives_back=(held.offer_id, held.slate_id) not in shown)

    def _end(self, held: _Held, *, gives_back: bool) -> None:
        self._held.remove(held)
        if held.is_charged and gives_back:
            self._charge(held.offer_id, held.made_at, -1)

    def _charge(self, offer_id: str, at: datetime, n: int) -> None:
        for day in (None, at.astimezone(UTC).date()):
            self._spent[offer_id, day] += n

    def _book(self, customer_id: str, offers: Sequence[Item], channel: Channel, now: datetime) -> ContactBook:
        ids = self._ids_of(customer_id)
        held = [one for one in self._held if one.customer_id in ids]
        begun = min((one.made_at for one in held), default=now) - _CLOCKS_DIFFER
        contacts = self._shown(customer_id, min(begun, counted_since(offers, self._policy, now)))
        for one in held:
            contact = Contact(
                one.offer_id, one.made_at, one.channel, is_offer=not self._is_content(one.offer_id)
            )
            contacts.setdefault((one.offer_id, one.slate_id), contact)
        today = now.astimezone(UTC).date()
        spent = {
            offer.item_id: Spent(self._spent[offer.item_id, None], self._spent[offer.item_id, today])
            for offer in offers
        }
        return ContactBook(list(contacts.values()), spent, self._policy, channel=channel, now=now)

    def _shown(self, customer_id: str, since: datetime) -> dict[tuple[str, str], Contact]:
        first: dict[tuple[str, str], Contact] = {}
        for who in self._ids_of(customer_id):
            for one in self._events.of_customer(who):
                if one.type != IMPRESSION or one.item_id is None or one.occurred_at <= since:
                    continue
                place = (one.item_id, one.slate_id or f"event {one.event_id}")
                contact = Contact(
                    one.item_id, one.occurred_at, one.channel, is_offer=not self._is_content(one.item_id)
                )
                first[place] = min(first.get(place, contact), contact, key=lambda each: each.at)
        return first

    def _ids_of(self, customer_id: str) -> list[str]:
        owner = self._identities.canonical(customer_id)
        return [owner, *(link.identity_id for link in self._identities.of_customer(owner))]
