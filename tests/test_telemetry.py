"""What is counted of requests, and what Prometheus reads of it."""

from __future__ import annotations

import os
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from recsvc.cli.metrics import metrics_served
from recsvc.observability import RequestRecord
from recsvc.telemetry import Telemetry, Warming, WorkerState
from tests.end_to_end.service import free_port

NOW = datetime(2026, 11, 22, 10, 20, tzinfo=UTC)
ROUTE = "/v1/customers/<customer_id>/recommendations/content"
STATE = WorkerState("20261122T101500Z-als-3f9a1c", NOW - timedelta(hours=1), True, True, 3)


NOBODY = 99_999_999  # No process has such a number.


def a_request(seconds: float, cache: str | None = "hit") -> RequestRecord:
    return RequestRecord("r1", "GET", perf_counter() - seconds, ROUTE, "personalised", cache)


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
    ended = Telemetry(tmp_path, lambda: STATE, pid=NOBODY)
    ended.note(a_request(0.003), 200)
    ended.note(a_request(0.003, "miss"), 200)
    ended.write()
    ended.note(a_request(0.2), 503)
    ended.write()
    state = msgspec.structs.replace(STATE, redis=False)
    state = msgspec.structs.replace(state, warming=Warming(n_made=7, n_waiting=2))
    worker = Telemetry(tmp_path, lambda: state, pid=os.getpid())
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


def test_while_nobody_watches_nothing_is_kept() -> None:
    telemetry = Telemetry(None, lambda: STATE, pid=1)
    telemetry.note(a_request(0.003), 200)
    telemetry.write()
    assert not telemetry._notes


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
