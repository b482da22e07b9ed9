"""What was deleted leaves no byte behind, and is only searched for and rewritten as far as that needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recsvc.stores.compaction import compact
from recsvc.stores.database import Database, open_database

NAME = "customer-to-erase"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    yield opened
    opened.close()


def put(store: Database, document: str) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM customers")
        connection.exec_driver_sql("INSERT INTO customers VALUES ('c1', ?, 0, 0)", (document,))


def size_of_log(store: Database) -> int:
    return Path(f"{store.where}-wal").stat().st_size


def test_the_log_is_empty_afterwards(store: Database) -> None:
    put(store, NAME)
    put(store, "nothing")
    assert size_of_log(store) > 0
    assert compact(store, NAME, unhurried=False)
    assert size_of_log(store) == 0


def test_a_file_in_which_something_is_left_is_written_anew(store: Database) -> None:
    # Other connections may leave what this release would overwrite: an older one, or a person's.
    with closing(sqlite3.connect(store.where)) as careless, careless:
        careless.execute("PRAGMA secure_delete=OFF")
        careless.execute("INSERT INTO customers VALUES (?, 'x', 0, 0)", (NAME,))
    with closing(sqlite3.connect(store.where)) as careless, careless:
        careless.execute("PRAGMA secure_delete=OFF")
        careless.execute("DELETE FROM customers")
    assert compact(store, None, unhurried=False)
    store.close()
    assert NAME.encode() not in Path(store.where).read_bytes()


@pytest.mark.parametrize("name", [NAME, "17"])
def test_what_is_still_held_elsewhere_does_not_keep_it_from_ending(store: Database, name: str) -> None:
    put(store, f"somebody else mentions {name}")
    assert compact(store, name, unhurried=False)


def test_while_a_reader_needs_the_old_state_it_is_not_done(store: Database) -> None:
    put(store, NAME)
    with closing(sqlite3.connect(store.where, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM customers").fetchall()
        put(store, "nothing")
        assert not compact(store, NAME, unhurried=False)
    assert compact(store, NAME, unhurried=False)


def test_the_patience_of_the_connection_is_as_before(store: Database) -> None:
    compact(store, NAME, unhurried=False)
    with store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 10_000
