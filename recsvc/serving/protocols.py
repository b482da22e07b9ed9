"""What serving needs of what remembers. `stores` implements these; `bootstrap` joins them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item
from recsvc.domain.slates import Fetched, SlateKey

__all__ = ["Catalogue", "CustomerDirectory", "Fetched", "RecentHistory", "SlateCache", "SlateKey"]


class Catalogue(Protocol):
    """The items as marketers keep them."""

    def revision(self) -> int:
        """A number that moves with every change. Raises StoreError."""
        ...

    def items(self) -> tuple[Item, ...]:
        """Every item, the retired ones included, by id. Raises StoreError."""
        ...


class CustomerDirectory(Protocol):
    """What is recorded about customers."""

    def find(self, customer_id: str) -> Customer | None:
        """The customer's record; None when there is none. Raises StoreError."""
        ...


class RecentHistory(Protocol):
    """What a customer did lately, for fold-in."""

    def since(self, customer_id: str, moment: datetime, limit: int) -> tuple[Interaction, ...]:
        """The latest `limit` interactions after the moment, oldest first. Raises StoreError."""
        ...


class SlateCache(Protocol):
    """Ready slates by key. A customer's epoch outdates all of their slates at once."""

    def fetch(self, key: SlateKey) -> Fetched:
        """The epoch, and the slate if one was kept in that epoch. Raises RedisError."""
        ...

    def keep(self, key: SlateKey, epoch: int, value: bytes, ttl_seconds: float) -> None:
        """Keep a slate that was made in the epoch. Raises RedisError."""
        ...

    def move_epoch(self, customer_id: str) -> int:
        """Outdate every slate of the customer; the new epoch. Raises RedisError."""
        ...

    def ping(self) -> None:
        """Return when the cache answers. Raises RedisError."""
        ...
