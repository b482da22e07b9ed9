"""What stands in where nothing is counted or kept. In: offers. Out: what may go on without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from recsvc.domain.contacts import Reserved, Shortage, is_counted
from recsvc.domain.decisions import Decision, Grounds
from recsvc.domain.items import Channel, Item
from recsvc.serving.offers.protocols import Contacts

_NOT_COUNTED = Shortage("cap", "not counted", Decimal(0), Decimal(0))


class NobodyCounts:
    """Where nobody counts contacts, an offer that may only have so many has none left."""

    def shortages(
        self, customer_id: str, offers: Sequence[Item], *, channel: Channel, now: datetime
    ) -> Mapping[str, Shortage]:
        """Those of the offers that have a cap, a budget or an inventory."""
        return {one.item_id: _NOT_COUNTED for one in offers if is_counted(one)}

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
        """Nothing is taken of what is not counted."""
        refused = self.shortages(customer_id, offers, channel=channel, now=now)
        return Reserved(tuple(one.item_id for one in offers if one.item_id not in refused), refused)

    def release(self, customer_id: str, slate_id: str) -> None:
        """There is nothing to give back."""


class LookOnly:
    """For lists that nobody will be shown: counts are looked at, and nothing is taken."""

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts

    def shortages(
        self, customer_id: str, offers: Sequence[Item], *, channel: Channel, now: datetime
    ) -> Mapping[str, Shortage]:
        """What the counts say. Raises StoreError."""
        return self._contacts.shortages(customer_id, offers, channel=channel, now=now)

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
        """All are granted: nobody will be shown them."""
        return Reserved(tuple(one.item_id for one in offers), {})

    def release(self, customer_id: str, slate_id: str) -> None:
        """There is nothing to give back."""


class NothingKept:
    """A log for lists that nobody will be shown."""

    def append(self, decision: Decision, grounds: Grounds) -> None:
        """The decision is of no list that goes out."""


NOBODY_COUNTS = NobodyCounts()
NOTHING_KEPT = NothingKept()
