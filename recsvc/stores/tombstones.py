"""Who was erased, and when. In: a customer id. Out: the moment, found by a salted digest of the id.

The id itself is never kept: its HMAC-SHA256 under a random salt stands for it. Whoever holds an id can
ask about it; whoever holds a digest learns nothing. The salt is drawn with the first erasure and stays.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from recsvc.stores.api_keys import TokenSource
from recsvc.stores.database import Database
from recsvc.stores.tables import from_micros, tombstone_salt, tombstones

SALT_BYTES = 32
_FEW = 500  # Up to so many are asked for by name; for more, all tombstones are read once.

_ONE = "SELECT erased_at FROM tombstones WHERE digest = ?"
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
        salt = self.salt()
        if salt is None:
            return {}
        by_digest = {digest_of(salt, customer_id): customer_id for customer_id in customer_ids}
        few = len(by_digest) <= _FEW
        with self._database.reading() as connection:
            rows = connection.execute(_SOME if few else _ALL, {"digests": list(by_digest)} if few else {})
            return {
                by_digest[row.digest]: from_micros(row.erased_at) for row in rows if row.digest in by_digest
            }


def draw_salt(database: Database, connection: Connection, tokens: TokenSource) -> bytes:
    """The salt, drawn now if this is the first erasure. Within a writing transaction."""
    salt: bytes | None = connection.execute(_SALT).scalar_one_or_none()
    if salt is None:
        drawn = bytes.fromhex(tokens(SALT_BYTES))
        first = database.insert(tombstone_salt).values(id=1, salt=drawn).on_conflict_do_nothing()
        connection.execute(first)
        salt = connection.execute(_SALT).scalar_one()
    return salt
