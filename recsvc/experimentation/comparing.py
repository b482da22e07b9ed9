"""Compare arms by one metric. In: the values of their customers. Out: differences, or why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recsvc.domain.experiments import Direction, GuardrailMetric
from recsvc.experimentation.differences import (
    Difference,
    absolute_difference,
    adjusted_relative_difference,
    non_inferiority,
    relative_difference,
)
from recsvc.experimentation.metrics import Mask, Measured, Sample
from recsvc.experimentation.moments import Moments, cuped_theta, of_two
from recsvc.experimentation.multiplicity import holm, holm_levels
from recsvc.experimentation.reports import ArmFigure, Comparison, GuardrailFinding, Method
from recsvc.experimentation.sequences import (
    absolute_sequence,
    adjusted_relative_sequence,
    lower_bound,
    relative_sequence,
)
from recsvc.experimentation.verdicts import GuardrailState
from recsvc.policy_experiments import MetricKind

LEAST_CUSTOMERS = 30
"""Fewer in an arm are not compared: the mean of so few need not be near enough to normal."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How differences are told: by which method, and at which level in all."""

    method: Method
    alpha: float


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared, after CUPED where there was anything before, and the plain values beside it."""

    control: Moments
    treatment: Moments
    plain_control: Sample
    plain_treatment: Sample
    theta: float | None = None

    @property
    def variance_reduction(self) -> float | None:
        """The share of the difference's variance that went; None where nothing was known before."""
        if self.theta is None:
            return None
        before = of_two(self.plain_control.moments, self.plain_treatment.moments)
        plain = before[0].error_variance + before[1].error_variance
        left = self.control.error_variance + self.treatment.error_variance
        return 1 - left / plain if plain > 0 else None


def compare_arms(
    metric: str, measured: Measured, control: Mask, treatments: Sequence[Mask], terms: Terms
) -> tuple[Comparison, ...]:
    """Each treatment against control, at the level that Holm leaves to it.

    An arm that cannot be compared takes part as one without any difference.
    """
    pairs = [_pair(measured, control, treatment) for treatment in treatments]
    at_alpha = [None if isinstance(pair, str) else _difference(pair, terms, terms.alpha) for pair in pairs]
    p_values = [1.0 if found is None else found.p_value for found in at_alpha]
    judged = zip(pairs, treatments, holm_levels(p_values, terms.alpha), holm(p_values), strict=True)
    return tuple(
        _comparison(
            metric, measured, (control, treatment), pair, replace_level(terms, level), terms.alpha, p_value
        )
        for pair, treatment, level, p_value in judged
    )


def replace_level(terms: Terms, level: float) -> Terms:
    """The same method at another level."""
    return replace(terms, alpha=level)


def check_guardrail(
    guardrail: GuardrailMetric, measured: Measured, control: Mask, treatment: Mask, terms: Terms, n_looks: int
) -> GuardrailFinding:
    """Whether the treatment is no worse than the margin, worse than it, or neither is shown.

    To be told broken it must be so among `n_looks` comparisons at once (Bonferroni).
    """
    figures = _figure(measured, control), _figure(measured, treatment)
    told = GuardrailFinding(
        "", guardrail.metric, guardrail.direction, guardrail.margin, GuardrailState.NOT_SHOWN, *figures
    )
    pair = _pair(measured, control, treatment)
    if pair == NOTHING_VARIED and measured.rule.kind is MetricKind.SHARE:
        pair = _as_if_one_did(measured, control, treatment)
    if isinstance(pair, str):
        return replace(told, refusal=pair)
    sign = 1.0 if guardrail.direction is Direction.HIGHER else -1.0
    before, after = _scaled(pair.control, sign), _scaled(pair.treatment, sign)
    worst = _lower(before, after, guardrail.margin, terms)
    best = _lower(after, before, guardrail.margin, replace_level(terms, terms.alpha / n_looks))
    if worst is None or best is None:
        return replace(told, refusal=NOTHING_VARIED)
    state = GuardrailState.NOT_SHOWN
    if worst > -guardrail.margin:
        state = GuardrailState.HOLDS
    elif best > guardrail.margin:
        state = GuardrailState.BROKEN
    difference = pair.treatment.mean - pair.control.mean
    return replace(told, state=state, difference=difference, bound=sign * worst)


NOTHING_VARIED = "no customer of either arm differs from another"


