"""Who holds this key? In: a key's text. Out: the key as stored, if it is known and not revoked.

An answer is remembered for a moment, so that a request costs no query and a revocation still holds in
every worker within seconds.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Protocol

from recsvc.domain.access import ApiKey
from recsvc.stores.api_keys import digest_of, key_id_of

REMEMBERED_SECONDS = 2.0
_MAX_REMEMBERED = 10_000


class KeyStore(Protocol):
    """Where keys are stored."""

    def find(self, key_id: str) -> ApiKey | None:
        """The key; None when there is none. Raises StoreError."""
        ...


class KeyRing:
    """Authenticates keys."""

    def __init__(self, store: KeyStore, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._remembered: dict[str, tuple[float, ApiKey | None]] = {}

    def authenticate(self, key_text: str) -> ApiKey | None:
        """The key; None when it is unknown or revoked. Raises StoreError."""
        key_id = key_id_of(key_text)
        key = self._find(key_id) if key_id else None
        if key is None or key.revoked_at is not None:
            return None
        return key if hmac.compare_digest(key.digest, digest_of(key_text)) else None

    def _find(self, key_id: str) -> ApiKey | None:
        now = self._monotonic()
        remembered = self._remembered.get(key_id)
        if remembered and now - remembered[0] < REMEMBERED_SECONDS:
            return remembered[1]
        key = self._store.find(key_id)
        if len(self._remembered) >= _MAX_REMEMBERED:  # Somebody tries made-up ids: begin anew.
            self._remembered.clear()
        self._remembered[key_id] = (now, key)
        return key
