"""Open the store. In: a SQLAlchemy URL. Out: a `Database` whose every failure is a StoreError."""

from __future__ import annotations

import os
import re
import sqlite3
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from recsvc.errors import StoreError, StoreFullError
from recsvc.stores import schema
from recsvc.stores.engines import WRITES, make_engine

T = TypeVar("T")
Ask = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""Every row of a statement in the driver's own words, with its parameters; of a mere change, none."""

_PLACE = re.compile(r":(\w+)")

_POSTGRESQL_FULL = "53100"


class Database:
    """An open store: its connections, and what differs between SQLite and PostgreSQL.

    Safe to share between threads. After a fork, the child opens connections of its own.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.dialect = engine.dialect.name
        """`sqlite` or `postgresql`."""
        # A read is one statement: PostgreSQL is spared the round trip that begins a transaction for it.
        self._reader = (
            engine if self.dialect == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._writer = engine.execution_options(**{WRITES: True})
        self.where = _place_of(engine.url)
        self._idle: deque[Any] = deque()
        self._of_parent: list[object] = []
        _opened.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from. Raises StoreError for whatever the database says."""
        with self._translating(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back on any error. Raises StoreError."""
        with self._translating(), self._writer.begin() as connection:
            yield connection

    def look_up(self, statement: str, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The first row of a query in the driver's own words, its places written as `?`. Raises StoreError.

        For what is asked on every request: SQLAlchemy's handling would cost several times the query.
        """
        if self.dialect != "sqlite":
            with self.reading() as connection:
                row = connection.exec_driver_sql(statement.replace("?", "%s"), parameters).first()
                return None if row is None else tuple(row)
        found: tuple[Any, ...] | None = self._ask(lambda to: to.execute(statement, parameters).fetchone())
        return found

    def look_up_all(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Every row of a query in the driver's own words, but with `:name` for a place. Raises StoreError."""
        if self.dialect != "sqlite":
            with self.reading() as connection:
                return self.asking(connection)(statement, parameters)
        found: list[tuple[Any, ...]] = self._ask(lambda to: to.execute(statement, parameters).fetchall())
        return found

    def asking(self, connection: Connection) -> Ask:
        """What asks as `look_up_all` does, and changes too, in a transaction that is open."""
        if self.dialect == "sqlite":
            driver = _driver_of(connection)
            return lambda statement, values: driver.execute(statement, values).fetchall()

        def ask(statement: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
            found = connection.exec_driver_sql(_postgresql(statement), dict(values))
            return found.all() if found.returns_rows else ()

        return ask

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ON CONFLICT, in the database's own dialect."""
        return sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert rows, in the order of the table's columns, but those whose key is there; how many were new.

        A column that the database numbers is left out of the rows, which get their numbers in their order.
        Goes straight to the driver: SQLAlchemy's handling of each row would cost as much as storing it.
        """
        if self.dialect == "sqlite":
            inserted: int = _driver_of(connection).executemany(_insert_new_sqlite(table), rows).rowcount
            return inserted
        columns = tuple(map(list, zip(*rows, strict=True)))
        return connection.exec_driver_sql(_insert_new_postgresql(table), columns).rowcount

    def close(self) -> None:
        """Close every connection; one that is in use, once it is no more."""
        idle, self._idle = self._idle, deque()
        _close_all(idle)
        self._engine.dispose()

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Put a question to a connection to SQLite. Raises StoreError.

        To borrow one of the pool costs as much as the question, so a few that are idle are kept. No thread
        keeps one for itself: where a thread of the server ends, the driver must not be closing connections,
        for what it calls back then ends the thread's state twice, and the process with it.
        """
        idle = self._idle
        try:
            try:
                connection = idle.pop()
            except IndexError:
                connection = self._connect_alone()
            try:
                return question(connection)
            finally:
                idle.append(connection)
                if idle is not self._idle:  # The store was closed meanwhile.
                    _close_all(idle)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self._translated(error) from error

    def _connect_alone(self) -> Any:
        borrowed = self._engine.raw_connection()
        borrowed.detach()
        return borrowed.dbapi_connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> StoreError:
        kind = StoreFullError if _is_full(error) else StoreError
        return kind(self._sentence(error))

    def _forget_parent(self) -> None:
        # The parent's connections are left alone and kept: to close one here would disturb the parent.
        self._of_parent += (self._engine.pool, *self._idle)
        self._idle = deque()
        self._engine.dispose(close=False)

    def _sentence(self, error: Exception) -> str:
        # Only the driver's own first line: SQLAlchemy adds the parameters, which are customers' data.
        cause: object = error.orig if isinstance(error, DBAPIError) else error
        lines = str(cause).strip().splitlines()
        said = lines[0].strip() if lines else type(error).__name__
        password = self._engine.url.password
        if password:
            said = said.replace(str(password), "***")
        return f"the store at {self.where} cannot answer: {said}; {_remedy(self.dialect)}"


def _driver_of(connection: Connection) -> Any:
    """The driver's own connection, within the transaction that SQLAlchemy began on it."""
    return connection.connection.dbapi_connection


def _close_all(idle: deque[Any]) -> None:
    with suppress(IndexError):
        while True:
            idle.pop().close()


_opened: weakref.WeakSet[Database] = weakref.WeakSet()


def open_database(url: str) -> Database:
    """Open the store at a SQLAlchemy URL, and bring its schema up to date.

    Raises:
        StoreError: the URL cannot be used, its driver is missing, the server does not answer, the file
            cannot be opened, or the database was made by a newer release.
    """
    database = Database(make_engine(url))
    try:
        with database.reading() as connection:
            current = schema.is_current(connection)
        if not current:
            with database.writing() as connection:
                schema.upgrade(connection)
    except BaseException:
        database.close()
        raise
    return database


@cache
def _postgresql(statement: str) -> str:
    """The statement with its places as that driver wants them."""
    return _PLACE.sub(r"%(\1)s", statement)


@cache
def _insert_new_sqlite(table: Table) -> str:
    places = ", ".join("?" for _ in _given(table))
    return f"INSERT INTO {table.name} ({_names(table)}) VALUES ({places}) ON CONFLICT DO NOTHING"


@cache
def _insert_new_postgresql(table: Table) -> str:
    # One statement over an array per column: a row at a time is eight times slower and is not counted.
    types = {int: "bigint", bytes: "bytea"}
    arrays = ", ".join(f"%s::{types.get(column.type.python_type, 'text')}[]" for column in _given(table))
    return f"INSERT INTO {table.name} ({_names(table)}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"


def _names(table: Table) -> str:
    return ", ".join(column.name for column in _given(table))


def _given(table: Table) -> list[Column[Any]]:
    """The columns that the database does not fill by itself."""
    return [column for column in table.columns if column.identity is None]


def _is_full(error: Exception) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return getattr(cause, "sqlstate", None) == _POSTGRESQL_FULL


def _place_of(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _remedy(dialect: str) -> str:
    if dialect == "sqlite":
        return "check that the file is a recsvc store, that it can be written, and that the disk is not full"
    return "check DATABASE_URL and that PostgreSQL is running"


def _forget_parents() -> None:
    for database in list(_opened):
        database._forget_parent()


os.register_at_fork(after_in_child=_forget_parents)
