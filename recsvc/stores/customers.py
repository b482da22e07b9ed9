"""Customers in SQL. In: customers' records. Out: one by id, or all of them in order; who was erased, when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, func, select, update

from recsvc.domain.customers import Consents, Customer
from recsvc.domain.moments import from_micros, to_micros
from recsvc.domain.records import ChangedRecords, Versioned, Written
from recsvc.errors import PreconditionRequiredError
from recsvc.stores.database import Database
from recsvc.stores.documents import check_expected, decode_document, encode_document, etag_of
from recsvc.stores.tables import customers, customers_revision
from recsvc.stores.tombstones import SqlTombstones

_PAGE = 5_000
_CHUNK = 5_000
_ONE = "SELECT document, updated_at FROM customers WHERE customer_id = ?"
_ONE_LOCKED = (
    select(customers.c.document).where(customers.c.customer_id == bindparam("wanted")).with_for_update()
)
_REPLACE = update(customers).where(customers.c.customer_id == bindparam("wanted"))
_SOME = select(customers.c.customer_id, customers.c.document).where(
    customers.c.customer_id.in_(bindparam("ids", expanding=True))
)
_LAST_CHANGE = "SELECT revision FROM customers_revision WHERE id = ?"
_CHANGED = select(customers.c.customer_id).where(customers.c.revision > bindparam("place"))
_NEXT_CHANGE = update(customers_revision).values(revision=customers_revision.c.revision + 1)
_COUNT = select(func.count()).select_from(customers)
_NEXT_PAGE = (
    select(customers.c.customer_id, customers.c.document)
    .where(customers.c.customer_id > bindparam("after"))
    .order_by(customers.c.customer_id)
    .limit(_PAGE)
)


class _Agreed(msgspec.Struct):
    """What of a record tells who agreed to be known: the rest need not be read."""

    consents: Consents | None = None


class SqlCustomers:
    """What is recorded about customers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tombstones = SqlTombstones(database)

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The customer's record, its version and when it was written; None without one. Raises StoreError."""
        row = self._database.look_up(_ONE, (customer_id,))
        if row is None:
            return None
        document, updated_at = row
        return Versioned(_decode(document), etag_of(document), from_micros(updated_at))

    def erased_at(self, customer_id: str) -> datetime | None:
        """When the customer was last erased; None for one who never was. Raises StoreError."""
        return self._tombstones.erased_at(customer_id)

    def erased_among(self, customer_ids: Iterable[str]) -> Mapping[str, datetime]:
        """Those of the customers who were erased, and when. Raises StoreError."""
        return self._tombstones.erased_among(customer_ids)

    def personalisation_of(self, customer_ids: Collection[str]) -> Mapping[str, bool]:
        """Of those of the customers who were asked, whether they agreed. Raises StoreError."""
        ids = sorted(customer_ids)
        agreed: dict[str, bool] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), _CHUNK):
                for row in connection.execute(_SOME, {"ids": ids[start : start + _CHUNK]}):
                    consents = decode_document(row.document, _Agreed, "a customer").consents
                    if consents is not None:
                        agreed[row.customer_id] = consents.personalisation
        return agreed

    def last_change(self) -> int:
        """The place of the last change of a record in their order; 0 before any. Raises StoreError."""
        row = self._database.look_up(_LAST_CHANGE, (1,))
        return 0 if row is None else int(row[0])

    def changed_after(self, sequence: int) -> ChangedRecords | None:
        """Whose records were written after a place in that order; None where none. Raises StoreError."""
        last = self.last_change()  # Read first: what is written from here on is told again.
        if last <= sequence:
            return None
        with self._database.reading() as connection:
            changed = connection.execute(_CHANGED, {"place": sequence}).scalars()
            return ChangedRecords(last, frozenset(changed))

    def put(self, customer: Customer, *, expected: str | None, now: datetime) -> Written:
        """Create the record, or replace the version `expected` ("*" is any version there is).

        Raises:
            PreconditionRequiredError: there is a record, and `expected` is None.
            PreconditionFailedError: the record is another version, or gone.
            StoreError: nothing was changed.
        """
        customer_id = customer.customer_id
        document = encode_document(customer, "the customer's record")
        with self._database.writing() as connection:
            values = {
                "document": document,
                "updated_at": to_micros(now),
                "revision": _next_change(connection),
            }
            stored = connection.execute(_ONE_LOCKED, {"wanted": customer_id}).one_or_none()
            check_expected(stored.document if stored else None, expected)
            if stored:
                connection.execute(_REPLACE.values(values), {"wanted": customer_id})
                return Written(etag_of(document), created=False)
            created = self._database.insert(customers).values(customer_id=customer_id, **values)
            # Asked for what was inserted: the count of rows is not to be had of every driver.
            inserted = created.on_conflict_do_nothing().returning(customers.c.customer_id)
            if connection.execute(inserted).first() is None:
                raise PreconditionRequiredError()  # Another writer was quicker.
        return Written(etag_of(document), created=True)

    def put_many(self, changed: Sequence[Customer], *, now: datetime) -> None:
        """Insert or replace records, all or none; of two with one id the later holds.

        Raises:
            StoreError: nothing was changed.
        """
        documents = {one.customer_id: encode_document(one, "the customer's record") for one in changed}
        if not documents:
            return
        statement = self._database.insert(customers)
        written = {name: statement.excluded[name] for name in ("document", "updated_at", "revision")}
        statement = statement.on_conflict_do_update(index_elements=["customer_id"], set_=written)
        with self._database.writing() as connection:
            common = {"updated_at": to_micros(now), "revision": _next_change(connection)}
            rows = [
                {"customer_id": customer_id, "document": document, **common}
                for customer_id, document in sorted(documents.items())
            ]
            connection.execute(statement, rows)

    def each(self) -> Iterator[Customer]:
        """Every record by id, a page at a time. Raises StoreError."""
        after = ""
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(_NEXT_PAGE, {"after": after}).all()
            for row in rows:
                yield _decode(row.document)
            if len(rows) < _PAGE:
                return
            after = rows[-1].customer_id

    def count(self) -> int:
        """How many customers are recorded. Raises StoreError."""
        with self._database.reading() as connection:
            return int(connection.execute(_COUNT).scalar_one())


def _next_change(connection: Connection) -> int:
    """The number of this change. Others wait until the transaction ends: the numbers follow the commits."""
    return int(connection.execute(_NEXT_CHANGE.returning(customers_revision.c.revision)).scalar_one())


def _decode(document: str) -> Customer:
    return decode_document(document, Customer, "a customer")
