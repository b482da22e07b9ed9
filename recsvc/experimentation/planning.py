"""How long an experiment must run. In: a rate and the effect worth finding. Out: customers, days."""

from __future__ import annotations

from math import ceil, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()


def customers_per_arm(rate: float, effect: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Customers that each of two equal arms needs to tell `rate` from `rate + effect`, not yet rounded up.

    The unpooled normal approximation (Fleiss, Levin and Paik 2003, section 4.2, without continuity
    correction). Raises ValueError where a rate is not between 0 and 1, or there is no effect.
    """
    other = rate + effect
    if not (0 < rate < 1 and 0 < other < 1) or effect == 0:
        raise ValueError("the rate with and without the effect must be between 0 and 1, and the effect not 0")
    return _factor(alpha, power) * (rate * (1 - rate) + other * (1 - other)) / effect**2


def customers_per_arm_of_mean(
    deviation: float, effect: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The same for a mean of values with a standard deviation, equal in both arms."""
    if effect == 0 or deviation <= 0:
        raise ValueError("the effect must not be 0, and the deviation above 0")
    return _factor(alpha, power) * 2 * deviation**2 / effect**2


def power_of(rate: float, effect: float, n_per_arm: int, alpha: float = 0.05) -> float:
    """The chance that a fixed two-sided test finds the effect with so many customers per arm."""
    other = rate + effect
    error = sqrt((rate * (1 - rate) + other * (1 - other)) / n_per_arm)
    return _NORMAL.cdf(abs(effect) / error - _NORMAL.inv_cdf(1 - alpha / 2))


def days_needed(n_per_arm: float, smallest_share: float, customers_a_day: float) -> int:
    """Whole days until the smallest arm, which gets this share of all new customers, has enough of them.

    Raises ValueError where nobody comes.
    """
    if smallest_share <= 0 or customers_a_day <= 0:
        raise ValueError("no customer reaches the smallest arm: raise its weight or the coverage")
    return ceil(n_per_arm / (smallest_share * customers_a_day))


def _factor(alpha: float, power: float) -> float:
    return (_NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)) ** 2


def customers_in_all(
    variances: tuple[float, float],
    shares: tuple[float, float],
    effect: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Customers of whom control and treatment get their shares, to tell the effect; not yet rounded up.

    `variances` are one customer's in control and in treatment. With equal halves it is twice what
    `customers_per_arm` says. Raises ValueError where a share is not above 0, or there is no effect.
    """
    if min(shares) <= 0 or effect == 0:
        raise ValueError("both shares must be above 0, and the effect not 0")
    spread = sum(variance / share for variance, share in zip(variances, shares, strict=True))
    return _factor(alpha, power) * spread / effect**2


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError("the rate must be between 0 and 1")


def smallest_relative_effect(
    rate: float, n_per_arm: int, *, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest rise, as a share of the rate, that a test of the relative difference finds.

    Solved for the standard error of the relative difference by the delta method; the arms' variances are
    taken to be equal. None where no rise of that size can be told from chance. Raises ValueError where the
    rate is not between 0 and 1.
    """
    _check_rate(rate)
    reach = _factor(alpha, power) * (1 - rate) / (rate * n_per_arm)
    # m^2 = reach * (1 + (1 + m)^2), where 1 + m is treatment's mean over control's.
    if reach >= 1:
        return None
    return (reach + sqrt(reach**2 + 2 * reach * (1 - reach))) / (1 - reach)


def power_of_relative(rate: float, effect: float, n_per_arm: int, *, alpha: float = 0.05) -> float:
    """The chance that a two-sided test of the relative difference finds a rise by that share of the rate.

    Raises ValueError where the rate is not between 0 and 1.
    """
    _check_rate(rate)
    error = sqrt((1 - rate) / (rate * n_per_arm) * (1 + (1 + effect) ** 2))
    reach = _NORMAL.inv_cdf(1 - alpha / 2)
    return _NORMAL.cdf(effect / error - reach) + _NORMAL.cdf(-effect / error - reach)
