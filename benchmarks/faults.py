"""What becomes of a service whose Redis fails. In: a service, a Redis. Out: answers, latencies, freshness.

Each fault is watched before, during and after, at a fixed rate of requests that does not wait for answers.
Meanwhile events are told to one worker and looked for with all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.demo_service import Breakers, Service
from benchmarks.faulty_redis import FaultyRedis
from benchmarks.load import get, open_loop
from benchmarks.probing import Probe

N_CONNECTIONS = 32
N_CUSTOMERS = 700
MOST_STALE_SECONDS = 5.0
MOST_TIMES_P99 = 2.0

Act = Callable[[FaultyRedis], None]


def _nothing(redis: FaultyRedis) -> None:
    """What needs no mending."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to Redis, and how it is mended. `again_after` repeats both while the fault lasts."""

    name: str
    do: Act
    mend: Act
    again_after: float | None = None


FAULTS = (
    Fault("killed", FaultyRedis.kill, FaultyRedis.start),
    Fault("stopped", FaultyRedis.stop, FaultyRedis.go_on),
    Fault("200 ms slow", lambda redis: redis.misbehave("slow"), lambda redis: redis.misbehave("pass")),
    Fault("swallowing", lambda redis: redis.misbehave("swallow"), lambda redis: redis.misbehave("pass")),
    Fault("out of memory", FaultyRedis.fill_up, FaultyRedis.empty_out),
    Fault("read-only", FaultyRedis.refuse_writes, FaultyRedis.allow_writes),
    Fault("refusing authentication", FaultyRedis.ask_for_password, FaultyRedis.ask_for_none),
    Fault("loading", lambda redis: redis.misbehave("loading"), lambda redis: redis.misbehave("pass")),
    Fault("flushed", FaultyRedis.flush, _nothing),
    Fault("killed and restarted", FaultyRedis.kill, FaultyRedis.start, again_after=6.0),
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time: how many requests were due, answers other than 200 by status (0 for none at all),
    latencies in ms, and the breakers at its end.
    """

    n_due: int
    others: dict[int, int]
    p50_ms: float
    p99_ms: float
    breakers: Breakers


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a fault.

    Meanwhile `n_events` were acknowledged and `n_refused` were not; `n_stale` of the `n_lists` asked for
    after one did not know of it, for `stale_seconds` at the longest, and `n_no_lists` answers were no list.
    `n_elsewhere` of the lists came from another worker than the one that acknowledged the event.
    """

    fault: str
    before: Phase
    during: Phase
    after: Phase
    n_events: int
    n_refused: int
    n_lists: int
    n_elsewhere: int
    n_no_lists: int
    n_stale: int
    stale_seconds: float

    @property
    def others(self) -> dict[int, int]:
        """Answers other than 200 to requests at the fixed rate, by status."""
        phases = (self.before, self.during, self.after)
        statuses = {status for one in phases for status in one.others}
        return {each: sum(one.others.get(each, 0) for one in phases) for each in sorted(statuses)}

    @property
    def n_openings(self) -> int:
        """How often workers began to leave Redis alone."""
        return self.after.breakers.openings - self.before.breakers.openings

    @property
    def p99_ratio(self) -> float:
        return self.during.p99_ms / self.before.p99_ms

    @property
    def is_answered(self) -> bool:
        """Whether everybody got a list and every event was taken."""
        return not self.others and not self.n_refused and not self.n_no_lists

    @property
    def is_fresh(self) -> bool:
        """Whether no list was behind the events for too long."""
        return self.stale_seconds <= MOST_STALE_SECONDS

    @property
    def is_quick(self) -> bool:
        """Whether the slowest of a hundred answers took no more than so many times as long as before."""
        return self.p99_ratio <= MOST_TIMES_P99


def suffer(
    fault: Fault, service: Service, redis: FaultyRedis, *, seconds: float, per_second: float
) -> Outcome:
    """Watch before, do it, watch, mend it, and watch again; each for so many seconds."""
    probe = Probe(service)
    thread = threading.Thread(target=probe.run)
    thread.start()
    try:
        before = _load(service, seconds, per_second)
        with _done(fault, redis):
            during = _load(service, seconds, per_second)
        after = _load(service, seconds, per_second)
    finally:
        probe.stop()
        thread.join()
    return Outcome(
        fault.name,
        before,
        during,
        after,
        n_events=probe.n_events,
        n_refused=probe.n_refused,
        n_lists=probe.n_lists,
        n_elsewhere=probe.n_elsewhere,
        n_no_lists=probe.n_others,
        n_stale=probe.n_stale,
        stale_seconds=round(probe.stale_seconds, 3),
    )


def _requests(service: Service) -> list[bytes]:
    """Lists of many customers of the demo's bank, some of whom were asked for lately and most were not."""
    headers = {"Authorization": f"Bearer {service.key}"}
    return [
        get(f"/v1/customers/c{n * 37 % N_CUSTOMERS:04}/recommendations/content", **headers)
        for n in range(N_CUSTOMERS)
    ]


def warm_up(service: Service, *, seconds: float, per_second: float) -> None:
    """What only the first requests cost is no part of a figure."""
    _load(service, seconds, per_second)


def _load(service: Service, seconds: float, per_second: float) -> Phase:
    requests = _requests(service)
    loaded = open_loop(
        service.port,
        lambda n: requests[n % len(requests)],
        n_connections=N_CONNECTIONS,
        seconds=seconds,
        per_second=per_second,
    )
    n_due = int(seconds * per_second)
    others = {status: n for status, n in loaded.statuses.items() if status not in (0, 200)}
    n_without = n_due - loaded.n_answers + loaded.statuses[0]
    p50, p99 = (round(1000 * loaded.latency(one), 2) for one in (0.5, 0.99))
    return Phase(n_due, others | ({0: n_without} if n_without else {}), p50, p99, service.breakers())


@contextmanager
def _done(fault: Fault, redis: FaultyRedis) -> Iterator[None]:
    """The fault holds meanwhile; where it repeats, it is mended and done anew after each stretch of time."""
    fault.do(redis)
    over = threading.Event()
    repeating = threading.Thread(target=_repeat, args=(fault, redis, over))
    repeating.start()
    try:
        yield
    finally:
        over.set()
        repeating.join()
        fault.mend(redis)


def _repeat(fault: Fault, redis: FaultyRedis, over: threading.Event) -> None:
    while fault.again_after is not None and not over.wait(fault.again_after):
        fault.mend(redis)
        over.wait(fault.again_after)
        fault.do(redis)
