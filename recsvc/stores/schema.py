"""Bring a database to this release's schema. In: an open transaction. Out: the schema, or a refusal.

alembic is loaded only when there is something to do: a worker that opens a database which is up to date
pays for one SELECT.
"""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from recsvc.errors import StoreError
from recsvc.stores import offer_tables as offer_tables  # Its tables count too.

HEAD = "0009"  # The newest revision in migrations/versions.
MIGRATIONS = Path(__file__).parent / "migrations"

_ALEMBIC_LOCK = threading.Lock()  # alembic keeps its current context in a module, one for all threads.
_POSTGRESQL_LOCK = 0x7265_6373_7663  # "recsvc": any number will do, so long as it stays the same.


def is_current(connection: Connection) -> bool:
    """Whether the database is at this release's schema.

    Raises:
        StoreError: the database was made by a newer release.
    """
    found = _revision_of(connection)
    if found is not None and found not in _known_revisions():
        raise StoreError(
            f"the store has schema {found}, which is newer than this release knows (up to {HEAD}): "
            "install the release that made it, or point DATABASE_URL at another database"
        )
    return found == HEAD


def upgrade(connection: Connection) -> None:
    """Upgrade the schema within the connection's transaction, which must be a writing one.

    Of several processes that start at once, one upgrades and the others wait, then find it done: on
    SQLite the writing transaction is the lock, on PostgreSQL an advisory lock is.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
    if is_current(connection):
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _ALEMBIC_LOCK:
        command.upgrade(config, "head")


def _revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _known_revisions() -> set[str]:
    return {path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}
