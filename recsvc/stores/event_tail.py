"""Follow the event log. In: a place in the order in which events were stored. Out: what came after it.

The queries are text for the driver: they run again and again, and SQLAlchemy's part would cost more than the
database's where nothing is new.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from recsvc.domain.interactions import TailEvent
from recsvc.domain.moments import from_micros
from recsvc.stores.database import Database
from recsvc.stores.event_rows import EventRow

_COLUMNS = "sequence, customer_id, item_id, type, occurred_at, received_at"
_AFTER = {
    "sqlite": f"SELECT {_COLUMNS} FROM events WHERE sequence > :place ORDER BY sequence LIMIT :most",
    "postgresql": (
        f"SELECT {_COLUMNS} FROM events WHERE sequence > %(place)s ORDER BY sequence LIMIT %(most)s"
    ),
}
_LAST = "SELECT max(sequence) FROM events"
_MEETINGS = "FROM events WHERE sequence > {place} AND item_id IS NOT NULL AND type IN ({types})"


class SqlEventTail:
    """The events of the store in the order of their commits, which is the order of their numbers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, sequence: int, limit: int) -> Sequence[TailEvent]:
        """The first `limit` events after a place in the order. Raises StoreError."""
        places = {"place": sequence, "most": limit}
        rows = self._database.look_up_all(_AFTER[self._database.dialect], places)
        return [_from_row(row) for row in rows]

    def last_sequence(self) -> int:
        """The place of the last event; 0 while there is none. Raises StoreError."""
        row = self._database.look_up(_LAST, ())
        return 0 if row is None or row[0] is None else int(row[0])

    def meetings_after(self, sequence: int, limit: int, types: Collection[str]) -> Sequence[TailEvent]:
        """The first `limit` events after a place of these types that name an item. Raises StoreError."""
        query = f"SELECT {_COLUMNS} {self._meetings(types)} ORDER BY sequence LIMIT {limit:d}"
        places = {"place": sequence, **_named(types)}
        return [_from_row(row) for row in self._database.look_up_all(query, places)]

    def start_of_last(self, n: int, types: Collection[str], *, after: int = 0) -> int:
        """The place after which the last `n` such events are, or `after` where there they are fewer.

        Passes over all that was stored since. Raises StoreError.
        """
        query = f"SELECT sequence {self._meetings(types)} ORDER BY sequence DESC LIMIT 1 OFFSET {n:d}"
        rows = self._database.look_up_all(query, {"place": after, **_named(types)})
        return int(rows[0][0]) if rows else after

    def _meetings(self, types: Collection[str]) -> str:
        """The end of a query, with places by name as the driver writes them."""
        place = ":{}" if self._database.dialect == "sqlite" else "%({})s"
        named = ", ".join(map(place.format, _named(types))) or "NULL"
        return _MEETINGS.format(place=place.format("place"), types=named)


def _named(types: Collection[str]) -> dict[str, str]:
    return {f"type_{number}": name for number, name in enumerate(sorted(types))}


def to_tail_event(sequence: int, row: EventRow) -> TailEvent:
    """What a row says to whoever follows the log."""
    return _from_row((sequence, row.customer_id, row.item_id, row.type, row.occurred_at, row.received_at))


def _from_row(row: Sequence[Any]) -> TailEvent:
    sequence, customer_id, item_id, kind, occurred_at, received_at = row
    return TailEvent(sequence, customer_id, item_id, kind, from_micros(occurred_at), from_micros(received_at))
