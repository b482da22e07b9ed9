"""Where records are kept by hand. In: a record and the version it replaces. Out: its new version.

A change is durable before it is answered, and holds everywhere within a second: a customer's slates are
outdated at once, and every worker looks at the catalogue's revision again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from recsvc.domain.customers import Customer
from recsvc.domain.items import Item
from recsvc.domain.records import Versioned, Written
from recsvc.serving.live_catalogue import LiveCatalogue


class CustomerStore(Protocol):
    """Keeps customers' records."""

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The record and its version. Raises StoreError."""
        ...

    def put(self, customer: Customer, *, expected: str | None, now: datetime) -> Written:
        """Create the record, or replace the version `expected`."""
        ...


class ItemStore(Protocol):
    """Keeps items. Where it has none of an id, `standing` counts as stored."""

    def get(self, item_id: str, *, standing: Item | None = None) -> Versioned[Item] | None:
        """The item and its version; None of one that was retired. Raises StoreError."""
        ...

    def put(self, item: Item, *, expected: str | None, standing: Item | None = None) -> Written:
        """Create the item, or replace the version `expected`."""
        ...

    def put_many(self, changed: Sequence[Item]) -> int:
        """Create or replace all items or none; the revision after it. Raises StoreError."""
        ...

    def retire(self, item_id: str, *, expected: str | None, standing: Item | None = None) -> bool:
        """Take the item out of service."""
        ...


class CustomerDesk:
    """Keeps what is recorded about customers. `outdate` ends their slates; it must not fail."""

    def __init__(
        self,
        store: CustomerStore,
        *,
        outdate: Callable[[Collection[str]], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._outdate = outdate
        self._clock = clock

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The record; None when there is none. Raises StoreError."""
        return self._store.get(customer_id)

    def put(self, customer: Customer, *, expected: str | None) -> Written:
        """Create the record, or replace the version `expected` ("*" is any version).

        Raises:
            PreconditionRequiredError: there is a record, and `expected` is None.
            PreconditionFailedError: the record is another version, or gone.
            StoreError: nothing was changed.
        """
        written = self._store.put(customer, expected=expected, now=self._clock())
        self._outdate([customer.customer_id])
        return written


class CatalogueDesk:
    """Keeps the items. One that only the served bundle knows can be read, replaced and retired too."""

    def __init__(self, store: ItemStore, live: LiveCatalogue) -> None:
        self._store = store
        self._live = live

    def get(self, item_id: str) -> Versioned[Item] | None:
        """The item; None when there is none, or it was retired. Raises StoreError."""
        return self._store.get(item_id, standing=self._served(item_id))

    def put(self, item: Item, *, expected: str | None) -> Written:
        """Create the item, or replace the version `expected`. Raises as `CustomerDesk.put` does."""
        return self._store.put(item, expected=expected, standing=self._served(item.item_id))

    def put_many(self, items: Sequence[Item]) -> int:
        """Create or replace all items or none; how many. Raises StoreError."""
        self._store.put_many(items)
        return len({item.item_id for item in items})

    def retire(self, item_id: str, *, expected: str | None) -> bool:
        """Take the item out of service for good; False when there is none. Raises as `put` does."""
        return self._store.retire(item_id, expected=expected, standing=self._served(item_id))

    def _served(self, item_id: str) -> Item | None:
        return self._live.view.items.get(item_id)
