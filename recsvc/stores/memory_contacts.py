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
    Shortage,
    Spent,
    counted_since,
    is_paid_for,
)
from recsvc.domain.decisions import Decision, Grounds
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

    def take(self, decision: Decision, offers: Sequence[Item], *, until: datetime) -> dict[str, Shortage]:
        """Take one contact of each offer for the slate of a decision, or none: then what is short."""
        who, now, short = decision.customer_id, decision.decided_at, dict[str, Shortage]()
        with self._lock:
            self._settle(now)
            book = self._book(who, offers, decision.channel, now)
            for offer in offers:
                shortage = book.shortage_of(offer)
                if shortage is None:
                    book.reserve(offer)
                else:
                    short[offer.item_id] = shortage
            for offer in () if short else offers:
                place = (decision.decision_id, offer.item_id, who, decision.channel)
                self._held.append(_Held(*place, now, until, is_paid_for(offer)))
                if is_paid_for(offer):
                    self._charge(offer.item_id, now, 1)
        return short

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


class MemoryOfferLedger:
    """Keeps decisions with what they reserve, each or neither."""

    def __init__(self, contacts: MemoryContacts) -> None:
        self._contacts = contacts
        self.kept: list[Decision] = []
        self.grounds: dict[str, Grounds] = {}

    def enter(
        self, decision: Decision, grounds: Grounds, counted: Sequence[Item], *, until: datetime
    ) -> Mapping[str, Shortage]:
        """Keep the decision and reserve a contact of each counted offer, or neither: then what is short."""
        short = self._contacts.take(decision, counted, until=until)
        if not short:
            self.kept.append(decision)
            self.grounds[grounds.digest] = grounds
        return short
