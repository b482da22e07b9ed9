"""Offers and their versions in memory: for tests and trials. As the real store does, nothing kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.offer_life import Change, PutMany, PutOffer
from recsvc.domain.offer_versions import OfferRecord, OfferVersion, Step
from recsvc.domain.records import Versioned
from recsvc.stores.catalogue import encode_item
from recsvc.stores.documents import check_expected
from recsvc.stores.memory_records import MemoryCatalogue
from recsvc.stores.offer_versions import Decide, after, put_outcome, version_document, versioned


class MemoryOfferVersions:
    """The versions of offers, beside the items of the catalogue."""

    def __init__(self, catalogue: MemoryCatalogue) -> None:
        self._catalogue = catalogue
        self._kept: dict[str, tuple[Step, ...]] = {}
        self._lock = threading.Lock()

    def record(self, offer_id: str, *, standing: Item | None = None) -> OfferRecord:
        """The offer and every step of its versions."""
        found = self._catalogue.get(offer_id, standing=standing)
        return OfferRecord(offer_id, found.value if found else None, self._kept.get(offer_id, ()))

    def version(self, offer_id: str, number: int, *, standing: Item | None = None) -> Versioned[OfferVersion]:
        """The version with its etag. Raises NotFoundError, StoreError."""
        return versioned(self.record(offer_id, standing=standing).version(number))

    def change(
        self, offer_id: str, decide: Decide, *, expected: str | None, standing: Item | None = None
    ) -> PutOffer:
        """Change the item as is decided. Raises as `SqlOfferVersions.change` does."""
        with self._lock:
            record = self.record(offer_id, standing=standing)
            document = None if record.item is None else encode_item(record.item)
            check_expected(document, expected)
            change = decide(record)
            self._write([change])
        return put_outcome(change, document)

    def change_version(
        self,
        offer_id: str,
        number: int,
        decide: Decide,
        *,
        expected: str | None,
        standing: Item | None = None,
    ) -> Versioned[OfferVersion]:
        """Change the version as is decided. Raises as `SqlOfferVersions.change_version` does."""
        with self._lock:
            record = self.record(offer_id, standing=standing)
            check_expected(version_document(record.version(number)), expected)
            change = decide(record)
            self._write([change])
        return versioned(after(record, change).version(number))

    def put_many(
        self,
        changed: Sequence[Item],
        decide: Callable[[OfferRecord, Item], Change],
        *,
        standing: Callable[[str], Item | None] = lambda _: None,
    ) -> PutMany:
        """Create or replace the items, all or none: offers as is decided."""
        latest = {item.item_id: item for item in changed}
        offers = [item for item in latest.values() if item.kind is ItemKind.OFFER]
        content = [item for item in latest.values() if item.kind is not ItemKind.OFFER]
        with self._lock:
            records = [(self.record(one.item_id, standing=standing(one.item_id)), one) for one in offers]
            changes = [decide(record, item) for record, item in records]
            self._write(changes, content)
        return PutMany(len(latest), n_drafts=sum(change.draft is not None for change in changes))

    def _write(self, changes: Sequence[Change], content: Sequence[Item] = ()) -> None:
        steps = [step for change in changes for step in change.steps]
        for item in (*(step.item for step in steps), *content):
            encode_item(item)  # Nothing is kept of what a store could not.
        for step in steps:
            self._kept[step.offer_id] = (*self._kept.get(step.offer_id, ()), step)
        served = [change.item for change in changes if change.item is not None and change.steps]
        self._catalogue.put_many([*served, *content])
