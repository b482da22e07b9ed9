"""The benchmark of quality where there is nothing to measure: it says so, and claims nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECTIONS = ["gowalla", "selection", "starbucks", "cold_items", "plain_als"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "benchmark_quality"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_section_without_its_data_says_so_and_breaks_no_promise(tmp_path: Path) -> None:
    done = run(*SECTIONS, "--json", "--data", str(tmp_path))
    assert done.returncode == 0, done.stderr
    sections = json.loads(done.stdout)["sections"]
    assert list(sections) == SECTIONS
    for findings in sections.values():
        (only,) = findings
        assert only["found"] is None and only["is_kept"] is None
        assert "in the data folder; set RECSVC_TEST_DATA_DIR" in only["note"]


def test_a_section_that_does_not_exist_is_wrong_use() -> None:
    done = run("gowala")
    assert done.returncode == 2
    assert "'gowala' is none of gowalla, selection" in done.stderr
