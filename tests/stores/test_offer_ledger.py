"""Decisions of many callers share transactions, and nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from recsvc.domain.decision_chain import Break
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.offer_terms import OfferTerms
from recsvc.errors import StoreError
from recsvc.policy_offers import OffersPolicy
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.database import Database, open_database
from recsvc.stores.decisions import SqlDecisions
from recsvc.stores.offer_ledger import Outcome, SqlOfferLedger
from recsvc.stores.turns import in_turn
from tests.contract.test_decisions import GROUNDS, NOW, a_decision

FEW = Item("few", ItemKind.OFFER, terms=OfferTerms(inventory=3))
UNTIL = NOW + timedelta(days=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    yield opened
    opened.close()


class WatchedLedger(SqlOfferLedger):
    """Tells when it took the first decisions off the queue: from then on others join no more."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.has_begun = threading.Event()
        super().__init__(*given, **named)

    def _enter_all(self, group: Sequence[Any]) -> list[Outcome | Exception]:
        self.has_begun.set()
        return super()._enter_all(group)


def open_ledger(database: Database, wait_seconds: float = 10.0) -> WatchedLedger:
    contacts = SqlContacts(database, OffersPolicy(), is_content=lambda _: False)
    return WatchedLedger(database, contacts, random_bytes=os.urandom, wait_seconds=wait_seconds)


@pytest.fixture
def ledger(database: Database) -> Iterator[WatchedLedger]:
    opened = open_ledger(database)
    yield opened
    opened.close()


def enter_together(database: Database, ledger: WatchedLedger, *numbers: int) -> list[Future[Outcome]]:
    """Enter decision 0 while another process writes, and the others while it waits; then all go on."""
    with ThreadPoolExecutor(len(numbers) + 1) as pool:
        with in_turn(database):
            first = pool.submit(ledger.enter, a_decision(0), GROUNDS, (), until=UNTIL)
            assert ledger.has_begun.wait(10)
            others = [pool.submit(ledger.enter, a_decision(n), GROUNDS, [FEW], until=UNTIL) for n in numbers]
            wait_until(lambda: ledger.n_waiting == len(numbers))
        assert first.result() == {}
    return others


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kept(database: Database) -> list[str]:
    """The decisions of the log, in a chain that is whole."""
    entries = [one for one, _ in SqlDecisions(database).verified()]
    assert not any(isinstance(one, Break) for one in entries)
    return [one.decision_id or "" for one in entries]


def test_decisions_that_wait_share_one_transaction_and_what_is_left(
    database: Database, ledger: WatchedLedger
) -> None:
    commits: list[object] = []
    event.listen(database._engine, "commit", commits.append)
    outcomes = enter_together(database, ledger, *range(1, 9))
    assert len(commits) == 2
    granted = [n for n, outcome in enumerate(outcomes, 1) if outcome.result() == {}]
    assert len(granted) == 3, "there are three in all"
    assert sorted(kept(database)) == ["s0", *(f"s{n}" for n in granted)]


def test_a_decision_that_cannot_be_kept_fails_alone(database: Database, ledger: WatchedLedger) -> None:
    outcomes = enter_together(database, ledger, 1, 1, 2)
    failed = [outcome for outcome in outcomes if outcome.exception()]
    assert len(failed) == 1 and isinstance(failed[0].exception(), StoreError)
    assert sorted(kept(database)) == ["s0", "s1", "s2"]
    last = ledger.enter(a_decision(3), GROUNDS, [FEW], until=UNTIL)
    assert last == {}, "the one that failed took nothing"


def test_whoever_waited_too_long_hears_of_it_and_is_not_entered_later(database: Database) -> None:
    ledger = open_ledger(database, wait_seconds=0.2)
    with ThreadPoolExecutor(2) as pool:
        with in_turn(database):
            first = pool.submit(ledger.enter, a_decision(0), GROUNDS, (), until=UNTIL)
            assert ledger.has_begun.wait(10)
            with pytest.raises(StoreError, match="there are no offers until"):
                ledger.enter(a_decision(1), GROUNDS, [FEW], until=UNTIL)
        assert isinstance(first.exception(), StoreError)
    ledger.close()
    assert kept(database) == ["s0"], "only what was being written already"


def test_a_ledger_that_is_closed_enters_what_waits_and_nothing_more(
    database: Database, ledger: WatchedLedger
) -> None:
    assert ledger.enter(a_decision(1), GROUNDS, (), until=UNTIL) == {}
    ledger.close()
    with pytest.raises(StoreError, match="stopping"):
        ledger.enter(a_decision(2), GROUNDS, (), until=UNTIL)
    assert kept(database) == ["s1"]
