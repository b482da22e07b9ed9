"""Swaps of models and restarts of workers under load. In: two bundles, a service. Out: what callers saw.

Half the requests ask for lists that were made before, half for lists that nobody asked for; one in four
closes its connection afterwards, the others keep it, whatever becomes of the worker at its end. A request
that breaks on its connection counts as failed and is not repeated. An answer is mixed when it names one
version and was made of another's items, or of several.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from benchmarks.load import Answer, get, open_loop
from benchmarks.swapped_service import MARKS, Service, comes_to_hold

N_CONNECTIONS = 24
N_KNOWN = 40  # Customers whose lists were made before.
LONGEST_SECONDS = 3_600.0
MOST_AGREE_SECONDS = 5.0
MOST_TIMES_P99 = 1.2
_RESTART_SECONDS = 90.0
_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True)
class Seen:
    """One good answer: when it came, and the version that it names."""

    at: float
    version: str


@dataclass
class Watch:
    """What callers see for a while. `seconds` are latencies by whether the list was made before."""

    service: Service
    failed: Counter[str] = field(default_factory=Counter)
    n_mixed: int = 0
    n_dropped: int = 0
    seen: list[Seen] = field(default_factory=list)
    seconds: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})

    def request(self, number: int) -> bytes:
        """The n-th request of this watch."""
        customers = self.service.customers
        known = number // 2 % N_KNOWN
        place = (
            known if _is_known(number) else N_KNOWN + next(self.service.numbers) % (len(customers) - N_KNOWN)
        )
        path = f"/v1/customers/{customers[place]}/recommendations/content"
        return get(path, Connection="close") if number % 4 == 3 else get(path)

    def hear(self, answer: Answer) -> None:
        """Note one answer."""
        self.seconds[_is_known(answer.number)].append(answer.arrived_at - answer.due_at)
        if answer.status != 200:
            self.failed["broken" if answer.status == 0 else str(answer.status)] += 1
            return
        head, _, body = answer.raw.partition(b"\r\n\r\n")
        found = json.loads(body)
        version = found["model_version"]
        marks = {item["title"].split(" ", 1)[0] for item in found["items"]}
        named = f"x-model-version: {version}".lower().encode() in head.lower()
        self.n_mixed += not (named and {self.service.versions.get(mark) for mark in marks} == {version})
        self.seen.append(Seen(answer.arrived_at, version))

    def load(self, *, seconds: float, per_second: float, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Ask for so long, or while it goes on."""
        loaded = open_loop(
            self.service.port,
            self.request,
            n_connections=N_CONNECTIONS,
            seconds=seconds,
            per_second=per_second,
            heard=self.hear,
            goes_on=goes_on,
        )
        self.n_dropped += loaded.n_dropped

    def p99_ms(self, *, known: bool) -> float:
        """Of the latencies from the moment when a request was due."""
        ordered = sorted(self.seconds[known])
        return round(1000 * ordered[min(int(0.99 * len(ordered)), len(ordered) - 1)], 2)

    def report(self) -> Report:
        """The figures."""
        return Report(
            n_answers=sum(map(len, self.seconds.values())),
            failed=dict(self.failed),
            n_mixed=self.n_mixed,
            n_dropped=self.n_dropped,
            p99_known_ms=self.p99_ms(known=True),
            p99_unknown_ms=self.p99_ms(known=False),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What a watch came to. p99 of lists that were made before, and of those that nobody asked for.

    `n_dropped` connections were ended by the server without a word, any of which may cost a request.
    """

    n_answers: int
    failed: Mapping[str, int]
    n_mixed: int
    n_dropped: int
    p99_known_ms: float
    p99_unknown_ms: float

    @property
    def is_good(self) -> bool:
        return not self.failed and not self.n_mixed


@dataclass(frozen=True, slots=True)
class Swaps:
    """What became of promotions. `agree_seconds` is the longest that an answer named the version before,
    after a promotion was acknowledged; `n_unseen` promotions were never answered by; `promote_seconds` is
    the longest that one took, its check included.
    """

    report: Report
    n_swaps: int
    n_unseen: int
    promote_seconds: float
    agree_seconds: float

    @property
    def is_kept(self) -> bool:
        """Whether nobody noticed but by the lists."""
        return self.report.is_good and not self.n_unseen and self.agree_seconds <= MOST_AGREE_SECONDS


@dataclass(frozen=True, slots=True)
class Restarts:
    """What became of restarts. `n_done` were finished, each with every worker replaced."""

    report: Report
    n_restarts: int
    n_done: int
    longest_seconds: float

    @property
    def is_kept(self) -> bool:
        """Whether nobody noticed."""
        return self.report.is_good and self.n_done == self.n_restarts


@dataclass(frozen=True, slots=True)
class _Promotion:
    version: str
    asked_at: float
    done_at: float


def watch_steady(service: Service, *, seconds: float, per_second: float) -> Report:
    """Nothing happens."""
    watch = Watch(service)
    watch.load(seconds=seconds, per_second=per_second)
    return watch.report()


def watch_swaps(service: Service, n_swaps: int, *, every_seconds: float, per_second: float) -> Swaps:
    """Promote the other version again and again."""
    watch, turns = Watch(service), [service.versions[MARKS[(n + 1) % 2]] for n in range(n_swaps)]

    def promote_all() -> list[_Promotion]:
        done = []
        for version in turns:
            asked_at = time.perf_counter()
            service.promote(version)
            done.append(_Promotion(version, asked_at, time.perf_counter()))
            time.sleep(every_seconds)
        return done

    promotions = _beside(watch, promote_all, per_second)
    spans = [*pairwise(promotions), (promotions[-1], None)]
    agreed, n_unseen = [0.0], 0
    for one, following in spans:
        until = following.asked_at if following else float("inf")
        after = [seen for seen in watch.seen if one.done_at < seen.at < until]
        agreed += [seen.at - one.done_at for seen in after if seen.version != one.version]
        n_unseen += all(seen.version != one.version for seen in after)
    slowest = max(one.done_at - one.asked_at for one in promotions)
    return Swaps(watch.report(), n_swaps, n_unseen, round(slowest, 2), round(max(agreed), 2))


def watch_restarts(service: Service, n_restarts: int, *, per_second: float) -> Restarts:
    """Replace every worker again and again."""
    watch = Watch(service)

    def restart_all() -> list[float]:
        return [seconds for _ in range(n_restarts) if (seconds := _restart(service)) is not None]

    took = _beside(watch, restart_all, per_second)
    return Restarts(watch.report(), n_restarts, len(took), round(max(took, default=0.0), 2))


def _restart(service: Service) -> float | None:
    """The seconds until all workers are others; None where they do not come to be."""
    before, began = service.workers(), time.monotonic()
    os.kill(service.pid, signal.SIGHUP)
    replaced = comes_to_hold(
        lambda: not before & (now := service.workers()) and len(now) == service.n_workers, _RESTART_SECONDS
    )
    return time.monotonic() - began if replaced else None


def _beside(watch: Watch, act: Callable[[], _Done], per_second: float) -> _Done:
    """What the act comes to, under load for as long as it takes."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        watch.load(seconds=LONGEST_SECONDS, per_second=per_second, goes_on=lambda: not acting.done())
        return acting.result()


def _is_known(number: int) -> bool:
    return number % 2 == 0
