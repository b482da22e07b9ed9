"""Whoever writes often waits in line with other processes, and not in longer and longer sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.offer_terms import OfferTerms
from recsvc.domain.records import Taken
from recsvc.stores.database import Database, open_database
from recsvc.stores.events import SqlEvents
from recsvc.stores.turns import in_turn
from tests.contract.test_decisions import GROUNDS, a_decision
from tests.offer_ledgers import a_ledger

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
CLICK = Interaction("e1", "click", "c1", "i1", NOW)
FEW = Item("few", ItemKind.OFFER, terms=OfferTerms(inventory=3))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    yield opened
    opened.close()


def store_an_event(database: Database) -> None:
    assert SqlEvents(database).append([CLICK], received_at=NOW) == Taken(1, 0)


def reserve_a_contact(database: Database) -> None:
    with a_ledger(database) as ledger:
        assert ledger.enter(a_decision(1), GROUNDS, [FEW], until=NOW + timedelta(days=99)) == {}


@pytest.mark.parametrize("write", [store_an_event, reserve_a_contact])
def test_a_process_that_writes_often_waits_in_line_and_not_in_sleeps(
    database: Database, write: Callable[[Database], None]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with in_turn(database):
            waiting = pool.submit(write, database)
            time.sleep(0.05)
            assert not waiting.done()
        waiting.result()


@pytest.mark.parametrize("write", [store_an_event, reserve_a_contact])
def test_without_a_place_for_the_line_everybody_writes_out_of_turn(
    database: Database, write: Callable[[Database], None]
) -> None:
    Path(f"{database.where}-line").mkdir()
    write(database)
