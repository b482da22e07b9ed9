"""How sure a difference is. In: a figure of each customer under both models. Out: means, change, bounds.

The same customers are judged under both, so what is resampled is each one's difference (the paired bootstrap,
Efron and Tibshirani 1993, chapter 16): what makes customers easy or hard falls out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.gate_report import Compared

CONFIDENCE = 0.95


def compare(
    candidate: NDArray[np.float64], champion: NDArray[np.float64], rng: np.random.Generator, n_resamples: int
) -> Compared:
    """The means, and the change as a share of the champion's mean with one-sided bounds of 95 % each.

    Args:
        candidate: (n_customers,), at least one.
        champion: (n_customers,), of the same customers in the same order.
    """
    before, after = float(champion.mean()), float(candidate.mean())
    if before <= 0:
        return Compared(after, before, None, None, None)
    gained = candidate - champion
    n = len(gained)
    changes = np.array([gained[rng.integers(0, n, size=n)].mean() for _ in range(n_resamples)]) / before
    low, high = np.quantile(changes, [1 - CONFIDENCE, CONFIDENCE])
    return Compared(after, before, float(gained.mean()) / before, float(low), float(high))
