"""What deciding on offers needs of what remembers. `stores` implements these; `bootstrap` joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from recsvc.domain.contacts import Reserved, Shortage
from recsvc.domain.decisions import Decision, Grounds
from recsvc.domain.items import Channel, Item

__all__ = ["Contacts", "DecisionLog", "Reserved", "Shortage"]


class Contacts(Protocol):
    """Counts the contacts of customers with offers, over all channels, and what contacts cost.

    A contact is an impression; several of one slate and offer are one. A reservation holds a contact for a
    slate until it is shown, and comes back by itself at `until` where it was not.
    """

    def shortages(
        self, customer_id: str, offers: Sequence[Item], *, channel: Channel, now: datetime
    ) -> Mapping[str, Shortage]:
        """Those of the offers that have no contact left for the customer, and why. Raises StoreError."""
        ...

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
        """Take one contact of each offer that has one left, in their order, at once. Raises StoreError."""
        ...

    def release(self, customer_id: str, slate_id: str) -> None:
        """Give back what was reserved for a slate that nobody will show. Raises StoreError."""
        ...


class DecisionLog(Protocol):
    """Keeps every decision for good, in a chain that shows when anything in it was changed."""

    def append(self, decision: Decision, grounds: Grounds) -> None:
        """Keep the decision and what it stands on; durable once this returns.

        Raises StoreError: then the list must not go out.
        """
        ...
