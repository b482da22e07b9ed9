"""The skin around the engine that remembers. In: a request. Out: a slate as ready bytes.

A slate is serialised once, when it is made. The key holds everything that the slate depends on, so
promoting a model or changing the catalogue needs no flush; the customer's epoch outdates the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from recsvc.domain.slates import Slate, SlateRequest, Source
from recsvc.errors import RedisError
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.serving.engine import Engine
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.protocols import Fetched, ReadySlates, SlateKey

log = structlog.get_logger()


class _Entry(msgspec.Struct, array_like=True):
    """A slate as it is kept."""

    etag: str
    source: Source
    model_version: str | None
    expires_at: datetime
    body: bytes


class CachedEngine:
    """Answers from the cache when it may, and from the engine otherwise."""

    def __init__(
        self,
        engine: Engine,
        cache: ReadySlates,
        catalogue: LiveCatalogue,
        policy_version: str,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._catalogue = catalogue
        self._policy_version = policy_version
        self._clock = clock

    def recommend(self, request: SlateRequest) -> ServedSlate:
        """The slate for this request as JSON. A cache that fails is passed by, and said to be."""
        label = self._catalogue.view.label
        key = slate_key(request, label, self._policy_version)
        try:
            fetched = self._cache.fetch(key)
        except RedisError as error:
            log.warning("slate_cache_bypassed", reason=str(error))
            return _served(_entry(self._engine.recommend(request)), CacheStatus.BYPASSED)
        kept = self._usable(fetched)
        return _served(kept, CacheStatus.HIT) if kept else self._make(request, label, key, fetched.epoch)

    def _usable(self, fetched: Fetched) -> _Entry | None:
        if fetched.value is None:
            return None
        try:
            entry = msgspec.msgpack.decode(fetched.value, type=_Entry)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # Another release kept it, or nobody that we know.
        return entry if entry.expires_at > self._clock() else None

    def _make(self, request: SlateRequest, label: str, key: SlateKey, epoch: int) -> ServedSlate:
        slate = self._engine.recommend(request)
        entry = _entry(slate)
        # What was made without a part must not outlive its absence, and what was made while the model or the
        # catalogue moved does not belong under the key.
        if not slate.degraded and self._catalogue.view.label == label:
            ttl_seconds = (slate.expires_at - slate.generated_at).total_seconds()
            try:
                self._cache.keep(key, epoch, msgspec.msgpack.encode(entry), ttl_seconds)
            except RedisError as error:
                log.warning("slate_not_kept", reason=str(error))
        return _served(entry, CacheStatus.MISS)


def slate_key(request: SlateRequest, catalogue_label: str, policy_version: str) -> SlateKey:
    """Where the slate for this request is kept.

    `catalogue_label` names the revision of the catalogue and the model version.
    """
    parts = (catalogue_label, policy_version, request)
    digest = hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=16).hexdigest()
    return SlateKey(request.customer_id, digest)


def render_slate(slate: Slate) -> bytes:
    """The slate as the JSON that goes on the wire."""
    return msgspec.json.encode(slate)


def _entry(slate: Slate) -> _Entry:
    body = render_slate(slate)
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return _Entry(etag, slate.source, slate.model_version, slate.expires_at, body)


def _served(entry: _Entry, status: CacheStatus) -> ServedSlate:
    return ServedSlate(entry.body, entry.etag, entry.source, entry.model_version, entry.expires_at, status)
