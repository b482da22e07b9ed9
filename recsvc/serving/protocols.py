"""What serving needs of what remembers. `stores` implements these; `bootstrap` joins them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Deed, Interaction, Known, TailEvent
from recsvc.domain.items import Item
from recsvc.domain.records import ChangedRecords, LateErasures, Versioned
from recsvc.domain.slates import EpochStamp, Fetched, SlateKey

__all__ = [
    "Catalogue",
    "ConsentRecords",
    "CustomerDirectory",
    "EpochStamps",
    "ErasureTail",
    "EventHistory",
    "EventTail",
    "Fetched",
    "ReadySlates",
    "SlateCache",
    "SlateKey",
    "WholeHistory",
]


class Catalogue(Protocol):
    """The items as marketers keep them."""

    def revision(self) -> int:
        """A number that moves with every change. Raises StoreError."""
        ...

    def items(self) -> tuple[Item, ...]:
        """Every item, the retired ones included, by id. Raises StoreError."""
        ...

    def changed_after(self, revision: int) -> tuple[Item, ...]:
        """The items that were written after that revision, by id. Raises StoreError."""
        ...


class CustomerDirectory(Protocol):
    """What is recorded about customers."""

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The customer's record and when it was written; None when there is none. Raises StoreError."""
        ...

    def erased_at(self, customer_id: str) -> datetime | None:
        """When the customer was erased; None for one who was not. Raises StoreError."""
        ...


class EventHistory(Protocol):
    """What customers did, as the store remembers it."""

    def known(
        self,
        customer_id: str,
        *,
        occurred_after: datetime | None,
        received_after: datetime | None,
        limit: int,
        always: Collection[str] = (),
        ignoring: Collection[str] = (),
    ) -> Known:
        """The latest `limit` events that occurred or were received after the moments, oldest first.

        Events of the types in `always` are among them whatever their time; of the others, none of the
        types in `ignoring` is, nor counts towards the limit. Raises StoreError.
        """
        ...

    def deeds(self, customer_id: str, types: Collection[str], *, limit: int) -> Sequence[Deed]:
        """The latest `limit` events of these types, oldest first. Raises StoreError."""
        ...


class WholeHistory(Protocol):
    """Everything that the store remembers of customers."""

    def of_customer(self, customer_id: str) -> Iterator[Interaction]:
        """Every interaction of the customer, oldest first. Raises StoreError."""
        ...


class EventTail(Protocol):
    """Events in the order in which they were stored, the same for everybody who reads it."""

    def after(self, sequence: int, limit: int) -> Sequence[TailEvent]:
        """The first `limit` events after a place in the order. Raises StoreError."""
        ...

    def last_sequence(self) -> int:
        """The place of the last event; 0 while there is none. Raises StoreError."""
        ...

    def meetings_after(self, sequence: int, limit: int, types: Collection[str]) -> Sequence[TailEvent]:
        """The first `limit` events after a place of these types that name an item. Raises StoreError."""
        ...

    def start_of_last(self, n: int, types: Collection[str], *, after: int = 0) -> int:
        """The place after which the last `n` such events are, or `after` where there they are fewer.

        Raises StoreError.
        """
        ...


class ErasureTail(Protocol):
    """Erasures in the order in which they took place."""

    def last_erasure(self) -> int:
        """The place of the last erasure; 0 while there is none. Raises StoreError."""
        ...

    def erased_after(self, sequence: int) -> LateErasures | None:
        """The erasures after a place in the order; None while there are none. Raises StoreError."""
        ...

    def erased_among(self, customer_ids: Collection[str]) -> Mapping[str, datetime]:
        """Those of the customers who were erased, and when. Raises StoreError."""
        ...


class ConsentRecords(Protocol):
    """Who agreed to personalisation."""

    def personalisation_of(self, customer_ids: Collection[str]) -> Mapping[str, bool]:
        """Of those of the customers who were asked, whether they agreed. Raises StoreError."""
        ...

    def last_change(self) -> int:
        """The place of the last change of a record in their order; 0 before any. Raises StoreError."""
        ...

    def changed_after(self, sequence: int) -> ChangedRecords | None:
        """Whose records were written after a place in that order; None where none. Raises StoreError."""
        ...


class ReadySlates(Protocol):
    """Ready slates by key. A customer's epoch outdates all of their slates at once."""

    def fetch(self, key: SlateKey) -> Fetched:
        """The epoch, and the slate if one was kept in that epoch. Raises RedisError."""
        ...

    def ask(self, key: SlateKey, heard: Callable[[Fetched | None], object]) -> bool:
        """Ask for what `fetch` brings, without waiting; whether `heard` will be told it, on any thread.

        It is told None where only `fetch` can find out.
        """
        ...

    def fetch_many(self, keys: Sequence[SlateKey]) -> list[Fetched]:
        """What `fetch` says of each; no two are of one customer. Raises RedisError."""
        ...

    def keep(self, key: SlateKey, epoch: int, value: bytes, ttl_seconds: float) -> None:
        """Keep a slate that was made in the epoch. Raises RedisError."""
        ...

    def claim(self, key: SlateKey, epoch: int, seconds: float) -> bool:
        """Whether the caller, and nobody else for so long, is to renew the slate. Raises RedisError."""
        ...


class SlateCache(ReadySlates, Protocol):
    """Ready slates, with the means to outdate them."""

    def move_epoch(self, customer_id: str) -> int:
        """Outdate every slate of the customer; the new epoch. Raises RedisError."""
        ...

    def move_epochs(self, customer_ids: Collection[str]) -> None:
        """Outdate every slate of the customers. Raises RedisError: some may have moved."""
        ...

    def move_every_epoch(self) -> None:
        """Outdate every slate of everybody. Raises RedisError."""
        ...

    def ping(self) -> None:
        """Return when the cache answers and takes writes. Raises RedisError."""
        ...


class EpochStamps(Protocol):
    """What outdates copies of slates in every process of this machine, from one moment to the next."""

    @property
    def is_shared(self) -> bool:
        """Whether every process of the machine still reads and writes the same stamps."""
        ...

    def stamp(self, customer_id: str) -> EpochStamp:
        """What a slate of the customer that is begun now will be known by."""
        ...

    def is_current(self, stamp: EpochStamp) -> bool:
        """Whether nothing has outdated the customer's slates since the stamp was taken."""
        ...

    def move(self, customer_ids: Collection[str]) -> None:
        """Outdate every copy of the customers' slates."""
        ...

    def move_all(self) -> None:
        """Outdate every copy of everybody's slates."""
        ...

    @property
    def distrusted_until(self) -> float:
        """Until when nobody should take a slate from Redis, in seconds of the machine's monotonic clock."""
        ...

    def distrust(self, until: float) -> None:
        """Tell every process of the machine to take nothing from Redis until then."""
        ...
