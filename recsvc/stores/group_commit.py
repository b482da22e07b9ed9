"""Group commit: many callers share a transaction. In: works of many threads. Out: few transactions.

A durable commit costs a wait for the disk, and for other processes that write, however little it stores. So
one thread does all the storing of a process: while it waits, others queue up, and the next transaction takes
all of them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from recsvc.errors import StoreError

_GATHER_SECONDS = 0.001
_ENOUGH_ROWS = 100  # To store so many takes about as long as the disk: waiting for more gains little.
_MAX_ROWS = 10_000  # About so many rows per transaction, so that the first caller does not wait for all.

W = TypeVar("W")
R = TypeVar("R")


class _Waiting(Generic[W, R]):
    """A caller's work, and a gate where the caller waits for what became of it.

    The gate is a bare lock that is held from the start: a Future would cost more than storing an event.
    """

    __slots__ = ("_gate", "_outcome", "has_left", "n_rows", "work")

    def __init__(self, work: W, n_rows: int) -> None:
        self.work = work
        self.n_rows = n_rows
        self.has_left = False
        self._outcome: R | BaseException
        self._gate = threading.Lock()
        self._gate.acquire()

    def settle(self, outcome: R | BaseException) -> None:
        """Say what became of the work, and let the caller go."""
        self._outcome = outcome
        self._gate.release()

    def wait(self, seconds: float, too_late: str) -> R:
        """What became of the work. Raises what went wrong, and StoreError after the seconds."""
        if not self._gate.acquire(timeout=seconds):
            self.has_left = True
            raise StoreError(f"the store took longer than {seconds:g} s: {too_late}")
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


class GroupCommit(Generic[W, R]):
    """Takes work from any thread. Its own thread starts with the first, in each process anew."""

    def __init__(
        self,
        store: Callable[[Sequence[W]], Sequence[R | Exception]],
        *,
        name: str,
        wait_seconds: float,
        too_late: str,
        stopping: str,
    ) -> None:
        """`store` does works in one transaction: what came of each once all are durable.

        `too_late` and `stopping` tell what to do for those who waited too long, and who came at the end.
        """
        self._store = store
        self._name = name
        self._wait_seconds = wait_seconds
        self._too_late = too_late
        self._stopping = stopping
        self._lock = threading.Lock()
        self._line: SimpleQueue[_Waiting[W, R] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        _all.add(self)

    @property
    def n_waiting(self) -> int:
        """How many works are in no transaction yet."""
        return self._line.qsize()

    @property
    def is_closed(self) -> bool:
        """Whether no more work is taken."""
        return self._closed

    def do(self, work: W, *, n_rows: int = 1) -> R:
        """Do the work with that of others; durable once this returns.

        Raises what `store` said of it, and StoreError after `wait_seconds`: then the work was not done, or is
        being done right now.
        """
        waiting = _Waiting[W, R](work, n_rows)
        with self._lock:
            if self._closed:
                raise StoreError(self._stopping)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, args=(self._line,), name=self._name, daemon=True
                )
                self._thread.start()
            self._line.put(waiting)
        return waiting.wait(self._wait_seconds, self._too_late)

    def close(self) -> None:
        """Do what waits, then end. Later work is refused."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread:
                self._line.put(None)  # Ends the thread once everything before it is done.
        if thread:
            thread.join()

    def _run(self, line: SimpleQueue[_Waiting[W, R] | None]) -> None:
        group: list[_Waiting[W, R] | None] = []
        while None not in group:
            group = _next_group(line, expected=len(group))
            self._do([one for one in group if one is not None and not one.has_left])

    def _do(self, waiting: Sequence[_Waiting[W, R]]) -> None:
        try:
            outcomes = self._store([one.work for one in waiting]) if waiting else []
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


def _next_group(line: SimpleQueue[_Waiting[W, R] | None], *, expected: int) -> list[_Waiting[W, R] | None]:
    """Whoever waits, once there is somebody. Where several came last time, they are waited for shortly.

    Callers who were woken together come back together: to leave with the first of them would make the
    others wait for one more commit.
    """
    group = [line.get()]
    n_rows = 0
    while (last := group[-1]) is not None and (n_rows := n_rows + last.n_rows) < _MAX_ROWS:
        pays = len(group) < expected and n_rows < _ENOUGH_ROWS
        try:
            group.append(line.get(timeout=_GATHER_SECONDS) if pays else line.get_nowait())
        except Empty:
            break
    return group


_all: weakref.WeakSet[GroupCommit[Any, Any]] = weakref.WeakSet()


def _begin_all_anew() -> None:
    # A fork copies the queue but not the thread: what waits there is the parent's to store.
    for one in list(_all):
        one._begin_anew()


os.register_at_fork(after_in_child=_begin_all_anew)
