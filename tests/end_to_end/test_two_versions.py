"""Two versions tested against each other over HTTP: scripts/stress_experiments in short."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.arms import KEY, TwoVersions, run_arms
from recsvc.bundles.registry import Registry
from recsvc.domain.experiments import Experiment, ExperimentStatus, ExperimentVariant
from recsvc.sample_bank import SampleBank
from recsvc.stores.database import open_database
from recsvc.stores.experiments import SqlExperiments
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
    frontend, marketer = (key_of(role, places) for role in ("frontend", "marketer"))
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


LAST_ANSWERS = """
import multiprocessing, os
from recsvc.api.wsgi import create

def work():
    app = create()
    for number in range(20):
        path = f"/v1/customers/last-{number}/recommendations/content"
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "limit=1"}
        environ |= {"HTTP_AUTHORIZATION": "Bearer " + os.environ["KEY"], "wsgi.url_scheme": "http"}
        environ |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1"}
        said = []
        b"".join(app(environ, lambda status, headers: said.append(status)))
        assert said == ["200 OK"], said

worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join()
raise SystemExit(worker.exitcode)
"""


def test_whoever_is_answered_last_is_noted_though_the_worker_ends_before_the_next_write(
    published: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(published[0], tmp_path / "models" / published[0].name)
    Registry(tmp_path / "models").promote(published[0].name)
    places = {"RECSVC_MODELS_DIR": str(tmp_path / "models"), "RECSVC_DATA_DIR": str(tmp_path / "data")}
    key = key_of("frontend", places)
    with closing(open_database(f"sqlite:///{tmp_path / 'data' / 'recsvc.sqlite3'}")) as database:
        variants = (ExperimentVariant("a", published[0].name, 100),)
        experiment = Experiment(KEY, variants, status=ExperimentStatus.RUNNING)
        SqlExperiments(database).put(experiment, expected=None, now=datetime.now(UTC))
        environment = bare_environment(**places, KEY=key, REDIS_URL="unix:///nowhere.sock")
        ran = subprocess.run(
            [sys.executable, "-c", LAST_ANSWERS], env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        met = {one.customer_id for one in SqlExposures(database).of_phase(KEY, 1)}
    assert met == {f"last-{number}" for number in range(20)}


def key_of(role: str, places: dict[str, str]) -> str:
    """A new key with the scopes of the role."""
    made = subprocess.run(
        [*RECSVC, "keys", "create", "--role", role, "--json"],
        env=bare_environment(**places),
        capture_output=True,
        check=True,
    )
    return str(json.loads(made.stdout)["key"])
