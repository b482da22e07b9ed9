"""What holds for every test: it sees none of the settings of the shell that started it.

Also a small bank with a model of it, made once for all who look.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsvc.settings import TEST_PREFIX, setting_docs

if TYPE_CHECKING:  # Loaded by the tests that use it only.
    from recsvc.sample_bank import SampleBank


def pytest_configure() -> None:
    documented = {doc.variable for doc in setting_docs()}
    for name in list(os.environ):
        if name in documented or (name.startswith("RECSVC_") and not name.startswith(TEST_PREFIX)):
            del os.environ[name]


def made_once(name: str, make: Callable[[Path], object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that whoever asks first makes, and all processes of a run share. Nobody may change it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # A process's own folder stands in that of the run.
    folder = shared / f"made-{name}"
    with (shared / f"made-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = shared / f"making-{name}"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            make(making)
            making.rename(folder)
    return folder


@pytest.fixture(scope="session")
def bank_in_small() -> SampleBank:
    from .small_bank import small_bank

    return small_bank()


@pytest.fixture(scope="session")
def published(bank_in_small: SampleBank, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles on one shelf, the older first. Nobody may change them."""
    from .small_bank import END, train_on

    def train(folder: Path) -> None:
        for day in (0, 1):
            train_on(bank_in_small, folder, created_at=END + timedelta(days=day))

    folder = made_once("small", train, tmp_path_factory)
    older, newer = sorted(manifest.parent for manifest in folder.glob("*/manifest.json"))
    return older, newer


@pytest.fixture
def shelf(published: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The two bundles on a shelf that the test may change. No alias points at them."""
    return tuple(  # type: ignore[return-value]
        Path(shutil.copytree(path, tmp_path / "models" / path.name)) for path in published
    )
