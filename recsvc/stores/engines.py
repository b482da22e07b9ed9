"""Make the engine of a store. In: a SQLAlchemy URL. Out: connections that are as durable as they say."""

from __future__ import annotations

import importlib.util
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from recsvc.errors import StoreError

WRITES = "recsvc_writes"
"""The execution option of connections that write."""

_BUSY_SECONDS = 10.0
_CONNECT_SECONDS = 5


def make_engine(url: str) -> Engine:
    """The engine at a SQLAlchemy URL; nothing is asked of the server yet.

    Raises:
        StoreError: the URL cannot be used, its driver is missing, or the folder cannot be made.
    """
    parsed = _parse(url)
    return _sqlite_engine(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql_engine(parsed)


def _parse(url: str) -> URL:
    try:
        # `postgres` and a bare `postgresql` would ask for psycopg2.
        scheme, colon, rest = url.partition("://")
        if scheme in {"postgres", "postgresql"}:
            scheme = "postgresql+psycopg"
        parsed = make_url(scheme + colon + rest)
    except (ArgumentError, ValueError):
        # Nothing of the URL is repeated: what was taken for a port may be half a password.
        parsed = None
    if parsed is None or parsed.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise StoreError(
            "DATABASE_URL is not a store that recsvc can use: "
            "write sqlite:////absolute/path.sqlite3 or postgresql://user:password@host:5432/name"
        ) from None
    return parsed


def _sqlite_engine(url: URL) -> Engine:
    path = url.database
    if not path or path == ":memory:" or path.startswith("file:"):
        raise StoreError(
            "the SQLite store must be a file: write DATABASE_URL as sqlite:////absolute/path.sqlite3"
        )
    folder = Path(path).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder {folder} of the store cannot be made ({error.strerror}): "
            "choose another with RECSVC_DATA_DIR or DATABASE_URL"
        ) from error
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # Transactions are begun by hand: the driver begins too late to guard a read before a write.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        _write_ahead(cursor)
        cursor.execute("PRAGMA synchronous=FULL")  # An acknowledged event survives a power cut.
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")  # What is deleted is overwritten with zeros.
    finally:
        cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    # A new file is switched once, and for that one step SQLite does not wait for others by itself.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: upgrading a reader to a writer fails at once when another was quicker.
    # A reader begins nothing, so that each statement sees the newest state and none holds the log back.
    if connection.get_execution_options().get(WRITES):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql_engine(url: URL) -> Engine:
    if importlib.util.find_spec("psycopg") is None:
        raise StoreError(
            "DATABASE_URL names PostgreSQL, but its driver is not installed: pip install 'recsvc[postgresql]'"
        )
    return create_engine(
        url,
        pool_pre_ping=True,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "recsvc"},
    )
