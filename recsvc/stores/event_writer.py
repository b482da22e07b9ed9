"""Group commit in front of the event log. In: batches of many callers. Out: few transactions.

A durable commit costs a wait for the disk, however little it stores. So one thread does all the storing of
a process: while it waits for the disk, others queue up, and the next transaction takes all of them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Protocol

from recsvc.domain.interactions import Interaction
from recsvc.domain.records import Taken
from recsvc.errors import EventConflictError, StoreError
from recsvc.stores.event_rows import EventRow, distinct_rows

WAIT_SECONDS = 30.0  # Longer than a transaction waits for another process that writes.
_GATHER_SECONDS = 0.001
_ENOUGH_ROWS = 100  # To store so many takes about as long as the disk: waiting for more gains little.
_MAX_ROWS = 10_000  # About so many rows per transaction, so that the first caller does not wait for all.

Outcome = int | EventConflictError


class BatchLog(Protocol):
    """Where batches are stored."""

    def append_batches(self, batches: Sequence[Sequence[EventRow]]) -> list[Outcome]:
        """Store batches durably, each all or none; new rows or a conflict for each. Raises StoreError."""
        ...


class _Waiting:
    """A caller's rows, and a gate where the caller waits for what became of them.

    The gate is a bare lock that is held from the start: a Future would cost more than storing an event.
    """

    __slots__ = ("_gate", "_outcome", "rows")

    def __init__(self, rows: Sequence[EventRow]) -> None:
        self.rows = rows
        self._outcome: int | BaseException = 0
        self._gate = threading.Lock()
        self._gate.acquire()

    def settle(self, outcome: int | BaseException) -> None:
        """Say what became of the rows, and let the caller go."""
        self._outcome = outcome
        self._gate.release()

    def wait(self, seconds: float) -> int:
        """How many rows were new. Raises what went wrong, and StoreError after the seconds."""
        if not self._gate.acquire(timeout=seconds):
            raise StoreError(
                f"the store took longer than {seconds:g} s: send the same events again, "
                "they are stored once however often they come"
            )
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


_Line = SimpleQueue[_Waiting | None]  # None ends the thread once everything before it is stored.


class EventWriter:
    """Takes batches from any thread. Its own thread starts with the first, in each process anew."""

    def __init__(self, log: BatchLog, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._log = log
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._line: _Line = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        _writers.add(self)

    def append(self, interactions: Sequence[Interaction], *, received_at: datetime) -> Taken:
        """Store interactions, all or none; durable once this returns.

        Raises:
            EventConflictError: an id is taken by an event with another body. Nothing was stored.
            StoreError: nothing is acknowledged. It may yet be stored where the store only was too slow.
        """
        rows = distinct_rows(interactions, received_at)
        accepted = self._hand_over(rows).wait(self._wait_seconds) if rows else 0
        return Taken(accepted=accepted, duplicates=len(interactions) - accepted)

    def close(self) -> None:
        """Store what waits, then end. Later batches are refused."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread:
                self._line.put(None)
        if thread:
            thread.join()

    def _hand_over(self, rows: Sequence[EventRow]) -> _Waiting:
        waiting = _Waiting(rows)
        with self._lock:
            if self._closed:
                raise StoreError("the service is stopping and takes no more events: send them again")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, args=(self._line,), name="event-writer", daemon=True
                )
                self._thread.start()
            self._line.put(waiting)
        return waiting

    def _run(self, line: _Line) -> None:
        group: list[_Waiting | None] = []
        while None not in group:
            group = _next_group(line, expected=len(group))
            self._store([one for one in group if one is not None])

    def _store(self, waiting: Sequence[_Waiting]) -> None:
        try:
            outcomes = self._log.append_batches([one.rows for one in waiting]) if waiting else []
        except BaseException as error:  # Whatever it was, each caller must hear of it.
            for one in waiting:
                one.settle(error)
            return
        for one, outcome in zip(waiting, outcomes, strict=True):
            one.settle(outcome)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._line = SimpleQueue()
        self._thread = None


def _next_group(line: _Line, *, expected: int) -> list[_Waiting | None]:
    """Whoever waits, once there is somebody. Where several came last time, they are waited for shortly.

    Callers who were woken together come back together: to leave with the first of them would make the
    others wait for one more commit.
    """
    group = [line.get()]
    n_rows = 0
    while group[-1] is not None and (n_rows := n_rows + len(group[-1].rows)) < _MAX_ROWS:
        pays = len(group) < expected and n_rows < _ENOUGH_ROWS
        try:
            group.append(line.get(timeout=_GATHER_SECONDS) if pays else line.get_nowait())
        except Empty:
            break
    return group


_writers: weakref.WeakSet[EventWriter] = weakref.WeakSet()


def _begin_all_anew() -> None:
    # A fork copies the queue but not the thread: what waits there is the parent's to store.
    for writer in list(_writers):
        writer._begin_anew()


os.register_at_fork(after_in_child=_begin_all_anew)
