"""Fit the BG/NBD model. In: the purchases of all customers. Out: a `Lifetime`, or why there is none.

Maximum likelihood over the four parameters (Fader, Hardie and Lee 2005, equation 6), on the log scale so that
they stay above 0, with the gradient in closed form. Time is scaled so that the longest known age is 10 while
fitting, which leaves all but `alpha` as they are. Customers of the same purchases are counted together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, digamma, gammaln

from recsvc.domain.lifetime import Lifetime, Purchases

MIN_REPEATING = 20
"""Customers with a repeat purchase. With fewer, four parameters are guesswork."""

FloatArray = NDArray[np.float64]

_LONGEST_AGE = 10.0
_STARTS = ((0.0, 0.0, 0.0, 0.0), (-1.0, 1.0, -1.0, 1.0), (1.0, 1.0, -2.0, 1.0))
_LIMIT = 12.0  # A parameter that wants to be beyond exp(±12) is not determined by the data.
_SLOPE = 1e-6  # The gradient of the mean log-likelihood at which the fit counts as done.


@dataclass(frozen=True, slots=True)
class LifetimeFit:
    """The outcome: a lifetime with its log-likelihood, or the reason why there is none."""

    lifetime: Lifetime | None
    log_likelihood: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Counted:
    """Distinct purchases and how many customers have them, all (n,)."""

    repeats: FloatArray
    last: FloatArray
    age: FloatArray
    n: FloatArray


def fit_lifetime(purchases: Iterable[Purchases]) -> LifetimeFit:
    """Fit the model to these customers, in the unit of their times."""
    rows = np.array([(one.repeats, one.last, one.age) for one in purchases], dtype=np.float64).reshape(-1, 3)
    n_repeating = int((rows[:, 0] > 0).sum())
    if n_repeating < MIN_REPEATING:
        return _none(f"{n_repeating} customers have a repeat purchase, at least {MIN_REPEATING} are needed")
    if n_repeating == len(rows) and np.ptp(rows[:, 0]) == 0:
        return _none("all customers have the same number of repeat purchases")
    if rows[:, 2].max() <= 0:
        return _none("all purchases came on the day that the history ends")
    scale = _LONGEST_AGE / float(rows[:, 2].max())
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    counted = _Counted(
        distinct[:, 0], distinct[:, 1] * scale, distinct[:, 2] * scale, counts.astype(np.float64)
    )
    found = [
        minimize(
            _mean_loss,
            np.array(start),
            args=(counted,),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_LIMIT, _LIMIT)] * 4,
            options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20},
        )
        for start in _STARTS
    ]
    best = min(found, key=lambda one: float(one.fun))
    if not np.isfinite(best.fun) or np.abs(best.jac).max() > _SLOPE:
        return _none("the likelihood of the purchases has no maximum that can be found")
    if np.abs(best.x).max() > _LIMIT - 1e-3:
        return _none("the purchases do not determine the parameters: the likelihood grows without end")
    r, alpha, a, b = (float(one) for one in np.exp(best.x))
    # The density of times changes with their unit: x log(scale) for every customer.
    total = -float(best.fun) * len(rows) + float(rows[:, 0].sum() * np.log(scale))
    return LifetimeFit(Lifetime(r, alpha / scale, a, b), total, None)


def _none(reason: str) -> LifetimeFit:
    return LifetimeFit(None, None, reason)


def _mean_loss(logs: FloatArray, of: _Counted) -> tuple[float, FloatArray]:
    """The mean negative log-likelihood and its gradient by the logs of the parameters: (4,)."""
    r, alpha, a, b = np.exp(logs)
    x, total = of.repeats, of.n.sum()
    again = x > 0
    rates = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + of.age)
    safe = np.where(again, b + x - 1, 1.0)
    gone = betaln(a + 1, safe) - betaln(a, b) - (r + x) * np.log(alpha + of.last)
    gone = np.where(again, gone, -np.inf)
    log_likelihood = rates + np.logaddexp(alive, gone)
    share = np.exp(alive - np.logaddexp(alive, gone))  # of the likelihood that the customer is alive
    by_r = digamma(r + x) - digamma(r) + np.log(alpha)
    by_r -= share * np.log(alpha + of.age) + (1 - share) * np.log(alpha + of.last)
    by_alpha = r / alpha - (r + x) * (share / (alpha + of.age) + (1 - share) / (alpha + of.last))
    both = digamma(a + b) - digamma(a + b + x)
    by_a = both - digamma(a) + share * digamma(a) + (1 - share) * digamma(a + 1)
    by_b = both - digamma(b) + share * digamma(b + x) + (1 - share) * digamma(safe)
    slopes = [
        (of.n * by).sum() * parameter
        for by, parameter in ((by_r, r), (by_alpha, alpha), (by_a, a), (by_b, b))
    ]
    return -float((of.n * log_likelihood).sum() / total), -np.array(slopes) / total
