"""How long customers keep buying, by BG/NBD. In: four parameters, a customer's purchases. Out: chances.

Fader, Hardie and Lee, "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
Marketing Science 24 (2005): purchases come as a Poisson process while a customer is alive, and after each
purchase the customer may leave for good; rates are gamma distributed over customers (`r`, `alpha`), chances
to leave are beta distributed (`a`, `b`). Equation numbers are the paper's. The fit is in `training`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, inf, isfinite, lgamma, log, log1p

_TERMS = 100_000
_NEAR_ONE = 1e-6


@dataclass(frozen=True, slots=True)
class Purchases:
    """A customer's purchases, in the unit of time of the parameters (here: days).

    `repeats` is x, the purchases after the first; `last` is t_x, when the last of them came, and `age` is T,
    now; both count from the first purchase.
    """

    repeats: int
    last: float
    age: float

    def __post_init__(self) -> None:
        if self.repeats < 0 or not 0 <= self.last <= self.age:
            raise ValueError("purchases must have repeats >= 0 and 0 <= last <= age")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The parameters of a population, all above 0."""

    r: float
    alpha: float
    a: float
    b: float

    def __post_init__(self) -> None:
        if not all(isfinite(one) and one > 0 for one in (self.r, self.alpha, self.a, self.b)):
            raise ValueError("the parameters of a lifetime must be finite and above 0")

    def log_likelihood(self, of: Purchases) -> float:
        """The log of the chance of just these purchases (equation 6)."""
        x = of.repeats
        common = lgamma(self.r + x) - lgamma(self.r) + self.r * log(self.alpha)
        stayed = _log_beta(self.a, self.b + x) - _log_beta(self.a, self.b)
        alive = stayed - (self.r + x) * log(self.alpha + of.age)
        if x == 0:
            return common + alive
        left = _log_beta(self.a + 1, self.b + x - 1) - _log_beta(self.a, self.b)
        gone = left - (self.r + x) * log(self.alpha + of.last)
        return common + _log_sum(alive, gone)

    def p_alive(self, of: Purchases) -> float:
        """The chance that the customer will ever come back, 0 to 1.

        1 for a customer without a repeat purchase: that is the model's assumption, nothing it learned.
        """
        if of.repeats == 0:
            return 1.0
        odds = log(self.a / (self.b + of.repeats - 1))
        odds += (self.r + of.repeats) * log((self.alpha + of.age) / (self.alpha + of.last))
        return 1 / (1 + exp(odds)) if odds < 700 else 0.0

    def expected_purchases(self, of: Purchases, ahead: float) -> float:
        """How many purchases to expect in the time `ahead` (equation 10)."""
        total = self._ever(self.r + of.repeats, self.b + of.repeats, self.alpha + of.age, ahead)
        return total * self.p_alive(of)

    def expected_of_anybody(self, within: float) -> float:
        """How many purchases to expect of an unknown customer in the time after the first (equation 9)."""
        return self._ever(self.r, self.b, self.alpha, within)

    def _ever(self, r: float, b: float, scale: float, ahead: float) -> float:
        """(a + b - 1) / (a - 1) * [1 - (scale / (scale + ahead))^r * 2F1(r, b; a + b - 1; z)].

        By Euler's transformation (1 - z)^r * 2F1(r, b; c; z) = (1 - z)^(a - 1) * 2F1(c - r, a - 1; c; z), for
        c = a + b - 1 and 1 - z = scale / (scale + ahead): the terms stay small however many the purchases.
        At a = 1 the formula is 0 / 0 and has a limit, so it is taken right beside it.
        """
        if ahead <= 0:
            return 0.0
        a = self.a if abs(self.a - 1) > _NEAR_ONE else 1 + _NEAR_ONE
        c = a + b - 1 or _NEAR_ONE
        z = ahead / (scale + ahead)
        less = (a - 1) * log1p(-z)
        # Where a + b < 1 the series may be below 0, so its logarithm is not taken.
        return -c / (a - 1) * (expm1(less) + exp(less) * _gauss_less_one(c - r, a - 1, c, z))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_sum(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    high, low = max(one, other), min(one, other)
    return high + log1p(exp(low - high)) if high > -inf else high


def _gauss_less_one(a: float, b: float, c: float, z: float) -> float:
    """2F1(a, b; c; z) - 1 by its series, for 0 <= z < 1; without the 1, what is small stays exact."""
    term, total = 1.0, 0.0
    for n in range(_TERMS):
        term *= (a + n) * (b + n) / ((c + n) * (n + 1)) * z
        total += term
        if abs(term) <= 1e-16 * abs(total):
            break
    return total
