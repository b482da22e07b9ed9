"""What is counted of requests, and what Prometheus reads of it."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from types import MappingProxyType

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from recsvc.cli.metrics import metrics_served
from recsvc.observability import RequestRecord
from recsvc.telemetry import Telemetry, Warming, WorkerState, totals_in
from tests.end_to_end.service import free_port

NOW = datetime(2026, 11, 22, 10, 20, tzinfo=UTC)
ROUTE = "/v1/customers/<customer_id>/recommendations/content"
STATE = WorkerState("20261122T101500Z-als-3f9a1c", NOW - timedelta(hours=1), True, True, 3)
NOBODY = 99_999_999  # No process has such a number.


def a_request(seconds: float, cache: str | None = "hit", *, age_seconds: float = 0.0) -> RequestRecord:
    made_at = NOW - timedelta(seconds=age_seconds)
    return RequestRecord("r1", "GET", perf_counter() - seconds, ROUTE, "personalised", cache, made_at)


def a_worker(
    folder: Path | None,
    pid: int,
    state: WorkerState = STATE,
    counts: Mapping[str, int] = MappingProxyType({}),
) -> Telemetry:
    counters = {name: counted.__int__ for name, counted in counts.items()}
    return Telemetry(folder, lambda: state, pid=pid, clock=lambda: NOW, counters=counters)


def samples(port: int) -> dict[frozenset[str], float]:
    """Every sample by its name and the texts of its labels, in any order."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        families = text_string_to_metric_families(page.read().decode())
    return {
        frozenset((one.name, *one.labels.values())): one.value
        for family in families
        for one in family.samples
    }


def test_workers_are_counted_together_and_one_that_ended_stands_nowhere(tmp_path: Path) -> None:
    ended = a_worker(tmp_path, NOBODY)
    ended.note(a_request(0.003), 200)
    ended.note(a_request(0.003, "miss"), 200)
    ended.write()
    ended.note(a_request(0.2), 503)
    ended.write()
    state = msgspec.structs.replace(STATE, redis=False)
    state = msgspec.structs.replace(state, warming=Warming(n_made=7, n_waiting=2))
    worker = a_worker(tmp_path, os.getpid(), state)
    worker.note(a_request(0.003), 200)
    worker.write()
    port = free_port()
    with metrics_served("127.0.0.1", port, tmp_path, lambda: NOW):
        told = samples(port)

    def found(*name_and_labels: str) -> float:
        return told[frozenset(name_and_labels)]

    assert found("recsvc_requests_total", ROUTE, "200", "personalised", "hit") == 2
    assert found("recsvc_requests_total", ROUTE, "503", "personalised", "hit") == 1
    assert found("recsvc_request_seconds_bucket", ROUTE, "hit", "0.0025") == 0
    assert found("recsvc_request_seconds_bucket", ROUTE, "hit", "0.1") == 2
    assert found("recsvc_request_seconds_bucket", ROUTE, "hit", "+Inf") == 3
    assert found("recsvc_request_seconds_count", ROUTE, "hit") == 3
    assert found("recsvc_request_seconds_sum", ROUTE, "hit") >= 0.206
    assert found("recsvc_workers") == 1
    assert found("recsvc_part_up", "redis") == 0
    assert found("recsvc_part_up", "store") == 1
    assert found("recsvc_model_workers", STATE.model_version or "") == 1
    assert found("recsvc_model_age_seconds") == 3600
    assert found("recsvc_events_behind") == 3
    assert found("recsvc_warmed_slates") == 7
    assert found("recsvc_slates_to_warm") == 2


def test_however_many_were_noted_between_two_looks_each_counts_once(tmp_path: Path) -> None:
    worker = a_worker(tmp_path, NOBODY)
    for n_more, n_all in ((2_500, 2_500), (1_000, 3_500), (1, 3_501), (0, 3_501)):
        for _ in range(n_more):
            worker.note(a_request(0.003), 200)
        worker.write()
        (totals,) = totals_in(tmp_path, is_alive=lambda pid: False)
        assert [sum(each.by_bucket) for each in totals.latencies] == [n_all]
        assert [sum(each.by_bucket) for each in totals.ages] == [n_all]


