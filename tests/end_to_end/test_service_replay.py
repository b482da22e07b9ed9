"""The service is what the evaluator says it is: scripts/replay_service in short."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPLAY = Path(__file__).parents[2] / "scripts" / "replay_service"
N_OCCASIONS = 60


def test_the_service_ranks_as_the_evaluator_does_before_each_first_meeting(real_data: Path) -> None:
    """To the service it is as late as its latest event says: as of that, nearly every rank is the same."""
    done = subprocess.run(
        [sys.executable, str(REPLAY), "--data", str(real_data), "--occasions", str(N_OCCASIONS), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPLAY.parents[1])},
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["n"] == N_OCCASIONS
    assert report["agreement"]["evaluator as of the latest event"] >= 0.95
    service, evaluator = (report["figures"][side] for side in ("service", "evaluator"))
    for metric in ("hit@10", "ndcg@10"):
        assert service[metric]["low"] <= evaluator[metric]["value"] <= service[metric]["high"]
        assert service[metric]["value"] > 0.3
