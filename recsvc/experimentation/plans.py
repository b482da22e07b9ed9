"""How long an experiment must run. In: what is wished for, the store. Out: a plan, or why there is none.

The baseline is read as if an experiment without any effect had begun when the lookback did: every customer
who came since is exposed at their first event, and the metric counts from there, by the rules of results.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

import numpy as np

from recsvc.domain.experiments import Direction
from recsvc.domain.outcomes import ExposedCustomers
from recsvc.errors import ConflictError, FieldError, InvalidRequestError
from recsvc.experimentation.comparing import LEAST_CUSTOMERS
from recsvc.experimentation.counting import OutcomeStore, count_metrics
from recsvc.experimentation.metrics import Measured
from recsvc.experimentation.moments import Moments
from recsvc.experimentation.planning import customers_in_all, days_needed
from recsvc.policy import Policy
from recsvc.policy_experiments import MetricKind, MetricPolicy

MOST_CUSTOMERS = 10**10
"""More than there are people: an effect that takes so many is told from nothing."""

_FROM_ANSWERS = (MetricKind.LATENCY, MetricKind.FALLBACKS)
_FROM_SURVEYS = (MetricKind.NPS, MetricKind.CSAT, MetricKind.CES)
_OF_SHARES = (MetricKind.SHARE, MetricKind.CSAT)


@dataclass(frozen=True, slots=True)
class PlanWish:
    """What somebody wants to find out. Of the two effects there is one, above 0.

    `minimum_effect` is in the metric's own unit, `relative_effect` a share of its baseline. The first of the
    `weights`, in percent, is control's.
    """

    primary_metric: str
    minimum_effect: float | None = None
    relative_effect: float | None = None
    alpha: float = 0.05
    power: float = 0.8
    weights: tuple[int, ...] = (50, 50)
    coverage: float = 1.0
    lookback_days: float = 28.0

    def __post_init__(self) -> None:
        if (self.minimum_effect is None) == (self.relative_effect is None):
            raise ValueError("either minimum_effect or relative_effect must be given, and not both")
        if len(self.weights) < 2 or min(self.weights) < 1 or sum(self.weights) != 100:
            raise ValueError("weights must be two or more, each 1 or more, and sum to 100")

    @property
    def effect_field(self) -> str:
        """Which of the two effects is given."""
        return "relative_effect" if self.minimum_effect is None else "minimum_effect"


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the store says of a metric: over the customers who came from `since` to `until`.

    `deviation` is one customer's standard deviation. `counted_share` of the customers have a value at all.
    """

    metric: str
    better: Direction
    mean: float
    deviation: float
    n_customers: int
    counted_share: float
    customers_a_day: float
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """How many customers it takes, and how many whole days until so many have come and been waited for."""

    customers_per_arm: tuple[int, ...]
    customers_in_all: int
    days: int
    minimum_effect: float
    relative_effect: float | None
    alpha: float
    power: float
    weights: tuple[int, ...]
    coverage: float
    baseline: Baseline


