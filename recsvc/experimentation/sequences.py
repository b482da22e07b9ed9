"""A difference that may be looked at any time. In: moments of two arms. Out: an interval for all looks.

Asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central
limit theory and asymptotic confidence sequences"): wider than a fixed interval, and right however often
somebody looked before.
"""

from __future__ import annotations

from math import exp, log, sqrt

from recsvc.domain.satisfaction import Interval
from recsvc.experimentation.differences import Difference, adjusted_relative, relative
from recsvc.experimentation.moments import Moments, PairedSums

_MOST_LOG = 700.0

TUNED_TO = 5_000
"""The number of customers at which the sequence is tightest."""


def absolute_sequence(
    control: Moments,
    treatment: Moments,
    alpha: float = 0.05,
    tuned_to: int = TUNED_TO,
    *,
    registered_alpha: float | None = None,
) -> Difference | None:
    """The difference at this look, two-sided; None where neither arm varied.

    The tuning has to stay the same at all looks. So where `alpha` depends on what is found, as with several
    arms, the sequence is tuned by `registered_alpha`.
    """
    variance = control.error_variance + treatment.error_variance
    n, rho = control.n + treatment.n, tuning(registered_alpha or alpha, tuned_to)
    return _sequence(treatment.mean - control.mean, variance, n, alpha, rho)


def relative_sequence(
    control: Moments, treatment: Moments, alpha: float = 0.05, tuned_to: int = TUNED_TO
) -> Difference | None:
    """The same as a share of control's mean; None where neither arm varied or that mean is 0."""
    if control.mean == 0:
        return None
    share, variance = relative(control, treatment)
    return _sequence(share, variance, control.n + treatment.n, alpha, tuning(alpha, tuned_to))


def adjusted_relative_sequence(
    control: PairedSums, treatment: PairedSums, theta: float, alpha: float = 0.05, tuned_to: int = TUNED_TO
) -> Difference | None:
    """The same of what is left after CUPED, as a share of what control's mean was before it."""
    if control.post == 0:
        return None
    share, variance = adjusted_relative(control, treatment, theta)
    return _sequence(share, variance, control.n + treatment.n, alpha, tuning(alpha, tuned_to))


def lower_bound(
    control: Moments, treatment: Moments, alpha: float = 0.05, tuned_to: int = TUNED_TO
) -> float | None:
    """What the difference is above, one-sided, at all looks; None where neither arm varied."""
    variance = control.error_variance + treatment.error_variance
    if variance <= 0:
        return None
    n, rho = control.n + treatment.n, tuning(2 * alpha, tuned_to)
    growth = n * rho**2 + 1
    reach = sqrt(2 * growth / (n * rho) ** 2 * log(1 + sqrt(growth) / (2 * alpha)))
    return treatment.mean - control.mean - sqrt(variance * n) * reach


def tuning(alpha: float, tuned_to: int) -> float:
    """The parameter rho that makes the sequence tightest at a number of customers (eq. 161 there)."""
    return sqrt((-2 * log(alpha) + log(-2 * log(alpha) + 1)) / tuned_to)


def _sequence(estimate: float, variance: float, n: int, alpha: float, rho: float) -> Difference | None:
    """Interval by eq. 9, p-value by eq. 155; `variance` is the squared standard error at n customers."""
    if variance <= 0:
        return None
    growth = n * rho**2 + 1
    spread = sqrt(variance * n)
    half = spread * sqrt(2 * growth / (n * rho) ** 2 * log(sqrt(growth) / alpha))
    total = estimate * n / spread
    against = exp(-min((rho * total) ** 2 / (2 * growth), _MOST_LOG)) * sqrt(growth)
    return Difference(estimate, sqrt(variance), Interval(estimate - half, estimate + half), min(1.0, against))
