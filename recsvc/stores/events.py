"""The event log in SQL. In: interactions. Out: the same, by customer or by time, each id once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_

from recsvc.domain.interactions import Deed, Interaction, Known
from recsvc.domain.moments import from_micros, to_micros
from recsvc.domain.records import Taken
from recsvc.errors import EventConflictError, StoreError
from recsvc.stores.database import Database
from recsvc.stores.deeds import deeds_of
from recsvc.stores.event_rows import EventRow, distinct_rows, from_row, sort_out
from recsvc.stores.known_events import make_wanted
from recsvc.stores.tables import events
from recsvc.stores.tombstones import SqlTombstones
from recsvc.stores.turns import writing_in_turn

_PAGE = 5_000
_CHUNK = 5_000
_ATTEMPTS = 20
_COLUMNS = tuple(events.c)[:7]  # What `from_row` reads.
_NEXT_PAGE = (
    select(*_COLUMNS)
    .where(
        tuple_(events.c.occurred_at, events.c.event_id) > tuple_(bindparam("time"), bindparam("id")),
        events.c.occurred_at < bindparam("until"),
    )
    .order_by(events.c.occurred_at, events.c.event_id)
    .limit(_PAGE)
)
_NEXT_PAGE_OF_CUSTOMER = (
    select(*_COLUMNS)
    .where(
        events.c.customer_id == bindparam("customer"),
        tuple_(events.c.occurred_at, events.c.event_id) > tuple_(bindparam("time"), bindparam("id")),
    )
    .order_by(events.c.occurred_at, events.c.event_id)
    .limit(_PAGE)
)
_DELETE = delete(events).where(events.c.customer_id == bindparam("customer"))
_STORED = select(events.c.event_id, events.c.digest).where(
    events.c.event_id.in_(bindparam("ids", expanding=True))
)
_COUNT = select(func.count()).select_from(events)
_LATEST = select(func.max(events.c.occurred_at))
_END_OF_TIME = 2**62
ORDER_LINE = 0x7265_6373_7665
"""Whoever stores events stands in this line, so that their numbers come in the order of commits."""


class SqlEvents:
    """Every interaction that was ever accepted, but for those of customers who were erased since."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tombstones = SqlTombstones(database)

    def append(self, interactions: Sequence[Interaction], *, received_at: datetime) -> Taken:
        """Store interactions in one transaction, all or none; durable once this returns.

        An id that is stored already with the same body counts as a duplicate. An event that occurred before
        its customer was erased is acknowledged, and not kept.

        Raises:
            EventConflictError: an id is taken by an event with another body. Nothing was stored.
            StoreError: nothing was stored.
        """
        (outcome,) = self.append_batches([distinct_rows(interactions, received_at)])
        if isinstance(outcome, EventConflictError):
            raise outcome
        return Taken(accepted=outcome, duplicates=len(interactions) - outcome)

    def append_batches(self, batches: Sequence[Sequence[EventRow]]) -> list[int | EventConflictError]:
        """Store batches in one transaction, each all or none; durable once this returns.

        For each batch, how many of its rows were new, or its conflict: then nothing of it was stored, and
        the others were. Raises StoreError: nothing of any batch was stored.
        """
        for attempt in range(_ATTEMPTS):
            # Nearly always everything is new: what is stored is only asked for where that proved wrong.
            outcomes = self._try_to_store(batches, ask_first=attempt > 0)
            if outcomes is not None:
                return outcomes
        raise StoreError("the store is being sent the same events from too many sides: send them again later")

    def known(
        self,
        customer_id: str,
        *,
        occurred_after: datetime | None,
        received_after: datetime | None,
        limit: int,
        always: Collection[str] = (),
        ignoring: Collection[str] = (),
    ) -> Known:
        """The latest `limit` events that occurred, or were received, after the moments, oldest first.

        A moment that is None does not count; where both are None, all events do. Events of the types in
        `always` are among them whatever their time (the latest thousand), those of `ignoring` are not, but
        for the types that are in both. Raises StoreError.
        """
        wanted = make_wanted(customer_id, occurred_after, received_after, limit, always, ignoring)
        return wanted.select(self._database.look_up_all(wanted.statement(), wanted.parameters()))

    def deeds(self, customer_id: str, types: Collection[str], *, limit: int) -> Sequence[Deed]:
        """The customer's latest `limit` events of these types, oldest first. Raises StoreError."""
        return deeds_of(self._database.look_up_all, customer_id, types, limit=limit)

    def of_customer(self, customer_id: str) -> Iterator[Interaction]:
        """Every interaction of the customer by time, then id, a page at a time. Raises StoreError."""
        place: dict[str, Any] = {"customer": customer_id, "time": -_END_OF_TIME, "id": ""}
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(_NEXT_PAGE_OF_CUSTOMER, place).all()
            yield from map(from_row, rows)
            if len(rows) < _PAGE:
                return
            place |= {"time": rows[-1].occurred_at, "id": rows[-1].event_id}

    def delete_customer(self, customer_id: str) -> int:
        """Delete every interaction of the customer, all or none; how many there were. Raises StoreError."""
        with self._database.writing() as connection:
            return connection.execute(_DELETE, {"customer": customer_id}).rowcount

    def each(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[Interaction]:
        """Interactions from `since` (inclusive) to `until` (exclusive) by time, then id, a page at a time.

        No connection is held between pages: one stored meanwhile appears if its time is yet to come.
        Raises StoreError.
        """
        place: dict[str, Any] = {
            "time": -_END_OF_TIME if since is None else to_micros(since),
            "id": "",
            "until": _END_OF_TIME if until is None else to_micros(until),
        }
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(_NEXT_PAGE, place).all()
            yield from map(from_row, rows)
            if len(rows) < _PAGE:
                return
            place |= {"time": rows[-1].occurred_at, "id": rows[-1].event_id}

    def count(self) -> int:
        """How many interactions are stored. Raises StoreError."""
        with self._database.reading() as connection:
            return int(connection.execute(_COUNT).scalar_one())

    def latest_at(self) -> datetime | None:
        """When the latest interaction occurred; None while there is none. Raises StoreError."""
        with self._database.reading() as connection:
            micros = connection.execute(_LATEST).scalar_one_or_none()
        return None if micros is None else from_micros(micros)

    def _try_to_store(
        self, batches: Sequence[Sequence[EventRow]], *, ask_first: bool
    ) -> list[int | EventConflictError] | None:
        """None, and nothing stored, where a row that seemed new was not: another writer may store it too."""
        try:
            # Nobody else numbers events until this one ends: the numbers follow the commits.
            with writing_in_turn(self._database, ORDER_LINE) as connection:
                stored = self._stored(connection, batches) if ask_first else {}
                new, outcomes = sort_out(batches, stored)
                kept = self._tombstones.leave_out(connection, new)
                for start in range(0, len(kept), _CHUNK):
                    rows = kept[start : start + _CHUNK]
                    if self._database.insert_new(connection, events, rows) < len(rows):
                        raise _TakenMeanwhile
        except _TakenMeanwhile:
            return None
        return outcomes

    def _stored(self, connection: Connection, batches: Sequence[Sequence[EventRow]]) -> dict[str, bytes]:
        ids = [row.event_id for rows in batches for row in rows]
        stored: dict[str, bytes] = {}
        for start in range(0, len(ids), _CHUNK):
            found = connection.execute(_STORED, {"ids": ids[start : start + _CHUNK]})
            stored.update((row.event_id, row.digest) for row in found)
        return stored


class _TakenMeanwhile(Exception):
    """Ends a transaction that would have left a row out."""
