"""The catalogue in SQL. In: items. Out: items, and a revision that moves with every change.

An item that was retired keeps its row, so that it also hides what a bundle knows of it; to a careful writer
it is gone. Where the store has no row, the item that a bundle brought stands in: `standing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, bindparam, select, update

from recsvc.domain.items import Item, ItemStatus
from recsvc.domain.records import Versioned, Written
from recsvc.stores.database import Database
from recsvc.stores.documents import check_expected, decode_document, encode_document, etag_of
from recsvc.stores.tables import catalogue_revision, items

_ALL = select(items.c.document).order_by(items.c.item_id)
_CHANGED = select(items.c.document).where(items.c.revision > bindparam("revision")).order_by(items.c.item_id)
_ONE = select(items.c.document).where(items.c.item_id == bindparam("wanted"))
_REVISION = select(catalogue_revision.c.revision).where(catalogue_revision.c.id == 1)
_LOOK = "SELECT revision FROM catalogue_revision WHERE id = 1"  # Each worker asks it again and again.


class SqlCatalogue:
    """The items as marketers keep them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """A number that moves with every change; 0 while nothing was ever put. Raises StoreError."""
        row = self._database.look_up(_LOOK, ())
        return int(row[0]) if row else 0

    def items(self) -> tuple[Item, ...]:
        """Every item, the retired ones included, by id. Raises StoreError."""
        with self._database.reading() as connection:
            documents = connection.execute(_ALL).scalars().all()
        return tuple(map(decode_item, documents))

    def changed_after(self, revision: int) -> tuple[Item, ...]:
        """The items that were written after that revision, the retired ones included, by id.

        Whoever holds all of that revision and lays these over them holds all. Raises StoreError.
        """
        with self._database.reading() as connection:
            documents = connection.execute(_CHANGED, {"revision": revision}).scalars().all()
        return tuple(map(decode_item, documents))

    def put_many(self, changed: Sequence[Item]) -> int:
        """Insert or replace items, all or none; of two with one id the later holds. The revision after it.

        Raises:
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            revision = lock_revision(connection)
            if not changed:
                return revision
            write_items(self._database, connection, {item.item_id: item for item in changed}, revision + 1)
        return revision + 1

    def get(self, item_id: str, *, standing: Item | None = None) -> Versioned[Item] | None:
        """The item and its version; None when there is none, or it was retired. Raises StoreError."""
        with self._database.reading() as connection:
            document = standing_document(connection, item_id, standing)
        return None if document is None else Versioned(decode_item(document), etag_of(document))

    def put(self, item: Item, *, expected: str | None, standing: Item | None = None) -> Written:
        """Create the item, or replace the version `expected` ("*" is any version there is).

        Raises:
            PreconditionRequiredError: there is an item, and `expected` is None.
            PreconditionFailedError: the item is another version, or gone.
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            revision = lock_revision(connection)
            stored = standing_document(connection, item.item_id, standing)
            check_expected(stored, expected)
            write_items(self._database, connection, {item.item_id: item}, revision + 1)
        return Written(etag_of(encode_item(item)), created=stored is None)

    def retire(self, item_id: str, *, expected: str | None, standing: Item | None = None) -> bool:
        """Take the item out of service; False when there is none, or it was retired before.

        Raises:
            PreconditionRequiredError: there is an item, and `expected` is None.
            PreconditionFailedError: the item is another version.
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            revision = lock_revision(connection)
            stored = standing_document(connection, item_id, standing)
            if stored is None:
                return False
            check_expected(stored, expected)
            retired = replace(decode_item(stored), status=ItemStatus.RETIRED)
            write_items(self._database, connection, {item_id: retired}, revision + 1)
        return True


def write_items(
    database: Database, connection: Connection, changed: Mapping[str, Item], revision: int
) -> None:
    """Insert or replace the items, of which there is one at least, and move the revision."""
    statement = database.insert(items)
    statement = statement.on_conflict_do_update(
        index_elements=["item_id"],
        set_={name: statement.excluded[name] for name in ("kind", "status", "document", "revision")},
    )
    rows = [
        {
            "item_id": item.item_id,
            "kind": item.kind.value,
            "status": item.status.value,
            "document": encode_item(item),
            "revision": revision,
        }
        for item in changed.values()
    ]
    connection.execute(statement, rows)
    move_revision(connection, revision)


def lock_revision(connection: Connection) -> int:
    """The revision, which nobody else may move until the transaction ends.

    Every change locks it first, so that changes queue up and never wait for one another in a circle.
    """
    return int(connection.execute(_REVISION.with_for_update()).scalar_one())


def move_revision(connection: Connection, revision: int) -> None:
    """Let every worker know that something changed. The transaction must have locked the revision."""
    connection.execute(update(catalogue_revision).values(revision=revision))


def standing_document(connection: Connection, item_id: str, standing: Item | None) -> str | None:
    """The document that a writer must know; None where there is no item, or a retired one."""
    stored = connection.execute(_ONE, {"wanted": item_id}).scalar_one_or_none()
    if stored is None:
        return None if standing is None else encode_item(standing)
    return None if decode_item(stored).status is ItemStatus.RETIRED else str(stored)


def encode_item(item: Item) -> str:
    """The item as it is stored. Raises StoreError."""
    return encode_document(item, f"item {item.item_id}")


def decode_item(document: str) -> Item:
    """The item of a document. Raises StoreError."""
    return decode_document(document, Item, "an item")
