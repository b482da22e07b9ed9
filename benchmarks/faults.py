"""What becomes of a service whose Redis fails. In: a demo, a Redis. Out: answers, latencies, freshness.

Each fault is watched before, during and after, at a fixed rate of requests that does not wait for answers.
Meanwhile a customer turns down the first article of a list again and again, and every worker is asked until
none shows it: once the event is acknowledged, none should.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT
from benchmarks.faulty_redis import FaultyRedis, free_port
from benchmarks.load import Loaded, get, open_loop

READY_SECONDS = 240.0
N_CONNECTIONS = 32
N_CUSTOMERS = 700
N_ASKED = 8  # After an event the list is asked for so often, each time by whichever worker takes it.
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
class Service:
    """A demo that is ready: its port, a key, its customers."""

    port: int
    key: str
    customers: Sequence[str]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request on a connection of its own, which any worker may take; its status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def list_of(self, customer_id: str) -> list[str]:
        """The ids of the customer's articles; nothing where the answer is not a list."""
        status, body = self.ask("GET", f"/v1/customers/{customer_id}/recommendations/content")
        return [item["item_id"] for item in body["items"]] if status == 200 else []

    def turn_down(self, customer_id: str, item_id: str) -> bool:
        """Whether the event was acknowledged."""
        event = {
            "event_id": uuid.uuid4().hex,
            "type": "dismiss",
            "customer_id": customer_id,
            "item_id": item_id,
            "occurred_at": datetime.now(UTC).isoformat(),
            "channel": "web",
        }
        return self.ask("POST", "/v1/events", {"events": [event]})[0] == 202


@contextmanager
def running(folder: Path, redis_url: str, workers: int) -> Iterator[Service]:
    """A demo over the Redis; what the folder keeps of an earlier one is used again."""
    port, ready = free_port(), folder / "ready.json"
    names = [name for name in os.environ if not name.startswith("RECSVC_")]
    environment = {name: os.environ[name] for name in names} | {
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": redis_url,
        "RECSVC_WORKERS": str(workers),
    }
    words = ["demo", "--port", str(port), "--ready-file", str(ready), "--data-dir", str(folder / "demo")]
    with (folder / "demo.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recsvc", *words], env=environment, stdout=log, stderr=log, cwd=folder
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the demo did not become ready; see {folder / 'demo.log'}")
            time.sleep(0.1)
        facts = json.loads(ready.read_bytes())
        yield Service(port, facts["keys"]["frontend"], facts["customers"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@dataclass
class Probe:
    """Turns articles down, and looks who still shows them. Runs in a thread of its own until told to stop."""

    service: Service
    stale_seconds: list[tuple[float, float]] = field(default_factory=list)
    n_refused: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Note of each event when it was acknowledged, and how long somebody showed the article after it."""
        number = 0
        while not self._stop.is_set():
            customer_id = self.service.customers[number % len(self.service.customers)]
            number += 1
            shown = self.service.list_of(customer_id)
            if not shown:
                self._stop.wait(0.2)
            elif not self.service.turn_down(customer_id, shown[0]):
                self.n_refused += 1
            else:
                self._watch(customer_id, shown[0])
            self._stop.wait(0.1)

    def stop(self) -> None:
        self._stop.set()

    def _watch(self, customer_id: str, item_id: str) -> None:
        acknowledged_at = time.monotonic()
        stale_until, n_fresh = acknowledged_at, 0
        while n_fresh < N_ASKED and time.monotonic() - acknowledged_at < 2 * MOST_STALE_SECONDS:
            asked_at = time.monotonic()
            if item_id in self.service.list_of(customer_id):
                stale_until, n_fresh = asked_at, 0
            else:
                n_fresh += 1
        self.stale_seconds.append((acknowledged_at, stale_until - acknowledged_at))


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time: how many answers, those other than 200 by status, latencies in ms."""

    n_answers: int
    others: dict[int, int]
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, loaded: Loaded) -> Phase:
        others = {status: n for status, n in loaded.statuses.items() if status != 200}
        p50, p99 = (round(1000 * loaded.latency(one), 2) for one in (0.5, 0.99))
        return cls(loaded.n_answers, others, p50, p99)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a fault. `n_events` were acknowledged meanwhile, and the article that one turned down
    was shown for `stale_seconds` after it at the longest; `n_refused` events were not acknowledged.
    """

    fault: str
    before: Phase
    during: Phase
    after: Phase
    n_events: int
    stale_seconds: float
    n_refused: int

    @property
    def p99_ratio(self) -> float:
        return self.during.p99_ms / self.before.p99_ms

    @property
    def is_survived(self) -> bool:
        """Whether every answer was a good one, and none was old for too long."""
        others = sum((Counter(one.others) for one in (self.before, self.during, self.after)), Counter())
        return not others and not self.n_refused and self.stale_seconds <= MOST_STALE_SECONDS


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
    stale = max((seconds for _, seconds in probe.stale_seconds), default=0.0)
    return Outcome(
        fault.name, before, during, after, len(probe.stale_seconds), round(stale, 3), probe.n_refused
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
    return Phase.of(loaded)


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
