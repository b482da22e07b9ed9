"""Count events by customer as they stream by. In: columns of events. Out: one number per customer.

What is held is a few numbers per customer and metric, however many events there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.outcomes import OutcomeEvents
from recsvc.domain.surveys import SATISFIED, SURVEYS
from recsvc.experimentation.moments import Floats
from recsvc.policy_experiments import MetricKind, MetricPolicy

_DAY = 86_400.0
_SURVEYS = (MetricKind.NPS, MetricKind.CSAT, MetricKind.CES)


@dataclass(slots=True)
class Tally:
    """The counts of one metric; each array is (n_customers,).

    `above` and `below` were in the metric's window, `before` and `before_below` before the exposure; of money
    they are sums. `latest` is the latest answer as the metric counts it, NaN without one, given at
    `answered_at` seconds after the exposure.
    """

    rule: MetricPolicy
    of: NDArray[np.bool_]  # (n_types,)
    per: NDArray[np.bool_]  # (n_types,)
    above: Floats
    below: Floats
    before: Floats
    before_below: Floats
    latest: Floats
    answered_at: Floats
    currencies: set[str] = field(default_factory=set)

    def add(self, events: OutcomeEvents) -> None:
        """Count some events more."""
        if not len(events.places):
            return
        places, types = np.asarray(events.places, np.int64), np.asarray(events.types, np.int64)
        seconds = np.asarray(events.seconds, np.float64)
        in_window = seconds >= self.rule.from_days * _DAY
        if self.rule.until_days is not None:
            in_window &= seconds < self.rule.until_days * _DAY
        wanted = self.of[types]
        if self.rule.kind in _SURVEYS:
            self._keep_latest(events, places, seconds, wanted & in_window)
            return
        weights = None
        if self.rule.kind is MetricKind.VALUE:
            weights = np.nan_to_num(np.asarray(events.values, np.float64))
            self.currencies.update(filter(None, compress(events.currencies, wanted)))
            # Events come in no order, on which the last digit of a sum would hang.
            order = np.lexsort((weights, seconds, places))
            places, seconds, weights = places[order], seconds[order], weights[order]
            wanted, in_window = wanted[order], in_window[order]
        is_before = seconds < 0
        _sum(self.above, places, wanted & in_window, weights)
        _sum(self.before, places, wanted & is_before, weights)
        if self.rule.per:
            over = self.per[types]
            _sum(self.below, places, over & in_window, None)
            _sum(self.before_below, places, over & is_before, None)

    def _keep_latest(
        self,
        events: OutcomeEvents,
        places: NDArray[np.int64],
        seconds: Floats,
        wanted: NDArray[np.bool_],
    ) -> None:
        scale = SURVEYS[self.rule.kind.value]
        scores, scales = np.asarray(events.scores, np.float64), np.asarray(events.scales, np.float64)
        # An answer on another scale says nothing on this one.
        chosen = wanted & (scores >= scale.lowest) & (scores <= scale.highest)
        chosen &= np.isnan(scales) | (scales == scale.highest)
        places, seconds, scores = places[chosen], seconds[chosen], scores[chosen]
        order = np.lexsort((scores, seconds))
        places, seconds, scores = places[order], seconds[order], scores[order]
        is_later = seconds >= self.answered_at[places]
        places, seconds, scores = places[is_later], seconds[is_later], scores[is_later]
        # Of several of one customer numpy keeps the last, which is the latest.
        self.answered_at[places] = seconds
        self.latest[places] = _as_counted(self.rule.kind, scores)


def make_tally(rule: MetricPolicy, types: Sequence[str], n: int) -> Tally:
    """An empty tally over n customers; events name their types by their place among `types`."""
    counted = rule.of or (rule.kind.value,)
    return Tally(
        rule,
        np.array([name in counted for name in types], np.bool_),
        np.array([name in rule.per for name in types], np.bool_),
        above=np.zeros(n),
        below=np.zeros(n),
        before=np.zeros(n),
        before_below=np.zeros(n),
        latest=np.full(n, np.nan),
        answered_at=np.full(n, -np.inf),
    )


def types_of(rule: MetricPolicy) -> tuple[str, ...]:
    """The interaction types that a metric is counted from; none where it is counted from answers of ours."""
    return (rule.kind.value,) if rule.kind in _SURVEYS else (*rule.of, *rule.per)


def _sum(into: Floats, places: NDArray[np.int64], chosen: NDArray[np.bool_], weights: Floats | None) -> None:
    np.add.at(into, places[chosen], 1.0 if weights is None else weights[chosen])


def _as_counted(kind: MetricKind, scores: Floats) -> Floats:
    if kind is MetricKind.NPS:
        return 100.0 * (scores >= 9) - 100.0 * (scores <= 6)
    return (scores >= SATISFIED).astype(np.float64) if kind is MetricKind.CSAT else scores
