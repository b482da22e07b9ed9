"""Group commit in front of the event log. In: batches of many callers. Out: few transactions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from recsvc.domain.interactions import Interaction
from recsvc.domain.records import Taken
from recsvc.errors import EventConflictError
from recsvc.stores.event_rows import EventRow, distinct_rows
from recsvc.stores.group_commit import GroupCommit

WAIT_SECONDS = 30.0  # Longer than a transaction waits for another process that writes.


class BatchLog(Protocol):
    """Where batches are stored."""

    def append_batches(self, batches: Sequence[Sequence[EventRow]]) -> list[int | EventConflictError]:
        """Store batches durably, each all or none; new rows or a conflict for each. Raises StoreError."""
        ...


class EventWriter:
    """Takes batches from any thread, and stores those that wait in one transaction."""

    def __init__(self, log: BatchLog, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._commits = GroupCommit[Sequence[EventRow], int](
            log.append_batches,
            name="event-writer",
            wait_seconds=wait_seconds,
            too_late="send the same events again, they are stored once however often they come",
            stopping="the service is stopping and takes no more events: send them again",
        )

    def append(self, interactions: Sequence[Interaction], *, received_at: datetime) -> Taken:
        """Store interactions, all or none; durable once this returns.

        Raises:
            EventConflictError: an id is taken by an event with another body. Nothing was stored.
            StoreError: nothing is acknowledged. It may yet be stored where the store only was too slow.
        """
        rows = distinct_rows(interactions, received_at)
        accepted = self._commits.do(rows, n_rows=len(rows)) if rows else 0
        return Taken(accepted=accepted, duplicates=len(interactions) - accepted)

    def close(self) -> None:
        """Store what waits, then end. Later batches are refused."""
        self._commits.close()
