"""Many customers, dealt in several processes by what the store holds: scripts/stress_assignment in short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.assigning import independence, run


def test_nobody_moves_between_processes_and_with_the_coverage_and_layers_are_independent(
    tmp_path: Path,
) -> None:
    report = run(tmp_path, 20_000)
    assert (report.flips, report.moved) == (0, 0)
    assert report.in_at_10_percent == pytest.approx(2_000, rel=0.1)
    assert report.in_at_50_percent == pytest.approx(10_000, rel=0.05)
    assert report.holds, report


def test_layers_that_have_to_do_with_each_other_are_found_out() -> None:
    codes = np.random.default_rng(7).integers(0, 3, 20_000).astype(np.uint8)
    assert independence(codes, (codes + (np.arange(20_000) % 10 == 0)).astype(np.uint8)) < 0.001
