"""What one worker acknowledged is in the next answer of another: scripts/stress_freshness in short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

STRESS = Path(__file__).parents[2] / "scripts" / "stress_freshness"


def test_every_answer_knows_the_event_that_was_just_acknowledged_elsewhere() -> None:
    environment = {**os.environ, "PYTHONPATH": str(STRESS.parents[1])}
    done = subprocess.run(
        [sys.executable, str(STRESS), "--rounds", "40"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == {
        "rounds": 40,
        "reflected": 40,
        "refused": 0,
        "copies": 40,
        "workers": 2,
    }
