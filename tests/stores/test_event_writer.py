"""Group commit: callers share transactions, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsvc.domain.interactions import Interaction
from recsvc.domain.records import Taken
from recsvc.errors import EventConflictError, StoreError, StoreFullError
from recsvc.stores.database import Database, open_database
from recsvc.stores.event_rows import EventRow
from recsvc.stores.event_writer import EventWriter
from recsvc.stores.events import SqlEvents

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)

WRITE_IN_A_FORK = """
import os, sys
from datetime import UTC, datetime
from recsvc.domain.interactions import Interaction
from recsvc.stores.database import open_database
from recsvc.stores.event_writer import EventWriter
from recsvc.stores.events import SqlEvents

now = datetime(2026, 1, 31, tzinfo=UTC)
database = open_database(sys.argv[1])
writer = EventWriter(SqlEvents(database))

def write(name):
    return writer.append([Interaction(name, "click", "c1", "i1", now)], received_at=now).accepted

assert write("parent-before") == 1
child = os.fork()
assert write("child" if child == 0 else "parent-after") == 1
if child == 0:
    writer.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
writer.close()
database.close()
"""

WRITE_MANY = """
import sys
from datetime import UTC, datetime
from recsvc.domain.interactions import Interaction
from recsvc.stores.database import open_database
from recsvc.stores.event_writer import EventWriter
from recsvc.stores.events import SqlEvents

now = datetime(2026, 1, 31, tzinfo=UTC)
database = open_database(sys.argv[1])
writer = EventWriter(SqlEvents(database))
for number in range(30):
    # Every process sends the shared ones too.
    batch = [f"{sys.argv[2]}-{number}", f"shared-{number}"]
    writer.append([Interaction(name, "click", "c1", "i1", now) for name in batch], received_at=now)
