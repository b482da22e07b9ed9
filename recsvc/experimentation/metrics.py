"""What customers did, as one number each. In: exposures, events, the policy's rules. Out: values per metric.

Every metric ends as a value per customer, so that one test serves all: of a ratio it is the linearised value,
whose mean is the ratio and whose variance that of the delta method (Budylin, Drutsa, Katsev and Tsoy 2018).
What the customer did before the exposure is counted in the same way, to take chance out of the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.outcomes import ExposedCustomers, OutcomeEvents
from recsvc.experimentation.moments import (
    Floats,
    Moments,
    PairedSums,
    linearised,
    of_proportion,
    of_ratio,
    of_values,
)
from recsvc.experimentation.tallies import Tally, make_tally, types_of
from recsvc.policy_experiments import ExperimentsPolicy, MetricKind, MetricPolicy

Mask = NDArray[np.bool_]

_DAY = 86_400.0
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric of one arm. `paired` holds what was before, too, where anybody did anything before."""

    moments: Moments
    paired: PairedSums | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of every exposed customer; each array is (n_customers,).

    `counted` tells who has a value: not who never answered a survey, nor whose window has not ended. `below`
    is there for ratios. `refusal` says why there is no figure where there is none.
    """

    rule: MetricPolicy
    counted: Mask
    above: Floats
    below: Floats | None = None
    before: Floats | None = None
    refusal: str | None = None

    def n_of(self, members: Mask) -> int:
        """How many of these customers have a value."""
        return int((self.counted & members).sum())

    def mean_of(self, members: Mask) -> float | None:
        """The metric of these customers; None where none of them has a value."""
        values = self._values(self.counted & members)
        return None if values is None or not len(values) else float(values.mean())

    def sample_of(self, members: Mask) -> Sample | None:
        """What is known of these customers; None of fewer than two, or where nothing was below a ratio."""
        chosen = self.counted & members
        values = self._values(chosen)
        if values is None or len(values) < 2:
            return None
        moments = self._moments(chosen)
        if self.before is None or not np.ptp(self.before[chosen]):
            return Sample(moments, None)
        return Sample(moments, PairedSums.of_values(values, self.before[chosen]))

    def _moments(self, chosen: Mask) -> Moments:
        above = self.above[chosen]
        if self.rule.kind in (MetricKind.SHARE, MetricKind.CSAT):
            return of_proportion(len(above), int(above.sum()))
        return of_values(above) if self.below is None else of_ratio(above, self.below[chosen])

    def _values(self, chosen: Mask) -> Floats | None:
        if self.below is None:
            return self.above[chosen]
        below = self.below[chosen]
        return linearised(self.above[chosen], below) if below.sum() > 0 else None


def measure(
    exposed: ExposedCustomers,
    events: Iterable[OutcomeEvents],
    metrics: Mapping[str, MetricPolicy],
    types: Sequence[str],
    policy: ExperimentsPolicy,
    *,
    as_of: datetime,
) -> Mapping[str, Measured]:
    """Every metric of every customer.

    `types` are those that the events name by place, `as_of` is when counting ended.
    """
    tallies = {name: make_tally(rule, types, exposed.n) for name, rule in metrics.items()}
    for some in events:
        for tally in tallies.values():
            tally.add(some)
    age = as_of.timestamp() - np.asarray(exposed.exposed_at, np.float64) / _MICROS
    return {
        name: _measured(metrics[name], tally, age, exposed, policy.winsorise_quantile)
        for name, tally in tallies.items()
    }


def all_types(metrics: Iterable[MetricPolicy]) -> tuple[str, ...]:
    """The interaction types that these metrics are counted from."""
    return tuple(sorted({name for rule in metrics for name in types_of(rule)}))


def _measured(
    rule: MetricPolicy, tally: Tally, age: Floats, exposed: ExposedCustomers, quantile: float
) -> Measured:
    lasts = rule.from_days if rule.until_days is None else rule.until_days
    has_ended = age >= lasts * _DAY
    match rule.kind:
        case MetricKind.LATENCY | MetricKind.FALLBACKS:
            answers = np.asarray(exposed.n_answers, np.float64)
            told = exposed.latency_micros if rule.kind is MetricKind.LATENCY else exposed.n_fallbacks
            unit = _MICROS if rule.kind is MetricKind.LATENCY else 1
            return Measured(rule, answers > 0, np.asarray(told, np.float64) / unit, answers)
        case MetricKind.NPS | MetricKind.CSAT | MetricKind.CES:
            answered = has_ended & ~np.isnan(tally.latest)
            return Measured(rule, answered, np.nan_to_num(tally.latest))
        case MetricKind.SHARE:
            return Measured(
                rule, has_ended, np.minimum(tally.above, 1.0), before=np.minimum(tally.before, 1.0)
            )
        case MetricKind.COUNT:
            return Measured(rule, has_ended, tally.above, before=tally.before)
        case MetricKind.RATIO:
            before = tally.before
            if tally.before_below.sum() > 0:
                before = tally.before - before.sum() / tally.before_below.sum() * tally.before_below
            return Measured(rule, has_ended, tally.above, tally.below, before)
    refusal = None
    if len(tally.currencies) > 1:
        refusal = f"its values are in {' and '.join(sorted(tally.currencies))}, which cannot be added up"
    after, before = winsorise(tally.above, has_ended, quantile), winsorise(tally.before, has_ended, quantile)
    return Measured(rule, has_ended, after, before=before, refusal=refusal)


def winsorise(values: Floats, counted: Mask, quantile: float) -> Floats:
    """The values, those above the quantile of all that are counted and not 0 put down to it.

    Those of 0 are left out of the quantile: where few customers spend anything, it would be 0 itself.
    """
    spent = values[counted & (values != 0)]
    if not len(spent):
        return values
    capped: Floats = np.minimum(values, np.quantile(spent, quantile))
    return capped
