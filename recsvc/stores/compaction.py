"""Leave no byte of what was deleted. In: a store, the text that must be gone. Out: whether it is.

SQLite overwrites what it deletes (`secure_delete`), but a page that was split or merged may keep a copy of a
row beside its cells: of one deleted customer in fifty something is left. So the log is folded into the file,
the file is searched, and only where something is left is it written anew, which takes long for a large one.

PostgreSQL cleans up after itself: VACUUM makes the space of deleted rows free, and the server's own files and
logs are the server's.
"""

from __future__ import annotations

import os
import subprocess
import sys

from sqlalchemy import Connection

from recsvc.stores.database import Database

_SURELY_NO_CHANCE = 6  # A text of so many bytes is not found in other data by chance.
_QUICK_BYTES = 64 * 2**20  # A file of so many bytes is written anew within about a second.
_SEARCH_SECONDS = 60
_HURRY_MS = 200  # How long a caller in a hurry waits for readers and writers.
_CLEANED = ("events", "customers", "exposures", "identities", "reservations", "decisions", "erasures_pending")

# In a process of its own: to close a file that SQLite has open would drop the locks that this process
# holds on it (https://www.sqlite.org/howtocorrupt.html, 2.2). The text comes on standard input, for
# everybody may read a command line.
_SEARCH = """
import sys
wanted = sys.stdin.buffer.read()
for path in sys.argv[1:]:
    try:
        stream = open(path, "rb")
    except FileNotFoundError:
        continue
    before = b""
    while piece := stream.read(1 << 20):
        if wanted in before + piece:
            sys.exit(1)
        before = piece[-len(wanted):]
"""


def compact(database: Database, name: str | None, *, unhurried: bool) -> bool:
    """Overwrite what was deleted; whether nothing of it is left. `name` None: nobody knows what to look for.

    Raises:
        StoreError: the store cannot answer, or is busy.
    """
    with database.reading() as connection:
        if database.dialect == "postgresql":
            for table in _CLEANED:
                connection.exec_driver_sql(f"VACUUM {table}")
            return True
        if not _fold_log(connection, unhurried=unhurried):
            return False
        if name is not None and not _may_be_left(database.where, name):
            return True
        if not unhurried and os.path.getsize(database.where) > _QUICK_BYTES:
            return False
        connection.exec_driver_sql("VACUUM")
        return _fold_log(connection, unhurried=unhurried)


def _fold_log(connection: Connection, *, unhurried: bool) -> bool:
    """Write the log into the file and empty it; False while a reader still needs an older state."""
    patience_ms = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    try:
        if not unhurried:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_HURRY_MS}")
        busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={patience_ms}")
    return not busy


def _may_be_left(path: str, name: str) -> bool:
    """Whether the bytes of the name stand in the store's files, or cannot be told from others."""
    if len(name.encode()) < _SURELY_NO_CHANCE:
        return True
    command = [sys.executable, "-I", "-S", "-c", _SEARCH, path, f"{path}-wal"]
    try:
        searched = subprocess.run(
            command, input=name.encode(), capture_output=True, timeout=_SEARCH_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return searched.returncode != 0
