"""Figures for whoever watches the service. In: answered requests, how a worker stands. Out: a file of totals.

A request only leaves a note; a thread adds the notes up once a second and writes the totals, so that counting
costs a request next to nothing. The server reads the files of all its workers and answers for them together.
No label holds an id: routes are templates.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import perf_counter
from types import MappingProxyType

import msgspec

from recsvc.observability import RequestRecord

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of latencies in seconds; above the last one there is one more bucket."""

AGE_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""The same for the ages of lists."""

_MAX_NOTES = 1_000_000  # What a thread that stands still may leave to be added up.


class Answered(msgspec.Struct, frozen=True):
    """A kind of answer: its route's template, its status, the rung and the cache tier that it came from."""

    route: str
    status: int
    source: str | None
    cache: str | None


class Durations(msgspec.Struct):
    """Of answers of one kind: how many fell into each bucket, and their seconds in all."""

    kind: Answered
    by_bucket: list[int]
    seconds: float = 0.0

    def add(self, bounds: Sequence[float], seconds: float) -> None:
        """Count one more."""
        self.by_bucket[bisect_left(bounds, seconds)] += 1
        self.seconds += seconds


class Warming(msgspec.Struct, frozen=True):
    """How far a worker is with lists that nobody waits for: how many it has made, and how many wait."""

    n_made: int = 0
    n_waiting: int = 0


class WorkerState(msgspec.Struct, frozen=True):
    """How a worker stands. `events_behind` are those yet to be followed, None where nobody knows.

    `breakers` tells by name of what may fail whether it is left alone now.
    """

    model_version: str | None
    model_created_at: datetime | None
    redis: bool
    store: bool
    events_behind: int | None
    warming: Warming = Warming()
    breakers: dict[str, bool] = {}


class WorkerTotals(msgspec.Struct, frozen=True):
    """What a worker has counted since it started, and how it stands.

    `counts` holds `mismatches`, answers of another model than an experiment had assigned, and `rests`, how
    often Redis was left alone after it had failed.
    """

    pid: int
    latencies: tuple[Durations, ...]
    ages: tuple[Durations, ...]
    counts: dict[str, int]
    state: WorkerState | None


class Telemetry:
    """Notes requests, and writes what they add up to where the server finds it.

    `folder` None means that nobody watches: nothing is noted. `state` tells how the worker, whose process is
    `pid`, stands, and `counters` what its parts have counted since it started.
    """

    def __init__(
        self,
        folder: Path | None,
        state: Callable[[], WorkerState],
        *,
        pid: int,
        clock: Callable[[], datetime],
        counters: Mapping[str, Callable[[], int]] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self._state = state
        self._pid = pid
        self._clock = clock
        self._counters = counters
        # Of an answer: its kind, its start and its end by perf_counter, and when its list was made.
        self._notes: deque[tuple[Answered, float, float, datetime | None]] = deque(maxlen=_MAX_NOTES)
        self._latencies: dict[Answered, Durations] = {}
        self._ages: dict[Answered, Durations] = {}

    def note(self, record: RequestRecord, status: int) -> None:
        """Note an answered request."""
        if self._folder is not None:
            kind = Answered(record.route, status, record.source, record.cache)
            self._notes.append((kind, record.started, perf_counter(), record.made_at))

    def write(self) -> None:
        """Add up what was noted, and write the totals whole. A worker does this again and again."""
        if self._folder is None:
            return
        self._add_up()
        latencies, ages = tuple(self._latencies.values()), tuple(self._ages.values())
        counts = {name: count() for name, count in self._counters.items()}
        written = WorkerTotals(self._pid, latencies, ages, counts, self._state())
        draft = self._folder / f".{written.pid}.part"
        draft.write_bytes(msgspec.msgpack.encode(written))
        draft.replace(self._folder / f"{written.pid}.totals")

    def _add_up(self) -> None:
        clock_began = self._clock().timestamp() - perf_counter()  # What the clock said when that was 0.
        while self._notes:
            kind, started, ended, made_at = self._notes.popleft()
            _of(kind, self._latencies, BUCKETS).add(BUCKETS, ended - started)
            if made_at is not None:
                age_seconds = max(0.0, clock_began + ended - made_at.timestamp())
                _of(kind, self._ages, AGE_BUCKETS).add(AGE_BUCKETS, age_seconds)


def totals_in(folder: Path, is_alive: Callable[[int], bool]) -> Iterator[WorkerTotals]:
    """What every worker has counted; those that ended still count, and stand nowhere any more."""
    for path in sorted(folder.glob("*.totals")):
        totals = msgspec.msgpack.decode(path.read_bytes(), type=WorkerTotals)
        yield totals if is_alive(totals.pid) else msgspec.structs.replace(totals, state=None)


def _of(kind: Answered, so_far: dict[Answered, Durations], bounds: Sequence[float]) -> Durations:
    found = so_far.get(kind)
    if found is None:
        found = so_far[kind] = Durations(kind, [0] * (len(bounds) + 1))
    return found
