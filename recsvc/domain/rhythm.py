"""Where a customer stands, by their own rhythm. In: first and last visit, visiting days. Out: a stage.

A visit is a day on which the customer did something of their own. The usual gap between visits is the mean of
the customer's own gaps with one gap of the population thrown in, so that a customer of one visit is judged by
what is usual for all, one of two or three leans towards it, and one of many stands for themselves. A silence
is a risk when it is longer than `at_risk_gaps` usual gaps.

    churned   silent for longer than `churned_days`, and than twice the silence that is a risk
    dormant   silent for longer than `dormant_days`, and than the silence that is a risk
    at risk   silent for longer than the silence that is a risk
    new       none of these, came first within `new_days`, and the history had been kept for longer than the
              silence that is a risk by then: or else nobody can say that it was the first time
    active    none of these

The first that holds is the stage. So who comes once a month is active after three weeks of silence, and who
came every day is at risk after two days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from recsvc.domain.profiles import Lifecycle
from recsvc.policy import PortraitPolicy

UNHEARD_OF_GAP_DAYS = 14.0  # Where nobody ever came twice.


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a customer came. `span_days` lies between the first and the last of the `n_visits` days.

    `watched_days` is for how long the history had been kept when they came first.
    """

    n_visits: int
    span_days: int
    known_days: float  # since the first visit
    silent_days: float  # since the last
    watched_days: float

    def usual_gap_days(self, population_gap_days: float) -> float:
        """The mean gap between visits, with one gap of the population thrown in."""
        return (self.span_days + population_gap_days) / self.n_visits


def population_gap_days(rhythms: Iterable[Rhythm]) -> float:
    """The median over customers of their own mean gap."""
    gaps = [one.span_days / (one.n_visits - 1) for one in rhythms if one.n_visits > 1]
    return median(gaps) if gaps else UNHEARD_OF_GAP_DAYS


def lifecycle_of(rhythm: Rhythm, population_gap_days: float, rule: PortraitPolicy) -> Lifecycle:
    """The stage, by the rule above."""
    silent = rhythm.silent_days
    risk = rule.at_risk_gaps * rhythm.usual_gap_days(population_gap_days)
    if silent > max(rule.churned_days, 2 * risk):
        return Lifecycle.CHURNED
    if silent > max(rule.dormant_days, risk):
        return Lifecycle.DORMANT
    if silent > risk:
        return Lifecycle.AT_RISK
    is_new = rhythm.known_days <= rule.new_days and rhythm.watched_days > risk
    return Lifecycle.NEW if is_new else Lifecycle.ACTIVE
