"""Take turns at writing. In: a database. Out: one writer at a time, the next in line each time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

from recsvc.stores.database import Database


@contextmanager
def writing_in_turn(database: Database, line: int) -> Iterator[Connection]:
    """A transaction beside which no other of the same line runs. Raises StoreError.

    On PostgreSQL a line is any number that nobody else uses. On SQLite there is only ever one that writes.
    """
    with in_turn(database), database.writing() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (line,))
        yield connection


@contextmanager
def in_turn(database: Database) -> Iterator[None]:
    """Wait in line with the other processes that write: for fairness, never for safety.

    SQLite's own waiting asks again after longer and longer sleeps, so that under load one process may wait
    a second for what others do ten times meanwhile. A file lock wakes the next in line.
    """
    line = _open_line(database.where) if database.dialect == "sqlite" else None
    try:
        if line is not None:
            fcntl.flock(line, fcntl.LOCK_EX)
        yield
    finally:
        if line is not None:
            os.close(line)


def _open_line(where: str) -> int | None:
    # The file stays empty. On a disk too full to hold it, everybody writes out of turn.
    with suppress(OSError):
        return os.open(f"{where}-line", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    return None
