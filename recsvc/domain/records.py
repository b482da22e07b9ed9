"""Records that people keep by hand, with the version that a careful writer must know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A record as stored. `etag` (hexadecimal digits, no quotes) changes with its content.

    `written_at` is None where the store does not say.
    """

    value: T
    etag: str
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: the record's new etag, and whether there was none before."""

    etag: str
    created: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch of events: all of it is durable. Duplicates were stored before."""

    accepted: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What an erasure removed, by place, and when it was seen to be gone.

    It holds no customer id. `removed` counts by place: events, customer, decisions, slates, rejects, bundles.
    """

    receipt_id: str
    requested_at: datetime
    checked_at: datetime | None
    removed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PendingErasure:
    """An erasure that is not finished outside the store. `digest` stands for the customer.

    `customer_id` is None once nothing but the digest is kept; `compacted` tells whether the bytes of the
    deleted rows are gone too.
    """

    digest: bytes
    customer_id: str | None
    compacted: bool


@dataclass(frozen=True, slots=True)
class LateErasures:
    """The erasures after a place in their order. `sequence` is the place of the last of them.

    `among` tells which of the customers who are named they are about: the ids themselves are not kept.
    """

    sequence: int
    among: Callable[[Collection[str]], Collection[str]]


@dataclass(frozen=True, slots=True)
class ChangedRecords:
    """Whose records were written after a place in the order of changes; `sequence` is the last such place."""

    sequence: int
    customer_ids: frozenset[str]
