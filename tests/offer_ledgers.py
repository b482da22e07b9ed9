"""Enter decisions in a store, as workers do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from recsvc.domain.decisions import Decision, Grounds
from recsvc.policy_offers import OffersPolicy
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.database import Database
from recsvc.stores.offer_ledger import SqlOfferLedger

HELD = timedelta(minutes=30)


@contextmanager
def a_ledger(database: Database, policy: OffersPolicy | None = None) -> Iterator[SqlOfferLedger]:
    """A ledger in which nothing is content."""
    contacts = SqlContacts(database, policy or OffersPolicy(), is_content=lambda _: False)
    ledger = SqlOfferLedger(database, contacts, random_bytes=os.urandom)
    try:
        yield ledger
    finally:
        ledger.close()


def enter(database: Database, decision: Decision, grounds: Grounds) -> None:
    """Keep a decision that holds no contact."""
    with a_ledger(database) as ledger:
        assert ledger.enter(decision, grounds, (), until=decision.decided_at + HELD) == {}
