"""What one worker acknowledged is in the next answer of another: scripts/stress_freshness in short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.conftest import write_small_sample

STRESS = Path(__file__).parents[2] / "scripts" / "stress_freshness"


def test_every_answer_knows_the_event_that_was_just_acknowledged_elsewhere(tmp_path: Path) -> None:
    write_small_sample(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(STRESS.parents[1])}
    done = subprocess.run(
        [sys.executable, str(STRESS), "--rounds", "40", "--data-dir", str(tmp_path)],
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
