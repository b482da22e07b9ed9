"""The promise on real offers: who completes what is sent to them, by what was known before it was sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.propensity import EVENTS, FOLDER, PROMISED, measure, read_data


def test_starbucks_completions_are_told_as_well_as_promised(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / FOLDER
    if not (folder / EVENTS).is_file():
        pytest.skip(f"no {FOLDER}/{EVENTS} in the folder of real data")
    data = read_data(folder, folder / EVENTS, None, tmp_path)
    found = measure(data, train_until=336, measured=336)
    metrics = found.report.metrics
    assert found.report.sendings == 7_611
    assert metrics["auc"].value >= 0.878 and metrics["auc"].low >= PROMISED["auc"]
    assert metrics["log_loss"].value <= 0.436 and metrics["log_loss"].high <= PROMISED["log_loss"]
    assert metrics["ece"].value <= 0.025
    assert metrics["ece"].low < PROMISED["ece"]
