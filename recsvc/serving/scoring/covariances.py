"""How the parts of a blend vary together. In: parts, folded in. Out: the variance of their sum, never made.

Over all items the covariance of two parts of factors is u_aᵀ Σ_ab u_b, with Σ_ab the covariance of the two
blocks, which no customer changes; of what few items are scored by, those few tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from recsvc.serving.scoring.factors import CustomerFactors, FactorPart
from recsvc.serving.scoring.parts import FloatArray, FoldedIn, Part, Scores
from recsvc.serving.scoring.popularity import FoldedPopularity, PopularityPart


class Covariances:
    """Of the parts of one model. What no customer changes is made at once: (n_factors, n_other_factors)."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._of_pairs: dict[tuple[int, int], FloatArray] = {}
        for (a, one), (b, other) in combinations(enumerate(parts), 2):
            if isinstance(one, FactorPart) and isinstance(other, FactorPart):
                self._of_pairs[a, b] = one.items.covariance_with(other.items)
            elif isinstance(one, FactorPart) and isinstance(other, PopularityPart):
                self._of_pairs[a, b] = one.items.covariance_with_scores(other.scores)
            elif isinstance(one, PopularityPart) and isinstance(other, FactorPart):
                self._of_pairs[a, b] = other.items.covariance_with_scores(one.scores)

    def variance_of_sum(self, folded: Sequence[FoldedIn], scales: Sequence[float]) -> float:
        """Over all items, of the sum of the parts' scores, each times its scale."""
        total = sum(scale**2 * one.spread().variance for one, scale in zip(folded, scales, strict=True))
        for a, b in combinations(range(len(folded)), 2):
            total += 2 * scales[a] * scales[b] * self._between(a, b, folded[a], folded[b])
        return total

    def _between(self, a: int, b: int, one: FoldedIn, other: FoldedIn) -> float:
        known = self._of_pairs.get((a, b))
        if known is None:
            return _by_few(one, other)
        if isinstance(one, CustomerFactors) and isinstance(other, CustomerFactors):
            return float(one.customer @ (known @ other.customer))
        of_factors = one if isinstance(one, CustomerFactors) else other
        assert isinstance(of_factors, CustomerFactors), "only factors have a covariance that is known before"
        return float(of_factors.customer @ known)


def _by_few(one: Scores, other: Scores) -> float:
    """By the items that one of the two has scores of, where these are got at once."""
    if isinstance(one, CustomerFactors | FoldedPopularity):
        one, other = other, one
    scores = one.scores()
    rows = np.flatnonzero(scores).astype(np.int32)
    products = scores[rows].astype(np.float64) @ other.scores_of(rows).astype(np.float64)
    return float(products) / len(scores) - one.spread().mean * other.spread().mean
