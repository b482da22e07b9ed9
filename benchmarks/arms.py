"""Two variants on two model versions under load: is everybody served what they were assigned, and noted once?

In: a service that runs, with its store. Out: a report. The assignment is computed here, by the pure function,
from the salt that the service names. Meanwhile Redis is killed, and then a worker.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from recsvc.experimentation.assignment import Allocation, Variant
from recsvc.experimentation.sample_ratio import check_sample_ratio
from recsvc.stores.database import open_database
from recsvc.stores.exposures import SqlExposures

KEY = "two-versions"
WEIGHTS = {"a": 50, "b": 50}
CHANNELS = ("web", "mobile", "email")
N_PER_CONNECTION = 25  # Then a new one is opened, so that any worker may take it.
READY_SECONDS = 60.0
NOTED_SECONDS = 10.0
N_IN_A_ROW = 40  # So many answers in a row in an arm, and every worker has opened the experiment.


@dataclass(frozen=True)
class TwoVersions:
    """A service with two models: where it listens, keys, its process, its store."""

    port: int
    frontend_key: str
    marketer_key: str
    pid: int
    store_url: str
    versions: tuple[str, str]
    customers: Sequence[str]

    def ask(self, method: str, path: str, key: str, body: object = None) -> tuple[int, Any]:
        """One request on a connection of its own; its status and JSON."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            content = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())


