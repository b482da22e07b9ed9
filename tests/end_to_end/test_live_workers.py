"""What one worker acknowledged is live in all of them: scripts/stress_live in short, over the small bank."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from benchmarks.live_workers import Service, run_rounds
from recsvc.bundles.registry import Registry
from recsvc.sample_bank import SampleBank
from tests.end_to_end.conftest import Serve, bare_environment
from tests.end_to_end.service import RECSVC, ask, wait_until


def test_all_workers_score_alike_soon_after_an_event_without_redis_and_after_a_restart(
    serve: Serve, published: tuple[Path, Path], bank_in_small: SampleBank, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(published[0], tmp_path / "models" / published[0].name))
    Registry(bundle.parent).promote(bundle.name)
    places = {"RECSVC_MODELS_DIR": str(bundle.parent), "RECSVC_DATA_DIR": str(tmp_path / "data")}
    made = subprocess.run(
        [*RECSVC, "keys", "create", "--role", "frontend", "--json"],
        env=bare_environment(**places),
        capture_output=True,
        check=True,
    )
    command, port = serve("--workers", 2, **places)
    assert wait_until(lambda: ask(port, "/readyz").status == 200, 60), command.err
    customers = [customer.customer_id for customer in bank_in_small.customers[:3]]
    service = Service(port, json.loads(made.stdout)["key"], customers, command.process.pid)
    found = run_rounds(service, n_rounds=2, n_asked=8)
    assert found.n_watched > 10 and found.n_moved > 0
    assert found.is_kept, found
    before = [service.scores(each) for each in customers]
    assert command.end() == 0
    command, port = serve("--workers", 1, **places)
    assert wait_until(lambda: ask(port, "/readyz").status == 200, 60), command.err
    anew = replace(service, port=port, pid=command.process.pid)
    assert [anew.scores(each) for each in customers] == before