def test_it_is_told_how_old_the_lists_were_that_each_tier_answered_with(tmp_path: Path) -> None:
    worker = a_worker(tmp_path, os.getpid())
    for tier, age_seconds in [("local", 40.0), ("local", 10.0), ("miss", -0.01)]:
        worker.note(a_request(0.003, tier, age_seconds=age_seconds), 200)
    worker.note(RequestRecord("r1", "GET", perf_counter(), "/readyz"), 200)  # No list.
    worker.write()
    port = free_port()
    with metrics_served("127.0.0.1", port, tmp_path, lambda: NOW):
        told = samples(port)
    name = "recsvc_slate_age_seconds"
    below = [told[frozenset((f"{name}_bucket", ROUTE, "local", bound))] for bound in ("5.0", "15.0", "60.0")]
    assert below == [0, 1, 2]
    assert told[frozenset((f"{name}_count", ROUTE, "local"))] == 2
    assert told[frozenset((f"{name}_sum", ROUTE, "local"))] == pytest.approx(50, abs=1)
    assert told[frozenset((f"{name}_bucket", ROUTE, "miss", "1.0"))] == 1
    assert frozenset((f"{name}_count", "/readyz", "")) not in told


def test_breakers_stand_with_their_workers_and_what_was_counted_stays(tmp_path: Path) -> None:
    open_now = msgspec.structs.replace(STATE, breakers={"redis": True, "slates": True})
    half_open = msgspec.structs.replace(STATE, breakers={"redis": False, "slates": True})
    ended = a_worker(tmp_path, NOBODY, open_now, {"mismatches": 2, "rests": 3})
    ended.write()
    for pid, state in ((os.getpid(), half_open), (os.getppid(), open_now)):
        a_worker(tmp_path, pid, state, {"mismatches": 1, "rests": 4}).write()
    port = free_port()
    with metrics_served("127.0.0.1", port, tmp_path, lambda: NOW):
        told = samples(port)
    assert told[frozenset(("recsvc_breaker_open", "redis"))] == 1
    assert told[frozenset(("recsvc_breaker_open", "slates"))] == 2
    assert told[frozenset(("recsvc_breaker_openings_total", "redis"))] == 11
    assert told[frozenset(("recsvc_model_mismatches_total",))] == 4


def test_much_is_added_up_with_rests_in_which_others_may_go_on(tmp_path: Path) -> None:
    left: list[int] = []
    worker = Telemetry(
        tmp_path, lambda: STATE, pid=1, clock=lambda: NOW, rest=lambda: left.append(len(tally.notes))
    )
    note = worker.note_of(a_request(0.003), 200)
    (tally,) = worker._tallies.values()
    for _ in range(1_700):
        note((0.0, 0.1, None))
    worker.write()
    assert left == [1_200, 700, 200]
    assert sum(tally.latencies.by_bucket) == 1_700


def test_while_nobody_watches_nothing_is_kept() -> None:
    telemetry = a_worker(None, 1)
    telemetry.note(a_request(0.003), 200)
    telemetry.note_of(a_request(0.003), 200)((0.0, 0.1, None))
    telemetry.write()
    assert not any(tally.notes for tally in telemetry._tallies.values())


def test_a_port_that_is_taken_costs_the_page_and_not_the_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    with (
        metrics_served("127.0.0.1", port, tmp_path, lambda: NOW),
        metrics_served("127.0.0.1", port, tmp_path, lambda: NOW),
    ):
        assert samples(port)[frozenset(("recsvc_workers",))] == 0
    assert "RECSVC_METRICS_PORT" in capsys.readouterr().out