class Planner:
    """Plans experiments from the store's own rates."""

    def __init__(self, outcomes: OutcomeStore, policy: Policy) -> None:
        self._outcomes = outcomes
        self._policy = policy

    def check(self, wish: PlanWish) -> None:
        """Refuse what no store could say, before anything is read. Raises as `plan` does."""
        self._rule_of(wish)

    def plan(self, wish: PlanWish, *, now: datetime) -> Plan:
        """The plan of a fixed test; several arms are each planned at the level that Holm begins with.

        Raises:
            InvalidRequestError: the metric is unknown, or the effect leaves what the metric can be.
            ConflictError: the store has nothing to plan by.
            StoreError: it cannot answer.
        """
        rule = self._rule_of(wish)
        visitors = self._outcomes.visitors(now - timedelta(days=wish.lookback_days), now)
        if not visitors.n:
            raise ConflictError(
                f"the store holds no event of the last {wish.lookback_days:g} days: send events first, or "
                "choose longer lookback_days"
            )
        counted = count_metrics(self._outcomes, visitors, [wish.primary_metric], self._policy, until=now)
        measured = counted.metrics[wish.primary_metric]
        moments = _moments_of(measured, wish)
        baseline = _baseline(wish, measured, moments, visitors, now)
        effect = _effect_of(wish, moments.mean)
        needed = _customers_needed(wish, rule, moments, effect) / baseline.counted_share
        if needed > MOST_CUSTOMERS:
            raise _wrong(wish.effect_field, "is too small for any number of customers to tell: give more")
        per_arm = tuple(ceil(needed * weight / 100) for weight in wish.weights)
        return Plan(
            customers_per_arm=per_arm,
            customers_in_all=sum(per_arm),
            days=self._days(wish, rule, needed, baseline),
            minimum_effect=effect,
            relative_effect=effect / moments.mean if moments.mean > 0 else None,
            alpha=wish.alpha,
            power=wish.power,
            weights=wish.weights,
            coverage=wish.coverage,
            baseline=baseline,
        )

    def _rule_of(self, wish: PlanWish) -> MetricPolicy:
        rule = self._policy.metric(wish.primary_metric)
        if rule is None:
            raise _wrong("primary_metric", "must be a metric of the policy or an interaction type")
        if rule.kind in _FROM_ANSWERS:
            raise ConflictError(
                f"{wish.primary_metric} is counted from answers within experiments, of which the store keeps "
                "none outside them: plan by a metric of events"
            )
        return rule

    def _days(self, wish: PlanWish, rule: MetricPolicy, needed: float, baseline: Baseline) -> int:
        share = wish.coverage * (1 - self._policy.experiments.holdout_percent / 100)
        try:
            days = days_needed(needed, share, baseline.customers_a_day)
        except ValueError as error:
            raise _wrong("coverage", str(error)) from error
        # Whoever comes last is waited for until their window has ended.
        return days + ceil(rule.from_days if rule.until_days is None else rule.until_days)


def _moments_of(measured: Measured, wish: PlanWish) -> Moments:
    if measured.refusal is not None:
        raise ConflictError(f"{wish.primary_metric} has no baseline: {measured.refusal}")
    everybody = np.ones(len(measured.counted), np.bool_)
    n, sample = measured.n_of(everybody), measured.sample_of(everybody)
    told = f"of the customers of the last {wish.lookback_days:g} days"
    if sample is None or n < LEAST_CUSTOMERS:
        raise ConflictError(
            f"{n} {told} have a value of {wish.primary_metric}, and it takes {LEAST_CUSTOMERS} to plan by: "
            "choose longer lookback_days"
        )
    if sample.moments.variance <= 0:
        raise ConflictError(
            f"all {n} {told} have {wish.primary_metric} {sample.moments.mean:g}: there is nothing to plan by"
        )
    return sample.moments


def _baseline(
    wish: PlanWish, measured: Measured, moments: Moments, visitors: ExposedCustomers, now: datetime
) -> Baseline:
    # A store that is younger than the lookback has its rate per day since it began.
    first = datetime.fromtimestamp(min(visitors.exposed_at) / 1_000_000, UTC)
    days = max((now - first) / timedelta(days=1), 1.0)
    return Baseline(
        metric=wish.primary_metric,
        better=Direction(measured.rule.better),
        mean=moments.mean,
        deviation=moments.variance**0.5,
        n_customers=visitors.n,
        counted_share=moments.n / visitors.n if measured.rule.kind in _FROM_SURVEYS else 1.0,
        customers_a_day=visitors.n / days,
        since=first,
        until=now,
    )


def _effect_of(wish: PlanWish, mean: float) -> float:
    if wish.minimum_effect is not None:
        return wish.minimum_effect
    if mean <= 0 or wish.relative_effect is None:
        raise _wrong("relative_effect", f"is a share of the baseline, which is {mean:g}: give minimum_effect")
    return wish.relative_effect * mean


def _customers_needed(wish: PlanWish, rule: MetricPolicy, moments: Moments, effect: float) -> float:
    """Customers in all, so that control and the smallest other arm can be told apart."""
    other = moments.variance
    if rule.kind in _OF_SHARES:
        share = moments.mean + (effect if rule.better == "higher" else -effect)
        if not 0 < share < 1:
            raise _wrong(
                wish.effect_field, f"would take the share from {moments.mean:.4g} to {share:.4g}: give less"
            )
        other = share * (1 - share)
    control, *treatments = wish.weights
    shares = control / 100, min(treatments) / 100
    alpha = wish.alpha / len(treatments)
    needed = customers_in_all((moments.variance, other), shares, effect, alpha=alpha, power=wish.power)
    # However large the effect, results compare no arm of fewer.
    return max(needed, LEAST_CUSTOMERS * 100 / min(wish.weights))


def _wrong(field: str, detail: str) -> InvalidRequestError:
    return InvalidRequestError([FieldError(f"/{field}", detail)])
