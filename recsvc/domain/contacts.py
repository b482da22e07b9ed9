"""How often a customer is met with offers, and at what cost. In: contacts, terms, policy. Out: what is short.

A contact is an offer that a customer was shown: all its impressions on one slate are one. An offer that
stands on a slate and was not shown yet has a reservation, which counts as a contact until it ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from recsvc.domain.items import Channel, Item
from recsvc.policy_offers import ContactCapPolicy, OffersPolicy

_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why an offer has no contact left: `limit` of what is reached by `used`, both in contacts.

    `what` is `cap`, `contact_cap`, `budget`, `daily_budget`, `pacing` or `inventory`; `name` says which one.
    """

    what: str
    name: str
    used: Decimal
    limit: Decimal


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer was shown an item, or is about to be. `channel` None: nobody said, so it counts on each."""

    item_id: str
    at: datetime
    channel: Channel | None
    is_offer: bool = True


@dataclass(frozen=True, slots=True)
class Spent:
    """How many contacts with an offer were paid for, reservations included: in all, and on this day (UTC)."""

    total: int = 0
    today: int = 0


def is_paid_for(offer: Item) -> bool:
    """Whether each contact with the offer takes from something that all customers share."""
    return offer.offer_terms.budget is not None or offer.offer_terms.inventory is not None


def is_counted(offer: Item) -> bool:
    """Whether anything of the offer's own limits its contacts."""
    return bool(offer.offer_terms.caps) or is_paid_for(offer)


def counted_since(offers: Sequence[Item], policy: OffersPolicy, now: datetime) -> datetime:
    """From when on contacts matter to any of the caps."""
    hours = [cap.hours for offer in offers for cap in offer.offer_terms.caps]
    hours += [cap.hours for cap in policy.contact_caps]
    return now - timedelta(hours=max(hours, default=0.0))


class ContactBook:
    """What is known of one customer's contacts at a moment, and what is reserved on top of it."""

    def __init__(
        self,
        contacts: Sequence[Contact],
        spent: Mapping[str, Spent],
        policy: OffersPolicy,
        *,
        channel: Channel,
        now: datetime,
    ) -> None:
        self._contacts = list(contacts)
        self._spent = dict(spent)
        self._policy = policy
        self._channel = channel
        self._now = now

    def shortage_of(self, offer: Item) -> Shortage | None:
        """Why the offer has no contact left; None where it has one."""
        return self._cap_reached(offer) or self._contact_cap_reached() or self._spent_up(offer)

    def reserve(self, offer: Item) -> None:
        """Count one more contact with the offer."""
        self._contacts.append(Contact(offer.item_id, self._now, self._channel))
        spent = self._spent.get(offer.item_id, Spent())
        self._spent[offer.item_id] = Spent(spent.total + 1, spent.today + 1)

    def _cap_reached(self, offer: Item) -> Shortage | None:
        for cap in offer.offer_terms.caps:
            used = sum(
                contact.item_id == offer.item_id and self._is_within(contact, cap.hours)
                for contact in self._contacts
            )
            if used >= cap.most:
                return _shortage("cap", f"{cap.most} in {cap.hours:g} h", used, cap.most)
        return None

    def _contact_cap_reached(self) -> Shortage | None:
        for cap in self._policy.contact_caps:
            if cap.channels and self._channel not in cap.channels:
                continue
            used = sum(
                self._is_within(contact, cap.hours) and _counts(contact, cap) for contact in self._contacts
            )
            if used >= cap.most:
                return _shortage("contact_cap", cap.name, used, cap.most)
        return None

    def _spent_up(self, offer: Item) -> Shortage | None:
        spent, terms = self._spent.get(offer.item_id, Spent()), offer.offer_terms
        if terms.inventory is not None and spent.total >= terms.inventory:
            return _shortage("inventory", "contacts in all", spent.total, terms.inventory)
        if terms.budget is None:
            return None
        budget = terms.budget
        in_all = int(budget.total // budget.unit_cost)
        if spent.total >= in_all:
            return _shortage("budget", "total", spent.total, in_all)
        if budget.daily is not None and spent.today >= (a_day := int(budget.daily // budget.unit_cost)):
            return _shortage("daily_budget", "of the day", spent.today, a_day)
        due = paced(in_all, offer, self._now) if self._policy.pacing == "even" else in_all
        return _shortage("pacing", "due by now", spent.total, due) if spent.total >= due else None

    def _is_within(self, contact: Contact, hours: float) -> bool:
        return contact.at > self._now - timedelta(hours=hours)


def paced(in_all: int, offer: Item, now: datetime) -> int:
    """How many of an offer's contacts may be paid for by now, so that they last as long as it is valid.

    The share of its time that is over, and a day's share more: contacts × (now − from + 1 day) / (to − from),
    rounded up. An offer without both ends has no pace.
    """
    if offer.valid_from is None or offer.valid_to is None:
        return in_all
    share = (now - offer.valid_from + _A_DAY) / (offer.valid_to - offer.valid_from)
    return min(in_all, math.ceil(in_all * max(share, 0.0)))


def _counts(contact: Contact, cap: ContactCapPolicy) -> bool:
    if not (contact.is_offer or cap.content):
        return False
    return not cap.channels or contact.channel is None or contact.channel in cap.channels


def _shortage(what: str, name: str, used: int, limit: int) -> Shortage:
    return Shortage(what, name, Decimal(used), Decimal(limit))
