"""A worker's death ends its run and nothing else: scripts/stress_training in short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

STRESS = Path(__file__).parents[2] / "scripts" / "stress_training"


def test_killed_workers_move_no_champion_and_twenty_requests_make_one_run() -> None:
    environment = {**os.environ, "PYTHONPATH": str(STRESS.parents[1])}
    done = subprocess.run(
        [sys.executable, str(STRESS), "--kills", "1", "--json"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["is_sound"], report
    assert report["kills"] == 1
    assert report["parallel_statuses"] == {"202": 1, "409": 19}
