"""Take events in. In: clean events. Out: how many were new, once they are durable and the next answer knows.

First the store, then the epochs: a slate that was computed before the events were stored is kept under the
epoch that it was begun in, which is over by then, so nobody is ever served it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from recsvc.domain.interactions import Interaction
from recsvc.domain.records import Taken
from recsvc.serving.epochs import OutdatingCache


class EventLog(Protocol):
    """Where events are kept for good."""

    def append(self, interactions: Sequence[Interaction], *, received_at: datetime) -> Taken:
        """Store all or none, durably. Raises EventConflictError, StoreError."""
        ...


class EventIntake:
    """Stores events and outdates the slates of their customers. `announce` says that something is new."""

    def __init__(
        self,
        log: EventLog,
        cache: OutdatingCache,
        *,
        clock: Callable[[], datetime],
        announce: Callable[[], None],
    ) -> None:
        self._log = log
        self._cache = cache
        self._clock = clock
        self._announce = announce

    def take(self, events: Sequence[Interaction]) -> Taken:
        """Store all events or none. Once this returns they are durable, and every next answer knows them.

        Raises:
            EventConflictError: an id is taken by an event with another body. Nothing was stored.
            StoreError: nothing is acknowledged.
        """
        taken = self._log.append(events, received_at=self._clock())
        self._announce()
        # Also for duplicates: whoever stored them first may have ended before the epochs moved.
        self._cache.move_epochs({event.customer_id for event in events})
        return taken
