"""The size and the names of modules. What they may import is held by import-linter, in scripts/check."""

from __future__ import annotations

from pathlib import Path

MAX_LINES = 300
NAMES_THAT_SAY_NOTHING = {"utils", "util", "core", "helpers", "helper", "manager", "common", "misc"}


def test_no_module_is_longer_than_300_lines(root: Path) -> None:
    lengths = {
        path.relative_to(root).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in (root / "recsvc").rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_and_folder_has_a_name_that_says_what_it_holds(root: Path) -> None:
    paths = [path.relative_to(root) for path in (root / "recsvc").rglob("*")]
    assert [str(path) for path in paths if path.stem in NAMES_THAT_SAY_NOTHING] == []
