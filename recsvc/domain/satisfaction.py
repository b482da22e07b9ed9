"""How content customers are. In: answers to surveys. Out: NPS, CSAT and CES, each with its 95 % interval.

Every figure stands on one answer per customer. Where there are too few answers to give a figure or an
interval there is none: None, never a number that looks like one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from statistics import NormalDist, fmean, stdev

from recsvc.domain.student import t_quantile

LEVEL = 0.95
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
_ADDED = (3 / 4, 3 / 2, 3 / 4)  # Rocks (2016): three answers more, spread over the three classes.


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both inclusive."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class NpsAnswers:
    """Answers 0 to 10 to "would you recommend us?", by class: 9 and 10 promote, 0 to 6 detract.

    Counts are whole, and stay so where they go through JSON; an adjusted interval adds parts of one.
    """

    promoters: int | float
    passives: int | float
    detractors: int | float

    @classmethod
    def of(cls, scores: Iterable[float]) -> NpsAnswers:
        """Sort answers into classes."""
        answers = list(scores)
        promoters = sum(score >= 9 for score in answers)
        detractors = sum(score <= 6 for score in answers)
        return cls(promoters, len(answers) - promoters - detractors, detractors)

    @property
    def n(self) -> float:
        return self.promoters + self.passives + self.detractors


@dataclass(frozen=True, slots=True)
class Nps:
    """Promoters less detractors in percent, -100 to 100, with its standard error.

    `interval` is Wald's; `adjusted` is the adjusted Wald interval (Rocks 2016, "Interval Estimation for the
    Net Promoter Score"), which holds its level with few answers, too.
    """

    value: float
    standard_error: float
    interval: Interval
    adjusted: Interval
    n: int


@dataclass(frozen=True, slots=True)
class NpsDifference:
    """How much higher the second NPS is than the first. `p` is two-sided."""

    value: float
    standard_error: float
    z: float
    p: float


@dataclass(frozen=True, slots=True)
class Share:
    """A share in percent with its Wilson interval (Wilson 1927)."""

    value: float
    interval: Interval
    n: int


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with Student's interval; None where all that is known is one answer."""

    value: float
    interval: Interval | None
    n: int


def net_promoter_score(answers: NpsAnswers) -> Nps | None:
    """NPS = 100 (P - D), with variance (P + D - (P - D)^2) / n. None without answers."""
    if answers.n <= 0:
        return None
    value, error = _nps_and_error(answers)
    added = NpsAnswers(
        answers.promoters + _ADDED[0], answers.passives + _ADDED[1], answers.detractors + _ADDED[2]
    )
    return Nps(value, error, _wald(value, error), _wald(*_nps_and_error(added)), round(answers.n))


def nps_difference(first: NpsAnswers, second: NpsAnswers) -> NpsDifference | None:
    """z = difference / sqrt(SE1^2 + SE2^2). None where either is without answers or nothing varies."""
    one, other = net_promoter_score(first), net_promoter_score(second)
    if one is None or other is None:
        return None
    error = sqrt(one.standard_error**2 + other.standard_error**2)
    if error == 0:
        return None
    z = (other.value - one.value) / error
    return NpsDifference(other.value - one.value, error, z, erfc(abs(z) / sqrt(2)))


def satisfied_share(n_satisfied: int, n: int) -> Share | None:
    """CSAT: the share of 4 and 5 on a scale of 1 to 5. None without answers."""
    if n <= 0:
        return None
    share = n_satisfied / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Share(100 * share, Interval(100 * low, 100 * high), n)


def effort_score(scores: Sequence[float]) -> Mean | None:
    """CES 2.0: the mean agreement, 1 to 7, that it was easy: higher is easier. None without answers."""
    if not scores:
        return None
    mean, n = fmean(scores), len(scores)
    if n == 1:
        return Mean(mean, None, n)
    half = t_quantile((1 + LEVEL) / 2, n - 1) * stdev(scores) / sqrt(n)
    return Mean(mean, Interval(mean - half, mean + half), n)


def ease_share(scores: Sequence[float]) -> Share | None:
    """The share of 5 to 7 on the scale of CES. None without answers."""
    return satisfied_share(sum(score >= 5 for score in scores), len(scores))


def _nps_and_error(answers: NpsAnswers) -> tuple[float, float]:
    promoters, detractors = answers.promoters / answers.n, answers.detractors / answers.n
    variance = (promoters + detractors - (promoters - detractors) ** 2) / answers.n
    return 100 * (promoters - detractors), 100 * sqrt(max(variance, 0.0))


def _wald(value: float, error: float) -> Interval:
    return Interval(max(-100.0, value - _Z * error), min(100.0, value + _Z * error))
