"""Offers in SQL, with every step of their versions. In: how to decide on a change. Out: what came of it.

A change reads, decides and writes in one transaction that holds the catalogue's revision: no two decide on
the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import Connection, Row, insert, select

from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.moments import from_micros, to_micros
from recsvc.domain.offer_life import Change, PutMany, PutOffer
from recsvc.domain.offer_versions import OfferRecord, OfferVersion, Step
from recsvc.domain.records import Versioned, Written
from recsvc.stores.catalogue import (
    decode_item,
    encode_item,
    lock_revision,
    move_revision,
    standing_document,
    write_items,
)
from recsvc.stores.database import Database
from recsvc.stores.documents import check_expected, encode_document, etag_of
from recsvc.stores.offer_tables import offer_steps

Decide = Callable[[OfferRecord], Change]

_IDS_AT_ONCE = 500
_IN_ORDER = select(offer_steps).order_by(offer_steps.c.offer_id, offer_steps.c.number)


class SqlOfferVersions:
    """The versions of offers, beside the items that are served."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, offer_id: str, *, standing: Item | None = None) -> OfferRecord:
        """The offer and every step of its versions. Raises StoreError."""
        with self._database.reading() as connection:
            document = standing_document(connection, offer_id, standing)
            return _record(offer_id, document, _steps(connection, [offer_id]))

    def version(self, offer_id: str, number: int, *, standing: Item | None = None) -> Versioned[OfferVersion]:
        """The version with its etag. Raises NotFoundError, StoreError."""
        return versioned(self.record(offer_id, standing=standing).version(number))

    def change(
        self, offer_id: str, decide: Decide, *, expected: str | None, standing: Item | None = None
    ) -> PutOffer:
        """Change the item, if it is the version `expected` ("*" is any there is), as is decided.

        Raises:
            PreconditionRequiredError: there is an item, and `expected` is None.
            PreconditionFailedError: the item is another version, or gone.
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            revision = lock_revision(connection)
            document = standing_document(connection, offer_id, standing)
            check_expected(document, expected)
            change = decide(_record(offer_id, document, _steps(connection, [offer_id])))
            self._write(connection, [change], (), revision)
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
        """Change the version of the offer, if it is as `expected`, as is decided. Raises as `change` does.

        Raises:
            NotFoundError: there is no such version.
        """
        with self._database.writing() as connection:
            revision = lock_revision(connection)
            document = standing_document(connection, offer_id, standing)
            record = _record(offer_id, document, _steps(connection, [offer_id]))
            check_expected(version_document(record.version(number)), expected)
            change = decide(record)
            self._write(connection, [change], (), revision)
        return versioned(after(record, change).version(number))

    def put_many(
        self,
        changed: Sequence[Item],
        decide: Callable[[OfferRecord, Item], Change],
        *,
        standing: Callable[[str], Item | None] = lambda _: None,
    ) -> PutMany:
        """Create or replace the items, all or none: offers as is decided. Raises StoreError."""
        latest = {item.item_id: item for item in changed}
        offers = [item for item in latest.values() if item.kind is ItemKind.OFFER]
        content = [item for item in latest.values() if item.kind is not ItemKind.OFFER]
        with self._database.writing() as connection:
            revision = lock_revision(connection)
            kept = _steps(connection, [item.item_id for item in offers])
            changes = []
            for item in offers:
                document = standing_document(connection, item.item_id, standing(item.item_id))
                changes.append(decide(_record(item.item_id, document, kept), item))
            self._write(connection, changes, content, revision)
        return PutMany(len(latest), n_drafts=sum(change.draft is not None for change in changes))

    def _write(
        self, connection: Connection, changes: Sequence[Change], content: Iterable[Item], revision: int
    ) -> None:
        served = [change.item for change in changes if change.item is not None and change.steps]
        steps = [_row(step) for change in changes for step in change.steps]
        items = {item.item_id: item for item in (*served, *content)}
        if steps:
            connection.execute(insert(offer_steps), steps)
        if items:
            write_items(self._database, connection, items, revision + 1)
        elif steps:
            move_revision(connection, revision + 1)


def put_outcome(change: Change, document: str | None) -> PutOffer:
    """What a change came to, where the item was stored as the document. It served or made a draft of one."""
    is_new = document is None
    if change.item is not None:
        return PutOffer(change.item, Written(etag_of(encode_item(change.item)), created=is_new), None)
    if change.draft is None or document is None:
        raise ValueError("a change serves an item, or makes a draft beside one")
    return PutOffer(change.draft.item, Written(etag_of(document), created=False), change.draft.version)


def after(record: OfferRecord, change: Change) -> OfferRecord:
    """The record once the change is stored."""
    item = record.item if change.item is None else change.item
    gone = item is None or item.status is ItemStatus.RETIRED
    return OfferRecord(record.offer_id, None if gone else item, (*record.kept, *change.steps))


def version_document(version: OfferVersion) -> str:
    """What the etag of a version is made of. Raises StoreError."""
    return encode_document(version, "the version")


def versioned(version: OfferVersion) -> Versioned[OfferVersion]:
    """The version with its etag. Raises StoreError."""
    return Versioned(version, etag_of(version_document(version)))


def _record(offer_id: str, document: str | None, kept: Mapping[str, Sequence[Step]]) -> OfferRecord:
    item = None if document is None else decode_item(document)
    return OfferRecord(offer_id, item, tuple(kept.get(offer_id, ())))


def _steps(connection: Connection, offer_ids: Sequence[str]) -> Mapping[str, Sequence[Step]]:
    found: dict[str, list[Step]] = {}
    for first in range(0, len(offer_ids), _IDS_AT_ONCE):
        wanted = offer_steps.c.offer_id.in_(offer_ids[first : first + _IDS_AT_ONCE])
        for row in connection.execute(_IN_ORDER.where(wanted)):
            found.setdefault(row.offer_id, []).append(_step(row))
    return found


def _step(row: Row[tuple[object, ...]]) -> Step:
    return Step(
        offer_id=row.offer_id,
        number=row.number,
        version=row.version,
        status=ItemStatus(row.status),
        by=row.acted_by,
        at=None if row.acted_at is None else from_micros(row.acted_at),
        item=decode_item(row.document),
    )


def _row(step: Step) -> dict[str, object]:
    return {
        "offer_id": step.offer_id,
        "number": step.number,
        "version": step.version,
        "status": step.status.value,
        "acted_by": step.by,
        "acted_at": None if step.at is None else to_micros(step.at),
        "document": encode_item(step.item),
    }
