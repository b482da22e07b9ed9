"""The difference between two arms. In: their moments. Out: an estimate with an interval and a p-value.

A fixed test, to be looked at once, at the registered end: Welch's. What may be looked at any time is in
`sequences`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from recsvc.domain.satisfaction import Interval
from recsvc.domain.student import t_cdf, t_quantile
from recsvc.experimentation.moments import Moments, PairedSums


@dataclass(frozen=True, slots=True)
class Difference:
    """Treatment less control. `interval` is of level 1 - alpha; `p_value` is two-sided."""

    estimate: float
    standard_error: float
    interval: Interval
    p_value: float


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Whether treatment is worse than control by less than a margin. `lower` is a one-sided bound."""

    z: float
    p_value: float
    lower: float
    holds: bool


def absolute_difference(control: Moments, treatment: Moments, alpha: float = 0.05) -> Difference | None:
    """Welch's t test (Welch 1947); None where neither arm varied, or one has fewer than two customers."""
    variance = control.error_variance + treatment.error_variance
    return _welch(treatment.mean - control.mean, variance, control, treatment, alpha)


def relative_difference(control: Moments, treatment: Moments, alpha: float = 0.05) -> Difference | None:
    """The difference as a share of control's mean, by the delta method: to describe, not to decide by.

    None where neither arm varied, one has fewer than two customers, or control's mean is 0.
    """
    if control.mean == 0:
        return None
    return _welch(*relative(control, treatment), control, treatment, alpha)


def adjusted_relative_difference(
    control: PairedSums, treatment: PairedSums, theta: float, alpha: float = 0.05
) -> Difference | None:
    """What is left of the difference after CUPED, as a share of what control's mean was before it.

    By the delta method over both means before and after of control; None as for `relative_difference`.
    """
    if control.post == 0:
        return None
    share, variance = adjusted_relative(control, treatment, theta)
    return _welch(share, variance, control.adjusted(theta), treatment.adjusted(theta), alpha)


def relative(control: Moments, treatment: Moments) -> tuple[float, float]:
    """The difference as a share of control's mean, which is not 0, and its squared standard error."""
    of_control = control.error_variance * treatment.mean**2 / control.mean**4
    variance = treatment.error_variance / control.mean**2 + of_control
    return (treatment.mean - control.mean) / control.mean, variance


def adjusted_relative(control: PairedSums, treatment: PairedSums, theta: float) -> tuple[float, float]:
    """What is left after CUPED as a share of control's mean before it, and its squared standard error."""
    of_control, of_treatment = control.adjusted(theta), treatment.adjusted(theta)
    whole = control.post / control.n
    ratio = treatment.post / treatment.n / whole
    varied = control.post_variance * ratio**2 + theta**2 * control.pre_variance
    varied -= 2 * theta * control.covariance * ratio
    variance = (of_treatment.error_variance + varied / control.n) / whole**2
    return (of_treatment.mean - of_control.mean) / whole, variance


def pooled_p_value(control: tuple[int, int], treatment: tuple[int, int]) -> float | None:
    """Two-sided, of two proportions (n, positives) under one common share.

    None where nobody differed, or nobody is in an arm.
    """
    (n_control, of_control), (n_treatment, of_treatment) = control, treatment
    if not (n_control and n_treatment):
        return None
    share = (of_control + of_treatment) / (n_control + n_treatment)
    variance = share * (1 - share) * (1 / n_control + 1 / n_treatment)
    if variance == 0:
        return None
    return two_sided(((of_treatment / n_treatment) - of_control / n_control) / sqrt(variance))


def non_inferiority(
    control: Moments, treatment: Moments, margin: float, alpha: float = 0.05
) -> NonInferiority | None:
    """One-sided: treatment's mean is no more than `margin` below control's. None where nothing varied."""
    error = sqrt(control.error_variance + treatment.error_variance)
    if error == 0:
        return None
    difference = treatment.mean - control.mean
    z = (difference + margin) / error
    lower = difference - NormalDist().inv_cdf(1 - alpha) * error
    return NonInferiority(z, NormalDist().cdf(-z), lower, lower > -margin)


def two_sided(z: float) -> float:
    """The chance of a standard normal value at least as far from 0."""
    return 2 * NormalDist().cdf(-abs(z))


def _welch(
    estimate: float, variance: float, control: Moments, treatment: Moments, alpha: float
) -> Difference | None:
    if variance <= 0 or min(control.n, treatment.n) < 2:
        return None
    freedom = _freedom(control, treatment)
    error = sqrt(variance)
    half = t_quantile(1 - alpha / 2, freedom) * error
    p_value = 2 * t_cdf(-abs(estimate / error), freedom)
    return Difference(estimate, error, Interval(estimate - half, estimate + half), p_value)


def _freedom(control: Moments, treatment: Moments) -> float:
    """Degrees of freedom (Satterthwaite 1946)."""
    one, other = control.error_variance, treatment.error_variance
    return (one + other) ** 2 / (one**2 / (control.n - 1) + other**2 / (treatment.n - 1))
