"""Reading with the built-in policy at one fixed moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recsvc.history.mapping import FileMapping, load_mapping
from recsvc.history.readers import History, read_interactions
from recsvc.policy import Policy, load_policy
from tests.history.examples import AS_OF, Mapped, Read


@pytest.fixture(scope="session")
def policy() -> Policy:
    return load_policy()


@pytest.fixture
def rejects_path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "rejects.jsonl"


@pytest.fixture
def read(policy: Policy, rejects_path: Path) -> Read:
    """Read files with the given mapping, or none, and a limit that lets all pass but rejects only."""

    def reader(*paths: Path, mapping: FileMapping | None = None, limit: float = 1.0) -> History:
        return read_interactions(
            paths,
            mapping or FileMapping(),
            policy,
            rejects_path=rejects_path,
            as_of=AS_OF,
            reject_limit=limit,
        )

    return reader


@pytest.fixture
def mapped(tmp_path: Path) -> Mapped:
    """A mapping from its TOML text."""

    def load(toml: str) -> FileMapping:
        path = tmp_path / "mapping.toml"
        path.write_text(toml, "utf-8")
        return load_mapping(path)

    return load


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real public data, which is not part of the project."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSVC_TEST_DATA_DIR", beside))
    if not folder.is_dir():
        pytest.skip("no real data: set RECSVC_TEST_DATA_DIR to its folder")
    return folder