writer.close()
database.close()
"""


def a_click(event_id: str, customer_id: str = "c1") -> Interaction:
    return Interaction(event_id, "click", customer_id, "i1", NOW)


@dataclass
class HeldLog:
    """An event log that waits until it is let go, and counts its transactions."""

    log: SqlEvents
    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    groups: list[int] = field(default_factory=list)

    def append_batches(self, batches: Sequence[Sequence[EventRow]]) -> list[int | EventConflictError]:
        self.begun.set()
        assert self.go.wait(10)
        self.groups.append(len(batches))
        return self.log.append_batches(batches)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    yield opened
    opened.close()


@pytest.fixture
def log(database: Database) -> SqlEvents:
    return SqlEvents(database)


@pytest.fixture
def writer(log: SqlEvents) -> Iterator[EventWriter]:
    made = EventWriter(log)
    yield made
    made.close()


def send_while_held(
    held: HeldLog, writer: EventWriter, batches: list[list[Interaction]]
) -> list[Future[Taken]]:
    """Send one batch that is held, then the others, which have to wait together; then let all go."""
    with ThreadPoolExecutor(len(batches) + 1) as pool:
        first = pool.submit(writer.append, [a_click("first")], received_at=NOW)
        assert held.begun.wait(10)
        others = [pool.submit(writer.append, batch, received_at=NOW) for batch in batches]
        wait_until(lambda: writer._commits.n_waiting == len(batches))
        held.go.set()
    assert first.result() == Taken(1, 0)
    return others


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_callers_that_wait_share_one_transaction(log: SqlEvents) -> None:
    held = HeldLog(log)
    writer = EventWriter(held)
    batches = [[a_click(f"{sender}-{number}") for number in range(3)] for sender in range(8)]
    outcomes = send_while_held(held, writer, batches)
    writer.close()
    assert [outcome.result() for outcome in outcomes] == [Taken(3, 0)] * 8
    assert held.groups == [1, 8]
    assert log.count() == 25


def test_a_batch_with_a_conflict_fails_alone(log: SqlEvents) -> None:
    log.append([a_click("taken")], received_at=NOW)
    held = HeldLog(log)
    writer = EventWriter(held)
    conflicting = [a_click("half"), a_click("taken", "c2"), a_click("other-half")]
    good, bad, again = send_while_held(
        held, writer, [[a_click("good")], conflicting, [a_click("taken"), a_click("new")]]
    )
    writer.close()
    assert held.groups == [1, 3]
    assert good.result() == Taken(1, 0)
    assert again.result() == Taken(1, 1)
    with pytest.raises(EventConflictError) as caught:
        bad.result()
    assert caught.value.event_ids == ("taken",)
    assert {event.event_id for event in log.each()} == {"taken", "first", "good", "new"}


def test_of_two_that_contradict_each_other_in_one_group_one_is_stored(log: SqlEvents) -> None:
    held = HeldLog(log)
    writer = EventWriter(held)
    sides = [[a_click("e1", side), a_click(f"of-{side}", side)] for side in ("c1", "c2")]
    outcomes = send_while_held(held, writer, sides)
    writer.close()
    failed = [outcome for outcome in outcomes if isinstance(outcome.exception(), EventConflictError)]
    assert len(failed) == 1
    stored = [event for event in log.each() if event.event_id != "first"]
    assert len(stored) == 2
    assert len({event.customer_id for event in stored}) == 1


def test_the_same_batch_from_several_callers_in_one_group_is_stored_once(log: SqlEvents) -> None:
    held = HeldLog(log)
    writer = EventWriter(held)
    outcomes = send_while_held(held, writer, [[a_click("e1"), a_click("e2")]] * 4)
    writer.close()
    assert sorted(outcome.result().accepted for outcome in outcomes) == [0, 0, 0, 2]
    assert log.count() == 3


def test_every_caller_hears_of_a_store_that_fails_and_the_next_ones_are_served(
    log: SqlEvents, database: Database
) -> None:
    held = HeldLog(log)
    writer = EventWriter(held)
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE events RENAME TO elsewhere")
    with ThreadPoolExecutor(4) as pool:
        outcomes = [pool.submit(writer.append, [a_click(f"e{n}")], received_at=NOW) for n in range(4)]
        held.go.set()
    assert all(isinstance(outcome.exception(), StoreError) for outcome in outcomes)
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO events")
    assert writer.append([a_click("e1")], received_at=NOW) == Taken(1, 0)
    writer.close()


def test_a_full_disk_acknowledges_nothing_and_reading_goes_on(
    database: Database, log: SqlEvents, writer: EventWriter
) -> None:
    writer.append([a_click("e0")], received_at=NOW)
    with database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    acknowledged = {"e0"}
    with pytest.raises(StoreFullError, match="disk is full"):
        for number in range(1, 100):
            batch = [a_click(f"e{number}-{position}") for position in range(50)]
            writer.append(batch, received_at=NOW)
            acknowledged |= {event.event_id for event in batch}
    assert {event.event_id for event in log.each()} == acknowledged
    assert log.known("c1", occurred_after=None, received_after=None, limit=5).interactions
    with database.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert writer.append([a_click("room-again")], received_at=NOW) == Taken(1, 0)


def test_closing_stores_what_waits_and_refuses_what_comes_later(log: SqlEvents) -> None:
    held = HeldLog(log)
    writer = EventWriter(held)
    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(writer.append, [a_click("e0")], received_at=NOW)]
        assert held.begun.wait(10)
        sent += [pool.submit(writer.append, [a_click(f"e{n}")], received_at=NOW) for n in range(1, 5)]
        wait_until(lambda: writer._commits.n_waiting == 4)
        closing = pool.submit(writer.close)
        wait_until(lambda: writer._commits.is_closed)
        with pytest.raises(StoreError, match="is stopping"):
            writer.append([a_click("too-late")], received_at=NOW)
        held.go.set()
        closing.result()
    assert [outcome.result() for outcome in sent] == [Taken(1, 0)] * 5
    assert log.count() == 5
    writer.close()


def test_a_writer_that_was_never_used_has_no_thread_and_can_be_closed(log: SqlEvents) -> None:
    writer = EventWriter(log)
    assert writer.append([], received_at=NOW) == Taken(0, 0)
    assert writer._commits._thread is None
    writer.close()


def test_a_store_that_takes_too_long_is_an_error_and_sending_again_is_safe(log: SqlEvents) -> None:
    held = HeldLog(log)
    writer = EventWriter(held, wait_seconds=0.05)
    with pytest.raises(StoreError, match="send the same events again"):
        writer.append([a_click("e1")], received_at=NOW)
    held.go.set()
    wait_until(lambda: log.count() == 1)
    assert writer.append([a_click("e1")], received_at=NOW) == Taken(0, 1)
    writer.close()


def test_an_event_that_cannot_be_stored_fails_alone(log: SqlEvents) -> None:
    held = HeldLog(log)
    writer = EventWriter(held)
    good, bad = send_while_held_or_refused(held, writer)
    writer.close()
    assert good.result() == Taken(1, 0)
    assert isinstance(bad.exception(), StoreError)


def send_while_held_or_refused(held: HeldLog, writer: EventWriter) -> tuple[Future[Taken], Future[Taken]]:
    with ThreadPoolExecutor(2) as pool:
        good = pool.submit(writer.append, [a_click("good")], received_at=NOW)
        bad = pool.submit(writer.append, [a_click("\ud800")], received_at=NOW)
        held.go.set()
    return good, bad


def test_a_forked_child_writes_on_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    subprocess.run([sys.executable, "-c", WRITE_IN_A_FORK, url], check=True, timeout=60)
    database = open_database(url)
    found = {event.event_id for event in SqlEvents(database).each()}
    database.close()
    assert found == {"parent-before", "parent-after", "child"}


def test_several_processes_write_to_one_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    open_database(url).close()
    running = [subprocess.Popen([sys.executable, "-c", WRITE_MANY, url, str(name)]) for name in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    database = open_database(url)
    assert SqlEvents(database).count() == 4 * 30 + 30
    database.close()


@pytest.mark.skipif(not os.environ.get("RECSVC_TEST_DATABASE_URL"), reason="needs PostgreSQL")
def test_several_processes_write_to_one_postgresql_schema() -> None:
    import uuid

    import sqlalchemy

    plain = os.environ["RECSVC_TEST_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    name = f"recsvc_writers_{uuid.uuid4().hex}"
    server = sqlalchemy.create_engine(plain)
    with server.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    url = server.url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)
    try:
        open_database(url).close()
        running = [subprocess.Popen([sys.executable, "-c", WRITE_MANY, url, str(each)]) for each in range(4)]
        assert [process.wait(60) for process in running] == [0] * 4
        database = open_database(url)
        assert SqlEvents(database).count() == 4 * 30 + 30
        database.close()
    finally:
        with server.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        server.dispose()


def test_a_group_that_grew_leaves_without_those_who_do_not_come_back(log: SqlEvents) -> None:
    held = HeldLog(log)
    writer = EventWriter(held)
    send_while_held(held, writer, [[a_click(f"e{number}")] for number in range(8)])
    before = time.monotonic()
    writer.append([a_click("alone")], received_at=NOW + timedelta(seconds=1))
    assert time.monotonic() - before < 2
    assert held.groups == [1, 8, 1]
    writer.close()
