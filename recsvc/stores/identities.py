"""Identities in SQL. In: an id and the customer whose it is. Out: links, and what changed since a place.

Chains are resolved when they arise: whoever becomes an identity takes its own identities along, so every link
names the customer at the end. Numbers of changes follow the commits, and a removal has one too, so whoever
follows misses neither.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, or_, select, text, update

from recsvc.domain.identities import (
    IdentityChanges,
    IdentityLink,
    Linked,
    check_linkable,
    check_owner,
    choose_unit,
)
from recsvc.domain.moments import from_micros, to_micros
from recsvc.stores.database import Database
from recsvc.stores.tables import exposures, identities, identities_revision

_ONE = select(identities).where(identities.c.identity_id == bindparam("wanted"))
_BY_ID = select(identities).order_by(identities.c.identity_id)
_OF_CUSTOMER = _BY_ID.where(identities.c.customer_id == bindparam("owner"))
_LATER = _BY_ID.where(identities.c.sequence > bindparam("place"))
_EXPOSED = select(exposures.c.experiment).where(exposures.c.customer_id == bindparam("wanted")).limit(1)
_COUNTERS = "SELECT revision, removed_at FROM identities_revision WHERE id = ?"


class SqlIdentities:
    """Which ids belong to which customers. Safe to use from several processes at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def canonical(self, customer_id: str) -> str:
        """The customer whose id it is; the id itself where it is nobody else's. Raises StoreError."""
        with self._database.reading() as connection:
            return _canonical(connection, customer_id)

    def of_customer(self, customer_id: str) -> tuple[IdentityLink, ...]:
        """The identities that belong to the customer, by id. Raises StoreError."""
        with self._database.reading() as connection:
            return tuple(map(_link, connection.execute(_OF_CUSTOMER, {"owner": customer_id}).all()))

    def changes_after(self, sequence: int) -> IdentityChanges | None:
        """The links since a place in their order; None while nothing changed. Raises StoreError."""
        last = self._database.look_up(_COUNTERS, (1,))  # First: what comes from here on is told again.
        if last is None or last[0] <= sequence:
            return None
        is_whole = last[1] > sequence
        with self._database.reading() as connection:
            rows = connection.execute(_LATER, {"place": -1 if is_whole else sequence}).all()
        return IdentityChanges(int(last[0]), tuple(map(_link, rows)), is_whole)

    def link(self, customer_id: str, identity_id: str, *, now: datetime) -> Linked:
        """Let the identity belong to the customer from now on. Twice is the same answer.

        Raises:
            ConflictError: the identity belongs to another customer, or is the customer.
            StoreError: nothing was changed.
        """
        with self._database.writing() as connection:
            if self._database.dialect == "postgresql":
                connection.execute(text("LOCK TABLE identities IN SHARE ROW EXCLUSIVE MODE"))
            owner = _canonical(connection, customer_id)
            check_linkable(identity_id, owner)
            known = connection.execute(_ONE, {"wanted": identity_id}).one_or_none()
            if known is not None:
                check_owner(_link(known), owner)
                return Linked(_link(known), created=False)
            unit = choose_unit(
                identity_id,
                owner,
                unit=_unit(connection, owner),
                is_exposed=connection.execute(_EXPOSED, {"wanted": owner}).first() is not None,
                unit_of_identity=_unit(connection, identity_id),
            )
            place = _next_place(connection)
            link = IdentityLink(identity_id, owner, unit, from_micros(to_micros(now)))
            moved = update(identities).where(identities.c.customer_id == identity_id)
            connection.execute(moved.values(customer_id=owner, unit=unit, sequence=place))
            row = {"identity_id": identity_id, "customer_id": owner, "unit": unit, "sequence": place}
            connection.execute(self._database.insert(identities).values(linked_at=to_micros(now), **row))
        return Linked(link, created=True)


def remove_links(connection: Connection, customer_id: str) -> int:
    """Remove every trace of an id: as an identity, as an owner, as a unit. How many links are gone.

    Where it was the unit of somebody who stays, that customer is dealt by their own id from then on. Within a
    transaction that excludes whoever links.
    """
    named = or_(identities.c.identity_id == customer_id, identities.c.customer_id == customer_id)
    of_others = identities.c.unit == customer_id
    if connection.execute(select(identities.c.identity_id).where(named | of_others).limit(1)).first() is None:
        return 0
    place = _next_place(connection)
    removed = connection.execute(delete(identities).where(named)).rowcount
    connection.execute(
        update(identities).where(of_others).values(unit=identities.c.customer_id, sequence=place)
    )
    connection.execute(update(identities_revision).values(removed_at=place))
    return removed


def _next_place(connection: Connection) -> int:
    moved = update(identities_revision).values(revision=identities_revision.c.revision + 1)
    return int(connection.execute(moved.returning(identities_revision.c.revision)).scalar_one())


def _canonical(connection: Connection, customer_id: str) -> str:
    row = connection.execute(_ONE, {"wanted": customer_id}).one_or_none()
    return customer_id if row is None else str(row.customer_id)


def _unit(connection: Connection, customer_id: str) -> str | None:
    row = connection.execute(_OF_CUSTOMER.limit(1), {"owner": customer_id}).first()
    return None if row is None else str(row.unit)


def _link(row: Any) -> IdentityLink:
    return IdentityLink(row.identity_id, row.customer_id, row.unit, from_micros(row.linked_at))
