"""How good propensities are. In: predictions, what came true, whose they were. Out: metrics with intervals.

Intervals come of drawing customers anew, with all that each was sent: sendings of one are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.measured import Measured
from recsvc.bundles.propensity import PropensityReport, ReliabilityBin
from recsvc.errors import TrainingError

N_GROUPS = 10
N_RESAMPLES = 500
_LEAST_CHANCE = 1e-15

Floats = NDArray[np.float64]


def judge(
    predicted: Floats,
    responded: NDArray[np.bool_],
    customers: NDArray[np.int64],
    *,
    judged_on: str,
    seed: int,
) -> PropensityReport:
    """Area under the ROC curve, log-loss, and calibration over ten groups of equal size by prediction.

    Raises:
        TrainingError: nothing was judged, or everything came out alike.
    """
    if not 0 < responded.sum() < len(responded):
        raise TrainingError(f"there is nothing to tell apart among {len(responded)} {judged_on}")
    order = np.argsort(predicted, kind="stable")
    judged = _judged(predicted[order], responded[order])
    rng = np.random.default_rng(seed)
    _, numbers = np.unique(customers[order], return_inverse=True)
    n_customers = int(numbers.max()) + 1
    drawn = [_weights(numbers, n_customers, rng) for _ in range(N_RESAMPLES)]
    drawn = [weights for weights in drawn if 0 < weights @ judged.responded < weights.sum()]
    whole, resampled = judged.metrics(np.ones(len(order))), [judged.metrics(weights) for weights in drawn]
    return PropensityReport(
        judged_on=judged_on,
        sendings=len(predicted),
        responses=int(responded.sum()),
        metrics={name: _measured(value, [one[name] for one in resampled]) for name, value in whole.items()},
        reliability=_reliability(judged, drawn),
    )


@dataclass(frozen=True)
class _Judged:
    """Predictions in ascending order, with what came true: (n,). `ties` numbers equal predictions."""

    predicted: Floats
    responded: Floats
    losses: Floats
    groups: NDArray[np.int64]
    ties: NDArray[np.int64]

    def metrics(self, weights: Floats) -> Mapping[str, float]:
        """The metrics where each sending counts for its weight."""
        expected = np.bincount(self.groups, weights * self.predicted, minlength=N_GROUPS)
        observed = np.bincount(self.groups, weights * self.responded, minlength=N_GROUPS)
        return {
            "auc": self._auc(weights),
            "log_loss": float(weights @ self.losses / weights.sum()),
            "ece": float(np.abs(expected - observed).sum() / weights.sum()),
        }

    def _auc(self, weights: Floats) -> float:
        """The share of pairs in which what was responded to stands higher; half of what is level (Mann and
        Whitney 1947)."""
        hits = np.bincount(self.ties, weights * self.responded)
        misses = np.bincount(self.ties, weights * (1 - self.responded))
        below = np.cumsum(misses) - misses / 2
        return float(hits @ below / (hits.sum() * misses.sum()))


def _judged(predicted: Floats, responded: NDArray[np.bool_]) -> _Judged:
    chance = np.clip(np.where(responded, predicted, 1 - predicted), _LEAST_CHANCE, None)
    n = len(predicted)
    return _Judged(
        predicted=predicted,
        responded=responded.astype(np.float64),
        losses=-np.log(chance),
        groups=np.arange(n) * N_GROUPS // n,
        ties=np.concatenate([[0], np.cumsum(np.diff(predicted) > 0)]),
    )


def _measured(value: float, resampled: Sequence[float]) -> Measured:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Measured(value, float(low), float(high))


def _weights(numbers: NDArray[np.int64], n_customers: int, rng: np.random.Generator) -> Floats:
    """How often each sending is drawn where its customer is drawn: (n,)."""
    times = np.bincount(rng.integers(0, n_customers, n_customers), minlength=n_customers)
    return times[numbers].astype(np.float64)


def _reliability(judged: _Judged, drawn: Sequence[Floats]) -> tuple[ReliabilityBin, ...]:
    bins = []
    for group in np.unique(judged.groups).tolist():
        rows = np.flatnonzero(judged.groups == group)
        came_true = judged.responded[rows]
        totals = [(weights[rows] @ came_true, weights[rows].sum()) for weights in drawn]
        low, high = np.quantile([hits / total for hits, total in totals if total > 0], [0.025, 0.975])
        predicted, observed = judged.predicted[rows].mean(), came_true.mean()
        bins.append(ReliabilityBin(len(rows), float(predicted), float(observed), float(low), float(high)))
    return tuple(bins)
