"""The catalogue in SQL. In: items. Out: items, and a revision that moves with every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, bindparam, select, update

from recsvc.domain.items import Item, ItemStatus
from recsvc.stores.database import Database
from recsvc.stores.documents import decode_document, encode_document
from recsvc.stores.tables import catalogue_revision, items

_ALL = select(items.c.document).order_by(items.c.item_id)
_ONE = select(items.c.document).where(items.c.item_id == bindparam("wanted"))
_REVISION = select(catalogue_revision.c.revision).where(catalogue_revision.c.id == 1)


class SqlCatalogue:
    """The items as marketers keep them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """A number that moves with every change; 0 while nothing was ever put. Raises StoreError."""
        with self._database.reading() as connection:
            return int(connection.execute(_REVISION).scalar_one())

    def items(self) -> tuple[Item, ...]:
        """Every item, the retired ones included, by id. Raises StoreError."""
        with self._database.reading() as connection:
            documents = connection.execute(_ALL).scalars().all()
        return tuple(_decode(document) for document in documents)

    def find(self, item_id: str) -> Item | None:
        """The item; None when there is none of that id. Raises StoreError."""
        with self._database.reading() as connection:
            document = connection.execute(_ONE, {"wanted": item_id}).scalar_one_or_none()
        return None if document is None else _decode(document)

    def put_many(self, changed: Sequence[Item]) -> int:
        """Insert or replace items, all or none; of two with one id the later holds. The revision after it.

        Raises:
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            revision = _lock_revision(connection)
            if not changed:
                return revision
            self._write(connection, {item.item_id: item for item in changed}, revision + 1)
        return revision + 1

    def retire(self, item_id: str) -> bool:
        """Give an item the status retired; False when there is none of that id. Raises StoreError."""
        with self._database.writing() as connection:
            revision = _lock_revision(connection)
            document = connection.execute(_ONE, {"wanted": item_id}).scalar_one_or_none()
            if document is None:
                return False
            item = _decode(document)
            if item.status is not ItemStatus.RETIRED:
                retired = replace(item, status=ItemStatus.RETIRED)
                self._write(connection, {item_id: retired}, revision + 1)
        return True

    def _write(self, connection: Connection, changed: dict[str, Item], revision: int) -> None:
        statement = self._database.insert(items)
        statement = statement.on_conflict_do_update(
            index_elements=["item_id"],
            set_={name: statement.excluded[name] for name in ("kind", "status", "document", "revision")},
        )
        rows = [
            {
                "item_id": item.item_id,
                "kind": item.kind.value,
                "status": item.status.value,
                "document": encode_document(item, f"item {item.item_id}"),
                "revision": revision,
            }
            for item in changed.values()
        ]
        connection.execute(statement, rows)
        connection.execute(update(catalogue_revision).values(revision=revision))


def _lock_revision(connection: Connection) -> int:
    # Every change locks this row first, so that changes queue up and never wait for one another in a circle.
    return int(connection.execute(_REVISION.with_for_update()).scalar_one())


def _decode(document: str) -> Item:
    return decode_document(document, Item, "an item")
