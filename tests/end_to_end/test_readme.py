"""The README's commands do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import bare_environment, write_small_sample

ROOT = Path(__file__).parents[2]


def shell_blocks() -> list[list[str]]:
    """The lines of each block of shell commands, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    return [[line.split("#")[0].strip() for line in block.splitlines() if line.strip()] for block in blocks]


def test_the_two_commands_are_there_and_can_be_run() -> None:
    first = shell_blocks()[0]
    assert first == ["scripts/demo", "scripts/test"]
    assert all((ROOT / line).stat().st_mode & 0o111 for line in first)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where `recsvc demo --data-dir demo` was run before, but for the size of the bank."""
    write_small_sample(tmp_path / "demo")
    return tmp_path


def test_the_commands_on_ones_own_data_run_as_they_stand(folder: Path) -> None:
    _, commands = shell_blocks()
    assert {line.split()[1] for line in commands} >= {"train", "models", "import", "keys", "doctor"}
    environment = bare_environment(HOME=str(folder), PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin")
    for line in commands:
        words = [sys.executable, "-m", *line.split()]
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
