"""The web process loads nothing that only training needs: every worker would pay for it in memory."""

from __future__ import annotations

import subprocess
import sys

ONLY_FOR_TRAINING = {
    "implicit",
    "scipy",
    "sklearn",
    "polars",
    "recsvc.retraining",
    "recsvc.training",
    "recsvc.history",
    "recsvc.sample_bank",
}


def test_the_web_process_loads_nothing_that_only_training_needs() -> None:
    code = "import sys, recsvc.api, recsvc.bootstrap; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    assert ONLY_FOR_TRAINING & set(loaded.stdout.split()) == set()
