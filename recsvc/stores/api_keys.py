"""API keys in SQL. In: a label, scopes, a source of chance. Out: a key shown once, later only its digest.

A key reads `rk_<key_id>_<secret>`: the id finds the row, and the digest of the whole text proves the rest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from recsvc.domain.access import ApiKey, NewApiKey, Scope
from recsvc.domain.moments import from_micros, to_micros
from recsvc.stores.database import Database
from recsvc.stores.tables import api_keys

TokenSource = Callable[[int], str]
"""Random bytes as hexadecimal text, twice as many digits as bytes asked for: `secrets.token_hex`."""

_KEY = re.compile(r"rk_([0-9a-f]{16})_[0-9a-f]{64}")


def key_id_of(key: str) -> str | None:
    """The id within a key's text; None when the text is no key."""
    match = _KEY.fullmatch(key)
    return match.group(1) if match else None


def digest_of(key: str) -> str:
    """The SHA-256 of a key's whole text, as hexadecimal digits.

    A plain hash is enough: a secret of 256 random bits cannot be guessed, however quick the guesses.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def new_key(
    label: str, scopes: Iterable[Scope], now: datetime, tokens: TokenSource
) -> tuple[NewApiKey, ApiKey]:
    """Draw a key: what its owner is shown, and what is stored."""
    key_id = tokens(8)
    key = f"rk_{key_id}_{tokens(32)}"
    held = frozenset(scopes)
    return NewApiKey(key_id, key, held), ApiKey(key_id, digest_of(key), label, held, now)


class SqlApiKeys:
    """Who may call, by key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, label: str, scopes: Iterable[Scope], *, now: datetime, tokens: TokenSource) -> NewApiKey:
        """Make a key and store its digest: the only moment when its text is known. Raises StoreError."""
        shown, stored = new_key(label, scopes, now, tokens)
        row = {
            "key_id": stored.key_id,
            "digest": stored.digest,
            "label": stored.label,
            "scopes": " ".join(sorted(stored.scopes)),
            "created_at": to_micros(stored.created_at),
        }
        with self._database.writing() as connection:
            connection.execute(insert(api_keys), row)
        return shown

    def find(self, key_id: str) -> ApiKey | None:
        """The key, revoked or not; None when there is none of that id. Raises StoreError."""
        with self._database.reading() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
        return None if row is None else _decode(row)

    def each(self) -> Iterator[ApiKey]:
        """Every key, the revoked ones included, oldest first. Raises StoreError."""
        oldest_first = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
        with self._database.reading() as connection:
            rows = connection.execute(oldest_first).all()
        return map(_decode, rows)

    def revoke(self, key_id: str, now: datetime) -> bool:
        """End a key; False when there is none of that id. Again changes nothing. Raises StoreError."""
        ended = update(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
        with self._database.writing() as connection:
            connection.execute(ended.values(revoked_at=to_micros(now)))
        return self.find(key_id) is not None


def _decode(row: Row[Any]) -> ApiKey:
    known = {scope.value: scope for scope in Scope}
    return ApiKey(
        key_id=row.key_id,
        digest=row.digest,
        label=row.label,
        # A scope that this release does not know grants nothing.
        scopes=frozenset(known[word] for word in row.scopes.split() if word in known),
        created_at=from_micros(row.created_at),
        revoked_at=None if row.revoked_at is None else from_micros(row.revoked_at),
    )
