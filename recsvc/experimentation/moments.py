"""What is known of one arm. In: answers of customers, one each. Out: how many, their mean, its variance.

The unit is the customer throughout: impressions of one customer are not independent, and a test that takes
them for that finds differences where there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDING = 1e-14  # What it may leave of a number, as a share.


@dataclass(frozen=True, slots=True)
class Moments:
    """An arm: its number of customers, the mean of the metric, and one customer's variance.

    The squared standard error of the mean is `variance / n`.
    """

    n: int
    mean: float
    variance: float

    @property
    def error_variance(self) -> float:
        """The squared standard error of the mean."""
        return self.variance / self.n


def of_proportion(n: int, n_positive: int) -> Moments:
    """Customers of whom some did something: variance p(1 - p). Raises ValueError without customers."""
    if n < 1:
        raise ValueError("a share takes one customer or more")
    share = n_positive / n
    return Moments(n, share, share * (1 - share))


def of_values(values: Sequence[float] | Floats) -> Moments:
    """One value per customer: (n,). Raises ValueError of fewer than two."""
    array = np.asarray(values, np.float64)
    return _of_array(array, array)


def of_ratio(numerators: Sequence[float] | Floats, denominators: Sequence[float] | Floats) -> Moments:
    """A ratio of sums, such as clicks over impressions, by the delta method (Deng, Knoblich and Lu 2018).

    Both (n,), one of each per customer. Raises ValueError of fewer than two, or where no denominator is
    above 0.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    return _of_array(linearised(above, below), above / below.mean())


def linearised(above: Floats, below: Floats) -> Floats:
    """Of a ratio one value per customer, with the ratio for mean and the delta method's variance: (n,).

    Both (n,). Raises ValueError where no denominator is above 0.
    """
    if not below.sum() > 0:
        raise ValueError("a ratio needs denominators above 0")
    ratio = above.sum() / below.sum()
    values: Floats = (above - ratio * below) / below.mean() + ratio
    return values


def _of_array(values: Floats, parts: Floats) -> Moments:
    """`parts` are of the size of what the values were computed from, which tells what rounding leaves."""
    if len(values) < 2:
        raise ValueError("a variance takes two customers or more")
    variance = float(values.var(ddof=1))
    is_rounding = variance <= _ROUNDING**2 * float(np.square(parts).mean())
    return Moments(len(values), float(values.mean()), 0.0 if is_rounding else variance)


def of_two(control: Moments, treatment: Moments) -> tuple[Moments, Moments]:
    """The arms to compare, with the variance of both together where that makes the difference less sure.

    A small arm in which by chance nobody did what is rare has no variance of its own, and would look surer
    than a large one. With equal arms nothing changes.
    """
    n = control.n + treatment.n
    together = (control.n * control.variance + treatment.n * treatment.variance) / n
    if together / control.n + together / treatment.n <= control.error_variance + treatment.error_variance:
        return control, treatment
    return replace(control, variance=together), replace(treatment, variance=together)


@dataclass(frozen=True, slots=True)
class PairedSums:
    """Sums over an arm's customers of a metric after exposure, of one before it, and of their products."""

    n: int
    post: float
    post_squares: float
    pre: float
    pre_squares: float
    products: float

    @classmethod
    def of_values(cls, post: Sequence[float] | Floats, pre: Sequence[float] | Floats) -> PairedSums:
        """Both (n,), a customer's values in the same place."""
        after, before = np.asarray(post, np.float64), np.asarray(pre, np.float64)
        return cls(
            len(after),
            float(after.sum()),
            float(after @ after),
            float(before.sum()),
            float(before @ before),
            float(after @ before),
        )

    @property
    def post_variance(self) -> float:
        return _variance(self.post_squares, self.post, self.n)

    @property
    def pre_variance(self) -> float:
        return _variance(self.pre_squares, self.pre, self.n)

    @property
    def covariance(self) -> float:
        return (self.products - self.post * self.pre / self.n) / (self.n - 1)

    def adjusted(self, theta: float) -> Moments:
        """The arm's post value less theta times its pre value."""
        parts = self.post_variance + theta**2 * self.pre_variance
        left = _unless_rounding(parts - 2 * theta * self.covariance, parts)
        return Moments(self.n, (self.post - theta * self.pre) / self.n, left)


def cuped_theta(control: PairedSums, treatment: PairedSums) -> float:
    """The share of the pre value to take off in both arms (Deng, Xu, Kohavi and Walker 2013, eq. 4).

    The covariance over the variance of all customers together, 0 where nothing varied before.
    """
    both = PairedSums(
        control.n + treatment.n,
        control.post + treatment.post,
        control.post_squares + treatment.post_squares,
        control.pre + treatment.pre,
        control.pre_squares + treatment.pre_squares,
        control.products + treatment.products,
    )
    return both.covariance / both.pre_variance if both.pre_variance > 0 else 0.0


def _variance(squares: float, total: float, n: int) -> float:
    return _unless_rounding(squares - total**2 / n, squares) / (n - 1)


def _unless_rounding(left: float, of: float) -> float:
    """What a subtraction leaves of a number; 0 where that is no more than rounding leaves of nothing."""
    return left if left > _ROUNDING * of else 0.0
