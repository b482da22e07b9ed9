"""One demo for all tests of a file, and a command line to work beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recsvc.bundles.registry import Registry
from recsvc.cli.demo import SAMPLE_FOLDER, SHOW_FILE
from recsvc.clock_and_ids import now
from recsvc.sample_bank import make_sample_bank, write_sample_bank
from recsvc.settings import setting_docs
from tests.end_to_end.service import RECSVC, Answer, Command, ask, free_port, wait_until

READY_SECONDS = 180


def bare_environment(**more: str) -> dict[str, str]:
    """The environment with no settings of recsvc and no home."""
    settings = {doc.variable for doc in setting_docs()} | {"HOME"}
    return {**{name: value for name, value in os.environ.items() if name not in settings}, **more}


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """A folder for temporary files with a short path: the socket of Redis must fit below it."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def write_small_sample(folder: Path) -> None:
    """What a demo has made in its folder when it begins to train, but for the size of the bank."""
    bank = make_sample_bank(end=now(), n_customers=500, n_articles=120, n_offers=20, n_events=15_000)
    write_sample_bank(bank, folder / SAMPLE_FOLDER)
    (folder / SHOW_FILE).write_bytes(json.dumps(bank.show_customers).encode())


@dataclass(frozen=True)
class Demo:
    """A demo that is ready."""

    command: Command
    port: int
    ready: Mapping[str, Any]
    temporary: Path

    @property
    def folder(self) -> Path:
        """Where its sample, store and models are."""
        return next(self.temporary.glob("recsvc-demo-*"))

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def customers(self) -> list[str]:
        return list(self.ready["customers"])

    def ask(self, path: str, role: str | None = None) -> Answer:
        return ask(self.port, path, self.ready["keys"][role] if role else "")

    def slate(self, customer_id: str, kind: str = "content", query: str = "") -> Answer:
        answer = self.ask(f"/v1/customers/{customer_id}/recommendations/{kind}{query}", "frontend")
        assert answer.status == 200, answer.body
        return answer

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Another command on the same installation."""
        environment = bare_environment(
            RECSVC_DATA_DIR=str(self.folder / "data"), RECSVC_MODELS_DIR=str(self.models)
        )
        return subprocess.run(
            [*RECSVC, *map(str, words)], env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def demo(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo as a shell's background job starts it: with SIGINT ignored.

    Each file has its own, for one of them ends with the demo stopped.
    """
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    ready_file = folder / "ready.json"
    ready_file.write_text("what an earlier run left")
    command = Command(
        ["demo", "--port", port, "--ready-file", ready_file],
        folder,
        bare_environment(TMPDIR=str(temporary)),
        wrapper=("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh"),
    )
    try:
        assert wait_until(lambda: is_ready(ready_file) or command.process.poll() is not None, READY_SECONDS)
        assert command.process.poll() is None, command.err
        yield Demo(command, port, json.loads(ready_file.read_bytes()), temporary)
    finally:
        command.destroy()


def is_ready(ready_file: Path) -> bool:
    return ready_file.exists() and ready_file.read_bytes().startswith(b"{")


Serve = Callable[..., tuple[Command, int]]


@pytest.fixture
def serve(tmp_path: Path, temporary: Path) -> Iterator[Serve]:
    """Start `recsvc serve` on a free port, and wait until it answers; it and its port."""
    started: list[Command] = []

    def start(*words: object, **environment: str) -> tuple[Command, int]:
        port = free_port()
        command = Command(
            ["serve", "--port", port, *words],
            tmp_path,
            bare_environment(TMPDIR=str(temporary), **environment),
        )
        started.append(command)

        def stands() -> bool:
            return command.process.poll() is not None or ask(port, "/healthz").status == 200

        assert wait_until(stands, 30), command.err
        assert command.process.poll() is None, command.err
        return command, port

    yield start
    for command in started:
        command.destroy()


@dataclass(frozen=True)
class Installation:
    """Where the settings say that models and data are, and the key of a front end."""

    places: Mapping[str, str]
    key: str


@pytest.fixture
def small_installation(published: tuple[Path, Path], tmp_path: Path) -> Installation:
    """A shelf with a model of the small bank as its champion, and an empty store."""
    bundle = Path(shutil.copytree(published[0], tmp_path / "models" / published[0].name))
    Registry(bundle.parent).promote(bundle.name)
    places = {"RECSVC_MODELS_DIR": str(bundle.parent), "RECSVC_DATA_DIR": str(tmp_path / "data")}
    made = subprocess.run(
        [*RECSVC, "keys", "create", "--role", "frontend", "--json"],
        env=bare_environment(**places),
        capture_output=True,
        check=True,
    )
    return Installation(places, json.loads(made.stdout)["key"])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real public data, which is not part of the project."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSVC_TEST_DATA_DIR", beside))
    if not folder.is_dir():
        pytest.skip("no real data: set RECSVC_TEST_DATA_DIR to its folder")
    return folder
