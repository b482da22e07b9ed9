"""Figures for whoever watches the service. In: answered requests, how a worker stands. Out: a file of totals.

A request only leaves a note with those of its kind; a thread adds the notes up once a second, all of a kind
together, and writes the totals, so that counting costs a request next to nothing. The server reads the files
of all its workers and answers for them together. No label holds an id: routes are templates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from time import perf_counter
from types import MappingProxyType

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from recsvc.observability import RequestRecord
from recsvc.typed_decoding import decode_msgpack

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of latencies in seconds; above the last one there is one more bucket."""

AGE_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""The same for the ages of lists."""

_MAX_NOTES = 1_000_000  # What a thread that stands still may leave to be added up.
_AT_ONCE = 500  # Notes: a tenth of a millisecond's work.
REST_SECONDS = 0.001
"""So long whoever has more to add up leaves the interpreter to those who answer requests."""


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

    def add(self, bounds: Sequence[float], seconds: ArrayLike) -> None:
        """Count more of them, (n_answers,)."""
        counts = np.bincount(np.searchsorted(bounds, seconds), minlength=len(self.by_bucket))
        self.by_bucket = [before + more for before, more in zip(self.by_bucket, counts.tolist(), strict=True)]
        self.seconds += float(np.sum(seconds))


Note = Callable[[tuple[float, float, float | None]], None]
"""Notes an answer: its start and end by perf_counter, and when its list was made, in seconds since 1970."""


class _Tally:
    """What was counted of answers of one kind, and what was noted of them since."""

    def __init__(self, kind: Answered, max_notes: int) -> None:
        self.latencies = Durations(kind, [0] * (len(BUCKETS) + 1))
        self.ages = Durations(kind, [0] * (len(AGE_BUCKETS) + 1))
        self.notes: deque[tuple[float, float, float | None]] = deque(maxlen=max_notes)

    def add_up(self, clock_began: float, rest: Callable[[], object]) -> None:
        """Count what was noted. `clock_began` is what the clock said when perf_counter was 0."""
        for n_left in range(len(self.notes), 0, -_AT_ONCE):
            self._add([self.notes.popleft() for _ in range(min(n_left, _AT_ONCE))], clock_began)
            if n_left > _AT_ONCE:
                rest()

    def _add(self, taken: Sequence[tuple[float, float, float | None]], clock_began: float) -> None:
        started, ended, _ = (np.asarray(each, dtype=float) for each in zip(*taken, strict=True))
        self.latencies.add(BUCKETS, ended - started)
        ages = [clock_began + until - made_at for _, until, made_at in taken if made_at is not None]
        if ages:
            self.ages.add(AGE_BUCKETS, np.maximum(ages, 0.0))


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
    `pid`, stands, and `counters` what its parts have counted since it started. `rest` is called again and
    again while much is added up, to leave the interpreter to whoever answers meanwhile.
    """

    def __init__(
        self,
        folder: Path | None,
        state: Callable[[], WorkerState],
        *,
        pid: int,
        clock: Callable[[], datetime],
        counters: Mapping[str, Callable[[], int]] = MappingProxyType({}),
        rest: Callable[[], object] = lambda: None,
    ) -> None:
        self._folder = folder
        self._state = state
        self._pid = pid
        self._clock = clock
        self._counters = counters
        self._rest = rest
        self._tallies: dict[Answered, _Tally] = {}

    def note(self, record: RequestRecord, status: int) -> None:
        """Note an answered request."""
        if self._folder is not None:
            made_at = None if record.made_at is None else record.made_at.timestamp()
            self.note_of(record, status)((record.started, perf_counter(), made_at))

    def note_of(self, record: RequestRecord, status: int) -> Note:
        """What notes answers of the record's kind: whoever has it need not say the kind each time."""
        kind = Answered(record.route, status, record.source, record.cache)
        tally = self._tallies.get(kind)
        if tally is None:
            # Another thread may make it at the same time, and both must use the one that is kept.
            tally = self._tallies.setdefault(kind, _Tally(kind, 0 if self._folder is None else _MAX_NOTES))
        return tally.notes.append

    def write(self) -> None:
        """Add up what was noted, and write the totals whole. A worker does this again and again."""
        if self._folder is None:
            return
        self._add_up()
        tallies = tuple(self._tallies.values())
        latencies = tuple(one.latencies for one in tallies)
        ages = tuple(one.ages for one in tallies if any(one.ages.by_bucket))
        counts = {name: count() for name, count in self._counters.items()}
        written = WorkerTotals(self._pid, latencies, ages, counts, self._state())
        draft = self._folder / f".{written.pid}.part"
        draft.write_bytes(msgspec.msgpack.encode(written))
        draft.replace(self._folder / f"{written.pid}.totals")

    def _add_up(self) -> None:
        clock_began = self._clock().timestamp() - perf_counter()
        for tally in tuple(self._tallies.values()):
            tally.add_up(clock_began, self._rest)


def totals_in(folder: Path, is_alive: Callable[[int], bool]) -> Iterator[WorkerTotals]:
    """What every worker has counted; those that ended still count, and stand nowhere any more."""
    for path in sorted(folder.glob("*.totals")):
        totals = decode_msgpack(path.read_bytes(), WorkerTotals)
        yield totals if is_alive(totals.pid) else msgspec.structs.replace(totals, state=None)
