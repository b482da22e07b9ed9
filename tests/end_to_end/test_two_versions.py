"""Two versions tested against each other over HTTP: scripts/stress_experiments in short."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

from benchmarks.arms import KEY, TwoVersions, run_arms
from recsvc.bundles.registry import Registry
from recsvc.sample_bank import SampleBank
from recsvc.stores.database import open_database
from recsvc.stores.exposures import SqlExposures
from tests.end_to_end.conftest import Serve, bare_environment
from tests.end_to_end.service import RECSVC, ask, wait_until


def test_everybody_is_served_as_assigned_and_noted_once_without_redis_and_after_a_kill(
    serve: Serve, published: tuple[Path, Path], bank_in_small: SampleBank, tmp_path: Path
) -> None:
    for path in published:
        shutil.copytree(path, tmp_path / "models" / path.name)
    Registry(tmp_path / "models").promote(published[0].name)
    data = tmp_path / "data"
    places = {"RECSVC_MODELS_DIR": str(tmp_path / "models"), "RECSVC_DATA_DIR": str(data)}
    frontend, marketer = (
        json.loads(
            subprocess.run(
                [*RECSVC, "keys", "create", "--role", role, "--json"],
                env=bare_environment(**places),
                capture_output=True,
                check=True,
            ).stdout
        )["key"]
        for role in ("frontend", "marketer")
    )
    command, port = serve("--workers", 2, **places)
    assert wait_until(lambda: ask(port, "/readyz").status == 200, 60), command.err
    known = [customer.customer_id for customer in bank_in_small.customers[:40]]
    service = TwoVersions(
        port,
        frontend,
        marketer,
        command.process.pid,
        f"sqlite:///{data / 'recsvc.sqlite3'}",
        (published[0].name, published[1].name),
        [*known, *(f"stranger-{number}" for number in range(40))],
    )
    found = run_arms(service, seconds=1.0, n_threads=4)
    assert found.is_kept, found
    assert found.n_in_arms > 600
    assert {"miss", "bypassed"} <= found.tiers.keys()
    assert {"hit", "local"} & found.tiers.keys()
    # Whoever is answered last is noted too, though the service ends before the next write.
    last = [f"last-{number}" for number in range(20)]
    in_arms = set()
    for customer_id in last:
        path = f"/v1/customers/{customer_id}/recommendations/content?limit=1"
        _, slate = service.ask("GET", path, frontend)
        in_arms |= {customer_id} if slate["experiment"] else set()
    assert command.end() == 0
    with closing(open_database(service.store_url)) as database:
        rows = SqlExposures(database).of_phase(KEY, 1)
        noted = {one.customer_id for one in rows if one.customer_id in last}
    assert len(noted) > 10
    assert noted == in_arms
