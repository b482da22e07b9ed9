"""Whatever Redis does, everybody is answered, events are taken, and none of them is missed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.demo_service import Service
from benchmarks.faults import FAULTS, suffer
from benchmarks.faulty_redis import FaultyRedis
from recsvc.bundles.registry import Registry
from recsvc.sample_bank import SampleBank
from tests.end_to_end.conftest import Serve, bare_environment
from tests.end_to_end.service import RECSVC, ask, free_port, wait_until

SHORT = ("killed", "stopped", "swallowing", "read-only", "refusing authentication")


def test_no_fault_of_redis_costs_an_answer_or_an_event(
    serve: Serve, published: tuple[Path, Path], bank_in_small: SampleBank, tmp_path: Path
) -> None:
    if shutil.which("redis-server") is None and shutil.which("valkey-server") is None:
        pytest.skip("no redis-server and no valkey-server on PATH")
    bundle = Path(shutil.copytree(published[0], tmp_path / "models" / published[0].name))
    Registry(bundle.parent).promote(bundle.name)
    places = {"RECSVC_MODELS_DIR": str(bundle.parent), "RECSVC_DATA_DIR": str(tmp_path / "data")}
    made = subprocess.run(
        [*RECSVC, "keys", "create", "--role", "frontend", "--json"],
        env=bare_environment(**places),
        capture_output=True,
        check=True,
    )
    metrics_port = free_port()
    with FaultyRedis(tmp_path / "redis.log") as redis:
        more = {"REDIS_URL": redis.url, "RECSVC_METRICS_PORT": str(metrics_port)}
        command, port = serve("--workers", 2, **places, **more)
        assert wait_until(lambda: ask(port, "/readyz").status == 200, 60), command.err
        customers = [customer.customer_id for customer in bank_in_small.customers[:5]]
        service = Service(port, metrics_port, json.loads(made.stdout)["key"], customers)
        for fault in (one for one in FAULTS if one.name in SHORT):
            outcome = suffer(fault, service, redis, seconds=1.5, per_second=40)
            assert outcome.is_answered, outcome
            assert outcome.n_stale == 0 and outcome.n_elsewhere > 2, outcome