def _pair(measured: Measured, control: Mask, treatment: Mask) -> Pair | str:
    """The values to compare, or why there are none."""
    if measured.refusal is not None:
        return measured.refusal
    n_least = min(measured.n_of(control), measured.n_of(treatment))
    if n_least < LEAST_CUSTOMERS:
        return f"an arm has {n_least} customers who count, and it takes {LEAST_CUSTOMERS}"
    samples = measured.sample_of(control), measured.sample_of(treatment)
    if samples[0] is None or samples[1] is None:
        return f"nobody of an arm did any of {', '.join(measured.rule.per) or 'it'}"
    plain = Pair(*of_two(samples[0].moments, samples[1].moments), samples[0], samples[1])
    if plain.control.error_variance + plain.treatment.error_variance <= 0:
        return NOTHING_VARIED
    before = samples[0].paired, samples[1].paired
    if before[0] is None or before[1] is None:
        return plain
    theta = cuped_theta(before[0], before[1])
    adjusted = before[0].adjusted(theta), before[1].adjusted(theta)
    # Where the metric follows from what was before, nothing of it is left to compare by.
    if adjusted[0].error_variance + adjusted[1].error_variance <= 0:
        return plain
    return Pair(*of_two(*adjusted), samples[0], samples[1], theta)


def _as_if_one_did(measured: Measured, control: Mask, treatment: Mask) -> Pair | str:
    """The pair where everybody did, or nobody: that much is certain of many, and not of few.

    The shares stay; the variances are those with one more of each kind in each arm (Agresti and Caffo 2000).
    """
    samples = measured.sample_of(control), measured.sample_of(treatment)
    if samples[0] is None or samples[1] is None:
        return NOTHING_VARIED
    before, after = _one_more(samples[0].moments), _one_more(samples[1].moments)
    return Pair(before, after, samples[0], samples[1])


def _one_more(moments: Moments) -> Moments:
    share = (moments.n * moments.mean + 1) / (moments.n + 2)
    return Moments(moments.n, moments.mean, share * (1 - share))


def _comparison(
    metric: str,
    measured: Measured,
    arms: tuple[Mask, Mask],
    pair: Pair | str,
    terms: Terms,
    registered_alpha: float,
    p_value: float,
) -> Comparison:
    better = Direction(measured.rule.better)
    figures = _figure(measured, arms[0]), _figure(measured, arms[1])
    if isinstance(pair, str):
        return Comparison(metric, better, *figures, refusal=pair)
    return Comparison(
        metric,
        better,
        *figures,
        difference=_difference(pair, terms, registered_alpha),
        adjusted_p_value=p_value,
        level=1 - terms.alpha,
        relative=_relative(pair, terms),
        variance_reduction=pair.variance_reduction,
    )


def _difference(pair: Pair, terms: Terms, registered_alpha: float) -> Difference | None:
    if terms.method is Method.FIXED:
        return absolute_difference(pair.control, pair.treatment, terms.alpha)
    return absolute_sequence(pair.control, pair.treatment, terms.alpha, registered_alpha=registered_alpha)


def _relative(pair: Pair, terms: Terms) -> Difference | None:
    """As a share of control's mean; None where that is not above 0: it would tell nothing."""
    control, treatment = pair.plain_control, pair.plain_treatment
    if control.moments.mean <= 0:
        return None
    is_fixed = terms.method is Method.FIXED
    if pair.theta is None or control.paired is None or treatment.paired is None:
        told = relative_difference if is_fixed else relative_sequence
        return told(*of_two(control.moments, treatment.moments), terms.alpha)
    adjusted = adjusted_relative_difference if is_fixed else adjusted_relative_sequence
    return adjusted(control.paired, treatment.paired, pair.theta, terms.alpha)


def _lower(control: Moments, treatment: Moments, margin: float, terms: Terms) -> float | None:
    """What treatment less control is above, one-sided."""
    if terms.method is Method.SEQUENCE:
        return lower_bound(control, treatment, terms.alpha)
    found = non_inferiority(control, treatment, margin, terms.alpha)
    return None if found is None else found.lower


def _scaled(moments: Moments, sign: float) -> Moments:
    return Moments(moments.n, sign * moments.mean, moments.variance)


def _figure(measured: Measured, members: Mask) -> ArmFigure | None:
    n = measured.n_of(members)
    mean = None if measured.refusal is not None else measured.mean_of(members)
    return None if mean is None else ArmFigure(n, mean)
