"""Stores of earlier releases: brought up to date with everything that they hold."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from recsvc.stores import schema
from recsvc.stores.database import Database, open_database
from recsvc.stores.event_rows import EventRow
from recsvc.stores.events import SqlEvents
from recsvc.stores.tables import METADATA

POSTGRESQL_URL = os.environ.get("RECSVC_TEST_DATABASE_URL", "")


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param(
            "postgresql",
            marks=pytest.mark.skipif(not POSTGRESQL_URL, reason="RECSVC_TEST_DATABASE_URL is not set"),
        ),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a store may be made."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite3'}"
        return
    server = sqlalchemy.create_engine(POSTGRESQL_URL.replace("postgresql://", "postgresql+psycopg://"))
    name = f"recsvc_old_{uuid.uuid4().hex}"
    with server.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    yield server.url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)
    with server.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
    server.dispose()


def upgrade_to(revision: str, connection: Connection) -> None:
    """Bring a store to a revision that need not be the newest."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def an_old_store(url: str, revision: str, statement: str, rows: list[dict[str, Any]]) -> None:
    """Make a store as an earlier release left it."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        upgrade_to(revision, connection)
        connection.execute(text(statement), rows)
    engine.dispose()


def sequences(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_events_are_numbered_in_the_order_in_which_they_were_received(url: str) -> None:
    def a_row(event_id: str, occurred_at: int, received_at: int) -> EventRow:
        return EventRow(event_id, "c1", "i1", "view", occurred_at, "web", '{"position":2}', b"d", received_at)

    rows = [a_row("b", 5, 20), a_row("a", 9, 10), a_row("d", 4, 20), a_row("c", 4, 20)]
    names = ", ".join(EventRow._fields)
    places = ", ".join(f":{name}" for name in EventRow._fields)
    statement = f"INSERT INTO events ({names}) VALUES ({places})"
    an_old_store(url, "0003", statement, [row._asdict() for row in rows])
    with closing(open_database(url)) as database:
        found = sequences(database, f"SELECT sequence, {names} FROM events ORDER BY sequence")
        assert found == [(1, *rows[1]), (2, *rows[3]), (3, *rows[2]), (4, *rows[0])]
        assert [event.event_id for event in SqlEvents(database).each()] == ["c", "d", "b", "a"]
        with database.reading() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_tombstones_are_numbered_in_the_order_of_the_erasures(url: str) -> None:
    statement = "INSERT INTO tombstones (digest, erased_at, receipt) VALUES (:digest, :erased_at, '{}')"
    rows = [{"digest": b"x", "erased_at": 7}, {"digest": b"y", "erased_at": 5}]
    an_old_store(url, "0003", statement, rows)
    with closing(open_database(url)) as database:
        found = sequences(database, "SELECT sequence, digest FROM tombstones ORDER BY sequence")
        assert [(number, bytes(digest)) for number, digest in found] == [(1, b"y"), (2, b"x")]
