"""Student's t distribution in plain Python. In: a probability, degrees of freedom. Out: the quantile.

The distribution function is the regularised incomplete beta function by its continued fraction (Abramowitz
and Stegun 26.5.8 and 26.7.1, evaluated by Lentz's method); the quantile is found by bisection.
"""

from __future__ import annotations

from math import exp, lgamma, log

_STEPS = 500
_TINY = 1e-300


def t_cdf(t: float, freedom: float) -> float:
    """The chance of a value of at most t."""
    if t == 0:
        return 0.5
    tail = _beta_share(freedom / (freedom + t * t), freedom / 2, 0.5) / 2
    return 1 - tail if t > 0 else tail


def t_quantile(p: float, freedom: float) -> float:
    """The value that is not exceeded with probability p, 0 < p < 1."""
    if not 0 < p < 1 or freedom <= 0:
        raise ValueError("p must be between 0 and 1, and the degrees of freedom above 0")
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < p:
        low, high = high, 2 * high
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        low, high = (middle, high) if t_cdf(middle, freedom) < p else (low, middle)


def _beta_share(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x))
    if x < (a + 1) / (a + b + 2):
        return front * _continued(x, a, b) / a
    return 1 - front * _continued(1 - x, b, a) / b


def _continued(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _off_zero(1 + step * d)
            c = _off_zero(1 + step / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return fraction


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
