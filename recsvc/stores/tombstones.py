"""Who was erased, and when. In: a customer id. Out: the moment, found by a salted digest of the id.

The id itself is never kept: its HMAC-SHA256 under a random salt stands for it. Whoever holds an id can
ask about it; whoever holds a digest learns nothing. The salt is drawn with the first erasure and stays.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select

from recsvc.domain.moments import from_micros
from recsvc.domain.records import LateErasures
from recsvc.stores.api_keys import TokenSource
from recsvc.stores.database import Database
from recsvc.stores.event_rows import EventRow
from recsvc.stores.tables import events, tombstone_salt, tombstones

SALT_BYTES = 32
_CHUNK = 5_000
_MANY = 20_000  # Up to so many are asked for one by one; for more, all tombstones are read once.

_ONE = "SELECT erased_at FROM tombstones WHERE digest = ?"
_LAST = "SELECT max(sequence) FROM tombstones WHERE sequence > ?"
_AFTER = select(tombstones.c.digest, tombstones.c.sequence).where(tombstones.c.sequence > bindparam("place"))
_SALT = select(tombstone_salt.c.salt).where(tombstone_salt.c.id == 1)
_SOME = select(tombstones.c.digest, tombstones.c.erased_at).where(
    tombstones.c.digest.in_(bindparam("digests", expanding=True))
)
_ALL = select(tombstones.c.digest, tombstones.c.erased_at)


def digest_of(salt: bytes, customer_id: str) -> bytes:
    """What stands for the customer."""
    return hmac.digest(salt, customer_id.encode(), "sha256")


class SqlTombstones:
    """The tombstones of the store, to look up."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._salt: bytes | None = None

    def salt(self) -> bytes | None:
        """The salt of the digests; None while nobody was ever erased. Raises StoreError."""
        if self._salt is None:
            row = self._database.look_up("SELECT salt FROM tombstone_salt WHERE id = ?", (1,))
            self._salt = None if row is None else bytes(row[0])
        return self._salt

    def erased_at(self, customer_id: str) -> datetime | None:
        """When the customer was last erased; None for one who never was. Raises StoreError."""
        salt = self.salt()
        if salt is None:
            return None
        row = self._database.look_up(_ONE, (digest_of(salt, customer_id),))
        return None if row is None else from_micros(row[0])

    def erased_among(self, customer_ids: Iterable[str]) -> Mapping[str, datetime]:
        """Those of the customers who were erased, and when. Raises StoreError."""
        if self.salt() is None:
            return {}
        with self._database.reading() as connection:
            found = self._find(connection, customer_ids)
        return {customer_id: from_micros(erased_at) for customer_id, erased_at in found.items()}

    def last_erasure(self) -> int:
        """The place of the last erasure in their order; 0 while there is none. Raises StoreError."""
        row = self._database.look_up(_LAST, (0,))
        return 0 if row is None or row[0] is None else int(row[0])

    def erased_after(self, sequence: int) -> LateErasures | None:
        """The erasures after a place in their order; None while there are none. Raises StoreError."""
        row = self._database.look_up(_LAST, (sequence,))
        salt = self.salt()
        if row is None or row[0] is None or salt is None:
            return None
        with self._database.reading() as connection:
            rows = connection.execute(_AFTER, {"place": sequence}).all()
        digests = {bytes(row.digest) for row in rows}

        def among(customer_ids: Collection[str]) -> Collection[str]:
            return {each for each in customer_ids if digest_of(salt, each) in digests}

        return LateErasures(max(row.sequence for row in rows), among)

    def leave_out(self, connection: Connection, rows: Sequence[EventRow]) -> Sequence[EventRow]:
        """The rows without those that occurred before their customer was erased: they came too late.

        Within the transaction that stores them.
        """
        erased = self.erased_before(connection, events, {row.customer_id for row in rows})
        if not erased:
            return rows
        return [row for row in rows if row.occurred_at > erased.get(row.customer_id, row.occurred_at - 1)]

    def erased_before(
        self, connection: Connection, table: Table, customer_ids: Collection[str]
    ) -> Mapping[str, int]:
        """Those of the customers who were erased, and when, in microseconds.

        Within the transaction that stores rows of theirs in the table. Erasures of other processes come
        before it or after it and never between this look and the end: else such a row would outlive one.
        """
        if self._database.dialect == "postgresql":
            connection.exec_driver_sql(f"LOCK TABLE {table.name} IN ROW EXCLUSIVE MODE")
        return {} if self.salt() is None else self._find(connection, customer_ids)

    def _find(self, connection: Connection, customer_ids: Iterable[str]) -> dict[str, int]:
        salt = self.salt() or b""
        ids = {digest_of(salt, customer_id): customer_id for customer_id in customer_ids}
        digests = list(ids)
        if len(digests) > _MANY:
            rows: Iterable[Any] = connection.execute(_ALL)
        else:
            starts = range(0, len(digests), _CHUNK)
            chunks = (connection.execute(_SOME, {"digests": digests[i : i + _CHUNK]}) for i in starts)
            rows = chain.from_iterable(chunks)
        return {ids[row.digest]: row.erased_at for row in rows if row.digest in ids}


def draw_salt(database: Database, connection: Connection, tokens: TokenSource) -> bytes:
    """The salt, drawn now if this is the first erasure. Within a writing transaction."""
    salt: bytes | None = connection.execute(_SALT).scalar_one_or_none()
    if salt is None:
        drawn = bytes.fromhex(tokens(SALT_BYTES))
        first = database.insert(tombstone_salt).values(id=1, salt=drawn).on_conflict_do_nothing()
        connection.execute(first)
        salt = connection.execute(_SALT).scalar_one()
    return salt
