"""What was acknowledged is stored, once and whole, whoever is killed: scripts/stress_events in short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

STRESS = Path(__file__).parents[2] / "scripts" / "stress_events"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the processes to kill in /proc")
def test_kills_lose_no_acknowledged_event_and_store_none_twice() -> None:
    options = [
        "--kills",
        "4",
        "--tree-kills",
        "1",
        "--workers",
        "3",
        "--clients",
        "6",
        "--pause",
        "0.4",
        "--json",
    ]
    environment = {**os.environ, "PYTHONPATH": str(STRESS.parents[1])}
    done = subprocess.run(
        [sys.executable, str(STRESS), *options], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["is_sound"], done.stdout
    assert (report["worker_kills"], report["tree_kills"]) == (4, 1)
    assert report["batches_acknowledged"] > 20
