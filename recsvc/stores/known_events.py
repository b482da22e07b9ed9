"""Read back what is known of one customer. In: moments, a limit, types. Out: the query, and `Known`.

The query is text for the driver: it runs for every slate that is made, and SQLAlchemy's part would cost
more than the database's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from recsvc.domain.interactions import STANDING_TYPES, Known
from recsvc.domain.moments import to_micros
from recsvc.stores.event_rows import EventRow, from_row
from recsvc.stores.tables import COMES_LATE, LATE_MICROS, STANDS

MAX_ALWAYS = 1_000
"""So many events of the types that are always read, at most: the work of one answer stays bounded."""

_FIRST_OF_TIME, _END_OF_TIME = -(2**62), 2**62
_COLUMNS = (*EventRow._fields[:7], "received_at")  # What `from_row` reads, and what tells the late ones.


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events of one customer are asked for. Moments are in microseconds."""

    customer_id: str
    occurred_after: int
    received_after: int
    limit: int
    always: tuple[str, ...]
    ignoring: tuple[str, ...] = ()

    def statement(self) -> str:
        """The query, in the driver's own words."""
        stands = STANDING_TYPES.issuperset(self.always)
        asks_late = self.received_after < _END_OF_TIME
        return _statement(len(self.always), len(self.ignoring), stands, asks_late)

    def parameters(self) -> dict[str, Any]:
        """The parameters of the query."""
        return {
            "customer": self.customer_id,
            "occurred": self.occurred_after,
            "received": self.received_after,
            "received_short": self.received_after - LATE_MICROS,
            "most": self.limit,
            "most_always": MAX_ALWAYS,
            **{f"type{number}": name for number, name in enumerate(self.always)},
            **{f"ignored{number}": name for number, name in enumerate(self.ignoring)},
        }

    def select(self, rows: Sequence[Sequence[Any]]) -> Known:
        """What is wanted of the rows, which may hold an event twice and more events than the limit."""
        by_place = {(row[4], row[0]): row for row in rows}
        ordered = [by_place[place] for place in sorted(by_place)]
        matching = [
            row
            for row in ordered
            if (row[4] > self.occurred_after or row[7] > self.received_after) and row[3] not in self.ignoring
        ]
        latest = {row[0] for row in matching[max(len(matching) - self.limit, 0) :]}
        taken = [row for row in ordered if row[0] in latest or row[3] in self.always]
        return Known(
            tuple(from_row(row[:7]) for row in taken),
            frozenset(
                row[0] for row in taken if row[4] <= self.occurred_after and row[7] > self.received_after
            ),
        )


def make_wanted(
    customer_id: str,
    occurred_after: datetime | None,
    received_after: datetime | None,
    limit: int,
    always: Collection[str],
    ignoring: Collection[str] = (),
) -> Wanted:
    """A moment that is None does not count; where both are None, everything does."""
    types = tuple(sorted(set(always))), tuple(sorted(set(ignoring)))
    if occurred_after is None and received_after is None:
        return Wanted(customer_id, _FIRST_OF_TIME, _END_OF_TIME, limit, *types)
    return Wanted(
        customer_id,
        _END_OF_TIME if occurred_after is None else to_micros(occurred_after),
        _END_OF_TIME if received_after is None else to_micros(received_after),
        limit,
        *types,
    )


@cache
def _statement(n_always: int, n_ignored: int, all_stand: bool, asks_late: bool) -> str:
    """Searches that each walk a stretch of an index: the recent, the late, and the types of always."""
    types = ", ".join(f":type{number}" for number in range(n_always))
    stands = f"{STANDS} AND " if all_stand else ""
    ignored = ", ".join(f":ignored{number}" for number in range(n_ignored))
    counts = f" AND type NOT IN ({ignored})" if n_ignored else ""
    # The unary plus keeps both databases from walking the customer's whole past in order of time.
    late = [
        # Late, and either on its way for long or for so short that it occurred shortly before.
        (
            f"{COMES_LATE} AND received_at > :received AND +occurred_at <= :occurred{counts}",
            "+occurred_at",
            ":most",
        ),
        (
            f"occurred_at > :received_short AND occurred_at <= :occurred{counts} AND received_at > :received",
            "occurred_at",
            ":most",
        ),
    ]
    searches = [
        (f"occurred_at > :occurred{counts}", "occurred_at", ":most"),
        *(late if asks_late else []),
        *([(f"{stands}type IN ({types})", "+occurred_at", ":most_always")] if n_always else []),
    ]
    columns = ", ".join(_COLUMNS)
    return " UNION ALL ".join(
        f"SELECT * FROM (SELECT {columns} FROM events WHERE customer_id = :customer AND {test} "
        f"ORDER BY {moment} DESC, event_id DESC LIMIT {most}) AS search{number}"
        for number, (test, moment, most) in enumerate(searches)
    )
