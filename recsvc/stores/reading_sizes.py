"""How much a report has to read, in SQL. In: what it reads at most. Out: whether that is little.

Counting stops at the limit, so to be told costs little however much there is.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, func, select

from recsvc.domain.moments import from_micros, to_micros
from recsvc.domain.outcomes import Reading
from recsvc.stores.database import Database
from recsvc.stores.tables import events, exposures

MOST_ROWS = 10_000
"""So many events and exposures together are read within a quarter of a second of CPU."""
MOST_CHARACTERS = 8_000_000
"""So much may stand in the documents of the events: rows of the largest size would fill a worker's memory."""

_EXPOSED = (
    select(exposures.c.exposed_at)
    .where(exposures.c.experiment == bindparam("experiment"), exposures.c.phase == bindparam("phase"))
    .limit(bindparam("limit"))
    .subquery()
)
_N_EXPOSED = select(func.count(), func.min(_EXPOSED.c.exposed_at)).select_from(_EXPOSED)
_EVENTS = (
    select(func.length(events.c.document).label("size"))
    .where(events.c.occurred_at >= bindparam("since"), events.c.occurred_at < bindparam("until"))
    .limit(bindparam("limit"))
    .subquery()
)
_N_EVENTS = select(func.count(), func.coalesce(func.sum(_EVENTS.c.size), 0)).select_from(_EVENTS)


class SqlReadingSizes:
    """Knows what is little to read."""

    def __init__(
        self, database: Database, *, most_rows: int = MOST_ROWS, most_characters: int = MOST_CHARACTERS
    ) -> None:
        self._database = database
        self._most_rows = most_rows
        self._most_characters = most_characters

    def is_small(self, reading: Reading) -> bool:
        """Whether all that it may read is within the limits. Raises StoreError."""
        left, since = self._most_rows, reading.since
        if reading.exposed is not None:
            n_exposed, first_at = self._exposed(*reading.exposed)
            left -= n_exposed * reading.n_times
            since = since or (reading.until if first_at is None else from_micros(first_at))
        if left < 0:
            return False
        return self._is_little((since or reading.until) - reading.before, reading.until, left)

    def _exposed(self, experiment: str, phase: int) -> tuple[int, int | None]:
        place = {"experiment": experiment, "phase": phase, "limit": self._most_rows + 1}
        with self._database.reading() as connection:
            n, first_at = connection.execute(_N_EXPOSED, place).one()
        return n, first_at

    def _is_little(self, since: datetime, until: datetime, most_rows: int) -> bool:
        window = {"since": to_micros(since), "until": to_micros(until), "limit": most_rows + 1}
        with self._database.reading() as connection:
            n, n_characters = connection.execute(_N_EVENTS, window).one()
        return bool(n <= most_rows and n_characters <= self._most_characters)