@dataclass
class Seen:
    """What the answers were. `wrong` are the first of those that were not as assigned."""

    n_answers: int = 0
    n_in_arms: int = 0
    n_broken_off: int = 0
    n_other_status: int = 0
    n_wrong: int = 0
    wrong: list[str] = field(default_factory=list)
    exposed: set[str] = field(default_factory=set)
    tiers: Counter[str] = field(default_factory=Counter)

    def add(self, other: Seen) -> None:
        """Count what another thread saw."""
        for name in ("n_answers", "n_in_arms", "n_broken_off", "n_other_status", "n_wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong += other.wrong[: 5 - len(self.wrong)]
        self.exposed |= other.exposed
        self.tiers += other.tiers


@dataclass(frozen=True)
class Report:
    """What was found; `is_kept` where nothing was wrong."""

    n_answers: int
    n_in_arms: int
    n_wrong: int
    wrong: Sequence[str]
    n_broken_off: int
    n_other_status: int
    tiers: dict[str, int]
    n_exposed: int
    n_rows: int
    n_rows_of_others: int
    n_mismatched: int
    sample_ratio_p: float

    @property
    def is_kept(self) -> bool:
        """Whether every answer was as assigned, and every exposed customer, and nobody else, has one row."""
        faults = self.n_wrong + self.n_other_status + self.n_mismatched + self.n_rows_of_others
        return faults == 0 and self.n_rows == self.n_exposed > 0 and self.sample_ratio_p > 0.001


def run_arms(service: TwoVersions, *, seconds: float, n_threads: int, coverage: float = 0.8) -> Report:
    """Begin the experiment, ask for everybody's lists for three spells, and compare with the store."""
    deals = begin(service, coverage)
    seen = Seen()
    for strike in (lambda: lose_redis(service.pid), lambda: lose_worker(service.pid), None):
        seen.add(ask_everybody(service, deals, seconds, n_threads))
        if strike is not None:
            strike()
    wait_until_dealt(service, deals)  # The worker that came in its place included.
    # What the killed worker had not yet written is known once its customers come again.
    seen.add(ask_everybody(service, deals, 0.0, n_threads))
    return judge(service, deals, seen)


def begin(service: TwoVersions, coverage: float) -> Allocation:
    """Register the experiment; how it deals, once every worker has opened it."""
    variants = [
        {"key": key, "model_version": version, "weight": weight}
        for (key, weight), version in zip(WEIGHTS.items(), service.versions, strict=True)
    ]
    body = {"variants": variants, "coverage": coverage, "status": "running"}
    status, answer = service.ask("PUT", f"/v1/experiments/{KEY}", service.marketer_key, body)
    assert status == 201, answer
    deals = Allocation(
        answer["salt"], tuple(Variant(key, weight) for key, weight in WEIGHTS.items()), coverage
    )
    wait_until_dealt(service, deals)
    return deals


def wait_until_dealt(service: TwoVersions, deals: Allocation) -> None:
    """Until many answers in a row, each over a connection of its own, come from an arm."""
    probe = next(one for one in (f"probe-{n}" for n in range(1_000)) if deals.assign(one).variant)
    path = f"/v1/customers/{probe}/recommendations/content?limit=1"
    deadline, in_a_row = time.monotonic() + READY_SECONDS, 0
    while in_a_row < N_IN_A_ROW:
        assert time.monotonic() < deadline, "not every worker has opened the experiment"
        try:
            _, answer = service.ask("GET", path, service.frontend_key)
        except (OSError, http.client.HTTPException):
            in_a_row = 0
            continue
        in_a_row = in_a_row + 1 if answer["experiment"] else 0


def ask_everybody(service: TwoVersions, deals: Allocation, seconds: float, n_threads: int) -> Seen:
    """Ask for the lists of all customers at least once, again and again for some time; what came."""
    deadline = time.monotonic() + seconds

    def work(part: int) -> Seen:
        mine = service.customers[part::n_threads]
        seen, asked = Seen(), questions(mine)
        n_least = 4 * len(mine)
        while n_least > 0 or time.monotonic() < deadline:
            n_least -= ask_some(service, deals, list(islice(asked, N_PER_CONNECTION)), seen)
        return seen

    whole = Seen()
    with ThreadPoolExecutor(n_threads) as pool:
        for one in pool.map(work, range(n_threads)):
            whole.add(one)
    return whole


def questions(customers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A customer and a path: both kinds of list of each, twice, on one channel after the other."""
    for channel in cycle(CHANNELS):
        for customer_id in customers:
            for kind in ("content", "offers"):
                path = f"/v1/customers/{customer_id}/recommendations/{kind}?limit=5&channel={channel}"
                yield from [(customer_id, path)] * 2


def ask_some(service: TwoVersions, deals: Allocation, asked: Sequence[tuple[str, str]], seen: Seen) -> int:
    """Ask over one connection; how many were answered before it broke, if it did."""
    expected = dict(zip(WEIGHTS, service.versions, strict=True))
    headers = {"Authorization": f"Bearer {service.frontend_key}"}
    n_answered = 0
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        for customer_id, path in asked:
            try:
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException):
                seen.n_broken_off += 1  # A worker was killed under it. It may have noted an exposure.
                time.sleep(0.05)
                return n_answered
            n_answered += 1
            seen.n_answers += 1
            if response.status != 200:
                seen.n_other_status += 1
                continue
            answer, variant = json.loads(body), deals.assign(customer_id).variant
            seen.tiers[tier_of(response.headers.get("Server-Timing", ""))] += 1
            wanted = None if variant is None else {"key": KEY, "variant": variant}
            version = service.versions[0] if variant is None else expected[variant]
            if (answer["experiment"], answer["model_version"]) != (wanted, version):
                seen.n_wrong += 1
                seen.wrong.append(f"{path}: {answer['experiment']} {answer['model_version']}")
            if variant is not None:
                seen.n_in_arms += 1
                seen.exposed.add(customer_id)
    return n_answered


def tier_of(timing: str) -> str:
    """What the slate cache had to say, as the answer tells it."""
    return timing.partition("cache;desc=")[2].partition(",")[0] or "unknown"


def judge(service: TwoVersions, deals: Allocation, seen: Seen) -> Report:
    """Compare the exposures in the store with the answers, once they are written."""
    database = open_database(service.store_url)
    try:
        store = SqlExposures(database)
        deadline = time.monotonic() + NOTED_SECONDS
        time.sleep(1.0)
        while True:
            met = [one for one in store.of_phase(KEY, 1) if not one.customer_id.startswith("probe-")]
            if {one.customer_id for one in met} >= seen.exposed or time.monotonic() > deadline:
                break
            time.sleep(0.2)
    finally:
        database.close()
    sizes = Counter(one.variant for one in met)
    ratio = check_sample_ratio([sizes[key] for key in WEIGHTS], list(WEIGHTS.values()))
    return Report(
        n_answers=seen.n_answers,
        n_in_arms=seen.n_in_arms,
        n_wrong=seen.n_wrong,
        wrong=seen.wrong,
        n_broken_off=seen.n_broken_off,
        n_other_status=seen.n_other_status,
        tiers=dict(seen.tiers),
        n_exposed=len(seen.exposed),
        n_rows=len(met),
        n_rows_of_others=sum(deals.assign(one.customer_id).variant != one.variant for one in met),
        n_mismatched=sum(one.n_mismatched for one in met),
        sample_ratio_p=ratio.p_value if ratio else 0.0,
    )


def lose_redis(pid: int) -> None:
    """Kill the Redis that the service started."""
    _kill(pid, is_redis=True)


def lose_worker(pid: int) -> None:
    """Kill one of the workers of the service."""
    _kill(pid, is_redis=False)


def _kill(pid: int, *, is_redis: bool) -> None:
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,rss=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=3) for line in listed.stdout.splitlines()]
    ours = {pid}
    for _ in rows:
        ours |= {int(row[0]) for row in rows if int(row[1]) in ours}
    below = [row for row in rows if int(row[0]) in ours - {pid} and len(row) == 4]
    found = [row for row in below if ("-server" in row[3].split()[0]) is is_redis]
    assert found, "the service has no such process"
    # Of those that are no Redis the largest is a worker.
    os.kill(int(max(found, key=lambda row: int(row[2]))[0]), signal.SIGKILL)
