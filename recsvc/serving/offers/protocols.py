"""What deciding on offers needs of what remembers. `stores` implements these; `bootstrap` joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from recsvc.domain.contacts import Shortage
from recsvc.domain.decisions import Decision, Grounds
from recsvc.domain.items import Channel, Item


class Contacts(Protocol):
    """Counts the contacts of customers with offers, over all channels, and what contacts cost.

    A contact is an impression; several of one slate and offer are one. A reservation holds a contact for a
    slate until it is shown, and comes back by itself where it was not.
    """

    def shortages(
        self, customer_id: str, offers: Sequence[Item], *, channel: Channel, now: datetime
    ) -> Mapping[str, Shortage]:
        """Those of the offers that have no contact left for the customer, and why. Raises StoreError."""
        ...


class OfferLedger(Protocol):
    """Keeps every decision for good, in a chain that shows when anything in it was changed."""

    def enter(
        self, decision: Decision, grounds: Grounds, counted: Sequence[Item], *, until: datetime
    ) -> Mapping[str, Shortage]:
        """Keep the decision and reserve a contact of each counted offer, or neither: then what is short.

        Durable once this returns nothing short. What is reserved comes back at `until` where not shown.

        Raises StoreError: then the list must not go out.
        """
        ...
