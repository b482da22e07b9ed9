"""Items and customers in memory: for tests and trials. Same behaviour as the real stores, nothing kept."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemStatus
from recsvc.domain.records import ChangedRecords, LateErasures, Versioned, Written
from recsvc.stores.documents import check_expected, encode_document, etag_of


class MemoryCatalogue:
    """The items as marketers keep them."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items: dict[str, Item] = {}
        self._written_as: dict[str, int] = {}  # By id the revision that wrote the item.
        self._revision = 0
        self._lock = threading.Lock()
        self.put_many(tuple(items))

    def revision(self) -> int:
        """A number that moves with every change; 0 while nothing was ever put."""
        return self._revision

    def items(self) -> tuple[Item, ...]:
        """Every item, the retired ones included, by id."""
        with self._lock:
            return tuple(item for _, item in sorted(self._items.items()))

    def changed_after(self, revision: int) -> tuple[Item, ...]:
        """The items that were written after that revision, the retired ones included, by id."""
        with self._lock:
            late = sorted(item_id for item_id, place in self._written_as.items() if place > revision)
            return tuple(self._items[item_id] for item_id in late)

    def move_revision(self) -> None:
        """Let it be known that something changed that is kept elsewhere."""
        with self._lock:
            self._revision += 1

    def put_many(self, changed: Sequence[Item]) -> int:
        """Insert or replace items; of two with one id the later holds. The revision after it."""
        with self._lock:
            if changed:
                self._write(changed)
            return self._revision

    def get(self, item_id: str, *, standing: Item | None = None) -> Versioned[Item] | None:
        """The item and its version; None when there is none, or it was retired."""
        item = self._items.get(item_id, standing)
        document = _document(item)
        return None if item is None or document is None else Versioned(item, etag_of(document))

    def put(self, item: Item, *, expected: str | None, standing: Item | None = None) -> Written:
        """Create the item, or replace the version `expected`. Raises as `SqlCatalogue.put` does."""
        with self._lock:
            stored = _document(self._items.get(item.item_id, standing))
            check_expected(stored, expected)
            self._write([item])
        return Written(etag_of(encode_document(item, "the item")), created=stored is None)

    def retire(self, item_id: str, *, expected: str | None, standing: Item | None = None) -> bool:
        """Take the item out of service. Raises as `SqlCatalogue.retire` does."""
        with self._lock:
            item = self._items.get(item_id, standing)
            stored = _document(item)
            if item is None or stored is None:
                return False
            check_expected(stored, expected)
            self._write([replace(item, status=ItemStatus.RETIRED)])
        return True

    def _write(self, changed: Sequence[Item]) -> None:
        self._revision += 1
        for item in changed:
            self._items[item.item_id] = item
            self._written_as[item.item_id] = self._revision


class MemoryCustomers:
    """What is recorded about customers, and who was erased."""

    def __init__(self, customers: Iterable[Customer] = ()) -> None:
        self._customers = {customer.customer_id: customer for customer in customers}
        self._written_at: dict[str, datetime] = {}
        self._n_changes = 0
        self._changed_as: dict[str, int] = {}  # The place in the order of changes.
        self._erased_at: dict[str, datetime] = {}
        self._n_erasures = 0
        self._erased_as: dict[str, int] = {}  # The place in the order of erasures.
        self._lock = threading.Lock()

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The customer's record, its version and when it was written; None when there is none."""
        customer = self._customers.get(customer_id)
        if customer is None:
            return None
        etag = etag_of(encode_document(customer, "the record"))
        return Versioned(customer, etag, self._written_at.get(customer_id))

    def personalisation_of(self, customer_ids: Collection[str]) -> Mapping[str, bool]:
        """Of those of the customers who were asked, whether they agreed."""
        kept = [self._customers[each] for each in customer_ids if each in self._customers]
        return {one.customer_id: one.consents.personalisation for one in kept if one.consents is not None}

    def put(self, customer: Customer, *, expected: str | None, now: datetime) -> Written:
        """Create the record, or replace the version `expected`. Raises as `SqlCustomers.put` does."""
        document = encode_document(customer, "the customer's record")
        with self._lock:
            kept = self._customers.get(customer.customer_id)
            check_expected(None if kept is None else encode_document(kept, "the record"), expected)
            self._write([customer], now)
        return Written(etag_of(document), created=kept is None)

    def put_many(self, changed: Sequence[Customer], *, now: datetime) -> None:
        """Insert or replace records; of two with one id the later holds."""
        with self._lock:
            self._write(changed, now)

    def last_change(self) -> int:
        """The place of the last change of a record in their order; 0 before any."""
        return self._n_changes

    def changed_after(self, sequence: int) -> ChangedRecords | None:
        """Whose records were written after a place in that order; None where none."""
        with self._lock:
            late = frozenset(each for each, place in self._changed_as.items() if place > sequence)
            return ChangedRecords(self._n_changes, late) if self._n_changes > sequence else None

    def erase(self, customer_id: str, now: datetime) -> int:
        """Delete the record and remember when; how many records there were."""
        with self._lock:
            self._erased_at[customer_id] = now
            self._n_erasures += 1
            self._erased_as[customer_id] = self._n_erasures
            self._changed_as.pop(customer_id, None)
            return int(self._customers.pop(customer_id, None) is not None)

    def erased_at(self, customer_id: str) -> datetime | None:
        """When the customer was last erased; None for one who never was."""
        return self._erased_at.get(customer_id)

    def erased_among(self, customer_ids: Iterable[str]) -> Mapping[str, datetime]:
        """Those of the customers who were erased, and when."""
        return {each: self._erased_at[each] for each in customer_ids if each in self._erased_at}

    def last_erasure(self) -> int:
        """The place of the last erasure in their order; 0 while there is none."""
        return self._n_erasures

    def erased_after(self, sequence: int) -> LateErasures | None:
        """The erasures after a place in their order; None while there are none."""
        with self._lock:
            late = {each for each, place in self._erased_as.items() if place > sequence}
            return LateErasures(self._n_erasures, late.intersection) if late else None

    def each(self) -> Iterator[Customer]:
        """Every record by id."""
        with self._lock:
            return iter([customer for _, customer in sorted(self._customers.items())])

    def count(self) -> int:
        """How many customers are recorded."""
        return len(self._customers)

    def _write(self, changed: Sequence[Customer], now: datetime) -> None:
        self._n_changes += bool(changed)
        for customer in changed:
            customer_id = customer.customer_id
            self._customers[customer_id], self._written_at[customer_id] = customer, now
            self._changed_as[customer_id] = self._n_changes


def _document(item: Item | None) -> str | None:
    gone = item is None or item.status is ItemStatus.RETIRED
    return None if gone else encode_document(item, "the item")
