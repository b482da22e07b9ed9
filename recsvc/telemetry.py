"""Figures for whoever watches the service. In: answered requests, how a worker stands. Out: a file of totals.

A request only leaves a note; a thread adds the notes up once a second and writes the totals, so that counting
costs a request next to nothing. The server reads the files of all its workers and answers for them together.
No label holds an id: routes are templates.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from recsvc.observability import RequestRecord

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of latencies in seconds; above the last one there is one more bucket."""

_MAX_NOTES = 1_000_000  # What a thread that stands still may leave to be added up.


class Answered(msgspec.Struct, frozen=True):
    """A kind of answer: its route's template, its status, the rung and the cache tier that it came from."""

    route: str
    status: int
    source: str | None
    cache: str | None


class Latencies(msgspec.Struct):
    """Of answers of one kind: how many fell into each bucket, and their seconds in all."""

    kind: Answered
    by_bucket: list[int]
    seconds: float = 0.0


class Warming(msgspec.Struct, frozen=True):
    """How far a worker is with lists that nobody waits for: how many it has made, and how many wait."""

    n_made: int = 0
    n_waiting: int = 0


class WorkerState(msgspec.Struct, frozen=True):
    """How a worker stands. `events_behind` are those yet to be followed, None where nobody knows."""

    model_version: str | None
    model_created_at: datetime | None
    redis: bool
    store: bool
    events_behind: int | None
    warming: Warming = Warming()


class WorkerTotals(msgspec.Struct, frozen=True):
    """What a worker has counted since it started, and how it stands."""

    pid: int
    latencies: tuple[Latencies, ...]
    state: WorkerState | None


class Telemetry:
    """Notes requests, and writes what they add up to where the server finds it.

    `folder` None means that nobody watches: nothing is noted. `state` tells how the worker, whose process is
    `pid`, stands.
    """

    def __init__(self, folder: Path | None, state: Callable[[], WorkerState], *, pid: int) -> None:
        self._folder = folder
        self._state = state
        self._pid = pid
        self._notes: deque[tuple[Answered, float]] = deque(maxlen=_MAX_NOTES)
        self._totals: dict[Answered, Latencies] = {}

    def note(self, record: RequestRecord, status: int) -> None:
        """Note an answered request."""
        if self._folder is not None:
            kind = Answered(record.route, status, record.source, record.cache)
            self._notes.append((kind, record.elapsed_ms / 1000))

    def write(self) -> None:
        """Add up what was noted, and write the totals whole. A worker does this again and again."""
        if self._folder is None:
            return
        while self._notes:
            kind, seconds = self._notes.popleft()
            totals = self._totals.get(kind)
            if totals is None:
                totals = self._totals[kind] = Latencies(kind, [0] * (len(BUCKETS) + 1))
            totals.by_bucket[bisect_left(BUCKETS, seconds)] += 1
            totals.seconds += seconds
        written = WorkerTotals(self._pid, tuple(self._totals.values()), self._state())
        draft = self._folder / f".{written.pid}.part"
        draft.write_bytes(msgspec.msgpack.encode(written))
        draft.replace(self._folder / f"{written.pid}.totals")


def totals_in(folder: Path, is_alive: Callable[[int], bool]) -> Iterator[WorkerTotals]:
    """What every worker has counted; those that ended still count, and stand nowhere any more."""
    for path in sorted(folder.glob("*.totals")):
        totals = msgspec.msgpack.decode(path.read_bytes(), type=WorkerTotals)
        yield totals if is_alive(totals.pid) else WorkerTotals(totals.pid, totals.latencies, None)
