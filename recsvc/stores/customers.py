"""Customers in SQL. In: customers' records. Out: one by id, or all of them in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select

from recsvc.domain.customers import Customer
from recsvc.stores.database import Database
from recsvc.stores.documents import decode_document, encode_document
from recsvc.stores.tables import customers, to_micros

_PAGE = 5_000
_ONE = select(customers.c.document).where(customers.c.customer_id == bindparam("wanted"))
_COUNT = select(func.count()).select_from(customers)
_NEXT_PAGE = (
    select(customers.c.customer_id, customers.c.document)
    .where(customers.c.customer_id > bindparam("after"))
    .order_by(customers.c.customer_id)
    .limit(_PAGE)
)


class SqlCustomers:
    """What is recorded about customers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, customer_id: str) -> Customer | None:
        """The customer's record; None when there is none. Raises StoreError."""
        with self._database.reading() as connection:
            document = connection.execute(_ONE, {"wanted": customer_id}).scalar_one_or_none()
        return None if document is None else _decode(document)

    def put_many(self, changed: Sequence[Customer], *, now: datetime) -> None:
        """Insert or replace records, all or none; of two with one id the later holds.

        Raises:
            StoreError: nothing was changed.
        """
        updated_at = to_micros(now)
        rows = [
            {
                "customer_id": customer.customer_id,
                "document": encode_document(customer, f"customer {customer.customer_id}"),
                "updated_at": updated_at,
            }
            for _, customer in sorted({customer.customer_id: customer for customer in changed}.items())
        ]
        if not rows:
            return
        statement = self._database.insert(customers)
        statement = statement.on_conflict_do_update(
            index_elements=["customer_id"],
            set_={"document": statement.excluded.document, "updated_at": statement.excluded.updated_at},
        )
        with self._database.writing() as connection:
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


def _decode(document: str) -> Customer:
    return decode_document(document, Customer, "a customer")
