"""Whatever Redis does, everybody is answered, events are taken, and none of them is missed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.demo_service import Service
from benchmarks.faults import FAULTS, suffer
from benchmarks.faulty_redis import FaultyRedis
from recsvc.sample_bank import SampleBank
from tests.end_to_end.conftest import Installation, Serve
from tests.end_to_end.service import ask, free_port, wait_until

SHORT = ("killed", "stopped", "swallowing", "read-only", "refusing authentication")


def test_no_fault_of_redis_costs_an_answer_or_an_event(
    serve: Serve, small_installation: Installation, bank_in_small: SampleBank, tmp_path: Path
) -> None:
    if shutil.which("redis-server") is None and shutil.which("valkey-server") is None:
        pytest.skip("no redis-server and no valkey-server on PATH")
    metrics_port = free_port()
    with FaultyRedis(tmp_path / "redis.log") as redis:
        more = {"REDIS_URL": redis.url, "RECSVC_METRICS_PORT": str(metrics_port)}
        command, port = serve("--workers", 2, **small_installation.places, **more)
        assert wait_until(lambda: ask(port, "/readyz").status == 200, 60), command.err
        customers = [customer.customer_id for customer in bank_in_small.customers[:5]]
        service = Service(port, metrics_port, small_installation.key, customers)
        for fault in (one for one in FAULTS if one.name in SHORT):
            outcome = suffer(fault, service, redis, seconds=1.5, per_second=40)
            assert outcome.is_answered, outcome
            assert outcome.n_stale == 0 and outcome.n_elsewhere > 2, outcome
