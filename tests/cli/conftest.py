"""Commands run in a folder of their own, with a data folder and a models folder in it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsvc.cli import main
from tests.cli.examples import Outcome, Run, a_history, write_rows


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the command runs. What it does to the environment ends with the test."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def recsvc() -> Run:
    """Run a command in this process. A traceback fails the test that meant to see a sentence."""

    def run(*words: object, **environment: str) -> Outcome:
        result = CliRunner().invoke(main, [str(word) for word in words], env=environment)
        if result.exception and not isinstance(result.exception, SystemExit):
            pytest.fail("".join(traceback.format_exception(result.exception)))
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def events(home: Path) -> Path:
    """A file of events that can be learned from."""
    return write_rows(home / "events.csv", a_history())


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with two sound bundles; the newer one is champion. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("shelf")
    before = dict(os.environ)
    os.environ["RECSVC_DATA_DIR"] = str(folder / "data")
    path = write_rows(folder / "events.csv", a_history())
    for seed in (1, 2):
        words = [
            "train",
            "--events",
            path,
            "--models",
            folder / "models",
            "--seed",
            seed,
            "--name",
            f"run {seed}",
        ]
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.stderr
    os.environ.clear()
    os.environ.update(before)
    return folder / "models"
