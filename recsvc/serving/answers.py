"""What serving hands to the API: slates as ready bytes, browsing lists, and the state of health."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from recsvc.domain.slates import Slate, SlateItem, Source


class CacheStatus(StrEnum):
    """Where a slate came from: this worker's memory, Redis, a computation of one's own or of another's.

    `joined` waited for what another request of the same worker was making; `bypassed` was made while Redis
    could not be asked.
    """

    LOCAL = "local"
    HIT = "hit"
    MISS = "miss"
    JOINED = "joined"
    BYPASSED = "bypassed"


class ServedSlate(msgspec.Struct, frozen=True):
    """A slate serialised once, when it was made, with what the headers need. `body` is its JSON."""

    body: bytes
    etag: str
    source: Source
    model_version: str | None
    generated_at: datetime
    expires_at: datetime
    cache: CacheStatus


@dataclass(frozen=True, slots=True)
class ItemList:
    """Items that are like one item, or that everybody reads now."""

    items: tuple[SlateItem, ...]
    source: Source
    model_version: str | None
    generated_at: datetime


@dataclass(frozen=True, slots=True)
class RefusedBundle:
    """A bundle that failed its checks, and why."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class LiveReport:
    """How far a worker has followed the event store: up to which event, and how many there are after it.

    `n_behind` is None while the store cannot say; `is_stale`: the end was not met for some seconds.
    """

    sequence: int
    n_behind: int | None
    is_stale: bool


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Whether this worker can answer, and what it has to do without."""

    ready: bool
    degraded: tuple[str, ...]
    model_version: str | None
    refused_bundles: tuple[RefusedBundle, ...]
    n_items: int
    redis: bool
    store: bool
    live: LiveReport


def render_slate(slate: Slate) -> bytes:
    """The slate as the JSON that goes on the wire."""
    return msgspec.json.encode(slate)


def said_without(body: bytes, part: str) -> bytes:
    """A slate that was rendered before, said to be without a part now."""
    told = msgspec.json.decode(body)
    return msgspec.json.encode({**told, "degraded": [*told["degraded"], part]})
