"""What another policy would have earned. In: decisions with propensities. Out: estimates, or a refusal.

Every estimate weighs what was logged by how much likelier the other policy is to do the same. Where the log
supports the other policy poorly the estimate would be a guess with a small interval, so there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.satisfaction import Interval

LEAST_SAMPLE = 100.0
MOST_WEIGHT = 0.05
MOST_UNSUPPORTED = 0.05

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Logged:
    """Decisions that were logged, n of them, and what the other policy and a reward model say of them.

    `rewards` (n,), `actions` (n,) are places among the actions, `propensities` (n,) are those of the logging
    policy for the actions it took, above 0. `target` (n, n_actions) is the other policy, a row sums to 1.
    `expected` (n, n_actions) are a model's rewards.
    """

    rewards: Floats
    actions: NDArray[np.int64]
    propensities: Floats
    target: Floats
    expected: Floats | None = None

    def __post_init__(self) -> None:
        if not len(self.rewards):
            raise ValueError("there are no logged decisions")
        if not (self.propensities > 0).all():
            raise ValueError("a logged propensity is not above 0: leave such decisions out")

    @property
    def weights(self) -> Floats:
        """How much likelier the other policy is to do what was done: (n,)."""
        weights: Floats = self.target[np.arange(len(self.actions)), self.actions] / self.propensities
        return weights

    @property
    def of_model(self) -> Floats:
        """What the reward model expects of the other policy at each decision: (n,)."""
        return (
            np.zeros(len(self.rewards))
            if self.expected is None
            else (self.target * self.expected).sum(axis=1)
        )

    @property
    def residuals(self) -> Floats:
        """What the reward model missed of each logged decision: (n,)."""
        if self.expected is None:
            return self.rewards
        return self.rewards - self.expected[np.arange(len(self.actions)), self.actions]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The other policy's mean reward with its 95 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Support:
    """How well the log supports the other policy.

    `effective_sample` is (Σw)² / Σw² (Kish 1965), `largest_share` that of the largest weight in their sum,
    `unsupported` the other policy's mass on actions that the log never shows.
    """

    effective_sample: float
    largest_share: float
    unsupported: float

    @property
    def refusal(self) -> str | None:
        """Why there is no estimate; None where the support is good enough."""
        if self.effective_sample < LEAST_SAMPLE:
            return (
                f"the log is worth only {self.effective_sample:.0f} decisions of this policy, "
                f"{LEAST_SAMPLE:.0f} are needed: log more, or compare with a policy closer to the logged one"
            )
        if self.largest_share > MOST_WEIGHT:
            return (
                f"one decision alone would make up {self.largest_share:.0%} of the estimate, at most "
                f"{MOST_WEIGHT:.0%} may be: log more exploration"
            )
        if self.unsupported > MOST_UNSUPPORTED:
            return (
                f"{self.unsupported:.0%} of what this policy does was never logged, at most "
                f"{MOST_UNSUPPORTED:.0%} may be missing: explore these actions first"
            )
        return None


def support_of(logged: Logged) -> Support:
    """How far the log carries an estimate of the other policy."""
    weights = logged.weights
    total = float(weights.sum())
    if total == 0:
        return Support(0.0, 1.0, 1.0)
    seen = np.zeros(logged.target.shape[1], np.bool_)
    seen[logged.actions] = True
    unsupported = float(logged.target[:, ~seen].sum(axis=1).mean())
    return Support(total**2 / float((weights**2).sum()), float(weights.max()) / total, unsupported)


def inverse_propensity(logged: Logged) -> Estimate:
    """IPS (Horvitz and Thompson 1952): the mean of weighted rewards. Unbiased; wild with large weights."""
    return _mean_of(logged.weights * logged.rewards)


def clipped(logged: Logged, most: float) -> Estimate:
    """IPS with weights of at most `most` (Ionides 2008): steadier, and biased towards what was logged."""
    return _mean_of(np.minimum(logged.weights, most) * logged.rewards)


def self_normalised(logged: Logged) -> Estimate:
    """SNIPS (Swaminathan and Joachims 2015): weighted rewards over the sum of weights."""
    weights = logged.weights
    value = float((weights * logged.rewards).sum() / weights.sum())
    # The delta method for a ratio of means.
    return _around(value, weights * (logged.rewards - value) / weights.mean())


def direct(logged: Logged) -> Estimate:
    """What the reward model alone expects: as good as the model."""
    return _mean_of(logged.of_model)


def doubly_robust(logged: Logged, most: float = np.inf) -> Estimate:
    """DR (Dudík, Langford and Li 2011): the model, and weighted what it missed; weights of at most `most`."""
    return _mean_of(logged.of_model + np.minimum(logged.weights, most) * logged.residuals)


def _mean_of(values: Floats) -> Estimate:
    return _around(float(values.mean()), values - values.mean())


def _around(value: float, deviations: Floats) -> Estimate:
    n = len(deviations)
    error = float(np.sqrt((deviations**2).sum() / max(n - 1, 1) / n))
    half = NormalDist().inv_cdf(0.975) * error
    return Estimate(value, Interval(value - half, value + half))
