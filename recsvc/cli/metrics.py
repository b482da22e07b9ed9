"""`/metrics` on a port of its own. In: what the workers wrote. Out: one page in Prometheus' text format.

It runs in the server's process, which does nothing else, and sums over the workers.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from recsvc.telemetry import AGE_BUCKETS, BUCKETS, Durations, WorkerState, WorkerTotals, totals_in

log = structlog.get_logger()

_KIND = ("route", "status", "source", "cache")
_TIER = ("route", "cache")
_LATENCY = "From the first look at a request to its answer."
_AGE = "From the making of a list to an answer with it."


class WorkersCollector(Collector):
    """The workers' totals as metrics, read anew for each scrape."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        workers = list(totals_in(self._folder, _is_alive))
        latencies = [one for worker in workers for one in worker.latencies]
        yield _requests(latencies)
        yield _by_tier("recsvc_request_seconds", _LATENCY, latencies, BUCKETS)
        ages = [one for worker in workers for one in worker.ages]
        yield _by_tier("recsvc_slate_age_seconds", _AGE, ages, AGE_BUCKETS)
        yield from _failings(workers)
        yield from _standing(workers, self._clock())


@contextmanager
def metrics_served(host: str, port: int, folder: Path, clock: Callable[[], datetime]) -> Iterator[None]:
    """Serve the page meanwhile. A port that is taken costs the page, not the service: a warning says so."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkersCollector(folder, clock))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        log.warning(
            "metrics_not_served",
            port=port,
            reason=error.strerror,
            remedy="set RECSVC_METRICS_PORT to a free port",
        )
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _requests(latencies: list[Durations]) -> Metric:
    counts: Counter[tuple[str, ...]] = Counter()
    for one in latencies:
        kind = one.kind
        counts[kind.route, str(kind.status), kind.source or "", kind.cache or ""] += sum(one.by_bucket)
    family = CounterMetricFamily("recsvc_requests", "Answered requests.", labels=_KIND)
    for labels, count in sorted(counts.items()):
        family.add_metric(labels, count)
    return family


def _by_tier(name: str, told: str, durations: list[Durations], bounds: Sequence[float]) -> Metric:
    by_tier: dict[tuple[str, str], Durations] = {}
    for one in durations:
        tier = one.kind.route, one.kind.cache or ""
        sums = by_tier.setdefault(tier, Durations(one.kind, [0] * (len(bounds) + 1)))
        sums.by_bucket = [so_far + more for so_far, more in zip(sums.by_bucket, one.by_bucket, strict=True)]
        sums.seconds += one.seconds
    family = HistogramMetricFamily(name, told, labels=_TIER)
    for labels, sums in sorted(by_tier.items()):
        family.add_metric(labels, _cumulated(sums.by_bucket, bounds), sums.seconds)
    return family


def _cumulated(by_bucket: list[int], bounds: Sequence[float]) -> list[tuple[str, float]]:
    total, found = 0, []
    for bound, count in zip((*map(str, bounds), "+Inf"), by_bucket, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def _failings(workers: list[WorkerTotals]) -> Iterator[Metric]:
    """What went wrong without costing an answer, in all workers that ever were."""
    yield CounterMetricFamily(
        "recsvc_model_mismatches",
        "Answers from another model than an experiment had assigned.",
        sum(worker.counts.get("mismatches", 0) for worker in workers),
    )
    openings = CounterMetricFamily(
        "recsvc_breaker_openings", "Times that a store was left alone after it failed.", labels=("store",)
    )
    openings.add_metric(("redis",), sum(worker.counts.get("rests", 0) for worker in workers))
    yield openings


def _standing(workers: list[WorkerTotals], now: datetime) -> Iterator[Metric]:
    """How the workers that live stand: how many of them, and the worst of them."""
    states = [worker.state for worker in workers if worker.state is not None]
    yield GaugeMetricFamily("recsvc_workers", "Workers that live.", value=len(states))
    models = GaugeMetricFamily("recsvc_model_workers", "Workers that serve the model.", labels=("version",))
    for version, count in sorted(Counter(state.model_version or "none" for state in states).items()):
        models.add_metric((version,), count)
    yield models
    ages = [(now - state.model_created_at).total_seconds() for state in states if state.model_created_at]
    if ages:
        yield GaugeMetricFamily("recsvc_model_age_seconds", "Since the oldest model was trained.", max(ages))
    parts = GaugeMetricFamily("recsvc_part_up", "1 where every worker reaches the part.", labels=("part",))
    for part, reaches in _PARTS.items():
        parts.add_metric((part,), float(all(map(reaches, states))))
    yield parts
    breakers = GaugeMetricFamily(
        "recsvc_breaker_open", "Workers that leave the store alone now.", labels=("store",)
    )
    for store in sorted({store for state in states for store in state.breakers}):
        breakers.add_metric((store,), sum(state.breakers.get(store, False) for state in states))
    yield breakers
    warming = [state.warming for state in states]
    made, waiting = (sum(one.n_made for one in warming), sum(one.n_waiting for one in warming))
    yield GaugeMetricFamily(
        "recsvc_warmed_slates", "Lists made before anybody asked, after promotions.", made
    )
    yield GaugeMetricFamily("recsvc_slates_to_warm", "Lists that are still to be made so.", waiting)
    behind = [state.events_behind for state in states if state.events_behind is not None]
    if behind:
        yield GaugeMetricFamily("recsvc_events_behind", "Events that a worker is behind.", max(behind))


_PARTS: dict[str, Callable[[WorkerState], bool]] = {
    "redis": lambda state: state.redis,
    "store": lambda state: state.store,
}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
