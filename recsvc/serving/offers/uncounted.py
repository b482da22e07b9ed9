"""What stands in where nothing is counted or kept. In: offers. Out: what may go on without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from recsvc.domain.contacts import Shortage, is_counted
from recsvc.domain.decisions import Decision, Grounds
from recsvc.domain.items import Channel, Item

_NOT_COUNTED = Shortage("cap", "not counted", Decimal(0), Decimal(0))


class NobodyCounts:
    """Where nobody counts contacts, an offer that may only have so many has none left."""

    def shortages(
        self, customer_id: str, offers: Sequence[Item], *, channel: Channel, now: datetime
    ) -> Mapping[str, Shortage]:
        """Those of the offers that have a cap, a budget or an inventory."""
        return {one.item_id: _NOT_COUNTED for one in offers if is_counted(one)}


class NothingEntered:
    """A ledger for lists that nobody will be shown."""

    def enter(
        self, decision: Decision, grounds: Grounds, counted: Sequence[Item], *, until: datetime
    ) -> Mapping[str, Shortage]:
        """All are granted: the decision is of no list that goes out."""
        return {}


NOBODY_COUNTS = NobodyCounts()
NOTHING_ENTERED = NothingEntered()
