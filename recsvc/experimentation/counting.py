"""Count what an experiment is judged by. In: the store, an experiment. Out: each metric of each customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from recsvc.domain.experiments import Experiment
from recsvc.domain.outcomes import ExposedCustomers, OutcomeEvents
from recsvc.experimentation.metrics import Mask, Measured, all_types, measure
from recsvc.experimentation.reports import ArmCount, Checks
from recsvc.experimentation.sample_ratio import check_sample_ratio
from recsvc.experimentation.verdicts import Health, what_is_wrong
from recsvc.policy import Policy

_DAY = 86_400.0


class OutcomeStore(Protocol):
    """Knows who met an experiment, and what they did. Every call may raise StoreError."""

    def exposed(self, experiment: str, phase: int, *, until: datetime) -> ExposedCustomers:
        """Everybody who met a variant in the phase before a moment."""
        ...

    def visitors(self, since: datetime, until: datetime) -> ExposedCustomers:
        """Everybody of whom there is an event in between, as if exposed at the first."""
        ...

    def events(
        self, exposed: ExposedCustomers, types: Sequence[str], *, before_seconds: float, until: datetime
    ) -> Iterator[OutcomeEvents]:
        """The customers' events of these types from so long before their exposure to a moment."""
        ...

    def attributes(self, exposed: ExposedCustomers) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Of those who have a record, their places and their attributes."""
        ...


@dataclass(frozen=True, slots=True)
class Counted:
    """Every metric of every customer, by name; a name that the policy does not know is left out."""

    customers: ExposedCustomers
    metrics: Mapping[str, Measured]

    def members(self, variant: str) -> Mask:
        """Who is in the variant: (n_customers,)."""
        found: Mask = np.asarray(self.customers.variants, object) == variant
        return found


def count_metrics(
    outcomes: OutcomeStore,
    customers: ExposedCustomers,
    names: Sequence[str],
    policy: Policy,
    *,
    until: datetime,
) -> Counted:
    """These metrics of these customers, from their events before a moment. Raises StoreError."""
    known = {name: rule for name in names if (rule := policy.metric(name)) is not None}
    types = all_types(known.values())
    before = policy.experiments.cuped_days * _DAY
    events = outcomes.events(customers, types, before_seconds=before, until=until)
    return Counted(customers, measure(customers, events, known, types, policy.experiments, as_of=until))


def metric_names(experiment: Experiment) -> tuple[str, ...]:
    """Every metric that the experiment is judged by, once."""
    guardrails = (guardrail.metric for guardrail in experiment.guardrails)
    return tuple(dict.fromkeys((experiment.primary_metric, *experiment.secondary, *guardrails)))


def check_exposures(experiment: Experiment, exposed: ExposedCustomers) -> tuple[Checks, Health]:
    """What must hold before anything is compared, and what was counted for it."""
    variants = np.asarray(exposed.variants, object)
    columns = [
        np.asarray(column, np.int64)
        for column in (exposed.crossed, exposed.n_answers, exposed.n_fallbacks, exposed.n_mismatched)
    ]
    arms = []
    for variant in experiment.variants:
        members = variants == variant.key
        counts = [int(column[members].sum()) for column in columns]
        n, share = int(members.sum()), float(members.mean()) if exposed.n else None
        arms.append(ArmCount(variant.key, variant.weight, n, share, *counts))
    health = Health(
        check_sample_ratio([arm.n_customers for arm in arms], [arm.weight for arm in arms]),
        crossed=float(columns[0].mean()) if exposed.n else 0.0,
        mismatched=float(columns[3].sum() / max(columns[1].sum(), 1)),
    )
    told = Checks(
        is_sound=what_is_wrong(health) is None,
        sample_ratio=health.sizes,
        n_customers=exposed.n,
        crossed_share=health.crossed,
        n_mismatched=int(columns[3].sum()),
        variants=tuple(arms),
    )
    return told, health
