"""What an experiment says. In: what was registered, who was exposed, what they did. Out: one report.

The checks come first. Whatever is compared is compared per customer, by the difference, with an interval
that is right for the moment: a confidence sequence while the experiment may be looked at, the fixed test once
its registered end has come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from recsvc.domain.experiments import Direction, Experiment, ExperimentStatus, GuardrailMetric
from recsvc.domain.outcomes import ExposedCustomers
from recsvc.experimentation.comparing import Terms, check_guardrail, compare_arms
from recsvc.experimentation.counting import (
    Counted,
    OutcomeStore,
    check_exposures,
    count_metrics,
    metric_names,
)
from recsvc.experimentation.metrics import Mask
from recsvc.experimentation.reports import (
    ArmReport,
    Checks,
    Comparison,
    ExperimentReport,
    GuardrailFinding,
    Slice,
)
from recsvc.experimentation.standing import Standing, standing_of
from recsvc.experimentation.verdicts import Guardrail, GuardrailState, Health, Primary, judge
from recsvc.policy import Policy


class ResultsReader:
    """Counts and judges an experiment from the store, anew each time."""

    def __init__(self, outcomes: OutcomeStore, policy: Policy) -> None:
        self._outcomes = outcomes
        self._policy = policy

    def report(self, experiment: Experiment, *, now: datetime) -> ExperimentReport:
        """Everything there is to say of the experiment's phase now. Raises StoreError."""
        standing = standing_of(experiment, now)
        exposed = self._exposed(experiment, standing)
        checks, health = check_exposures(experiment, exposed)
        refusal = _nothing_to_compare(experiment, checks)
        arms: tuple[ArmReport, ...] = ()
        if refusal is None:
            counted = self._count(exposed, metric_names(experiment), standing)
            arms = _Comparing(experiment, standing, health, counted).arms(
                segments=self._segments(exposed), channels=_groups(exposed.channels)
            )
        return ExperimentReport(
            experiment=experiment.key,
            phase=experiment.phase,
            status=experiment.status,
            analysis=experiment.analysis,
            method=standing.method,
            alpha=experiment.alpha,
            control=experiment.variants[0].key,
            as_of=now,
            counted_until=standing.counted_until,
            has_ended=standing.has_ended,
            checks=checks,
            arms=arms,
            refusal=refusal,
        )

    def watch(self, experiment: Experiment, *, now: datetime) -> tuple[Checks, tuple[GuardrailFinding, ...]]:
        """The checks, and every guardrail of every arm, and nothing else. Raises StoreError."""
        standing = standing_of(experiment, now)
        exposed = self._exposed(experiment, standing)
        checks, health = check_exposures(experiment, exposed)
        if not experiment.guardrails or _nothing_to_compare(experiment, checks) is not None:
            return checks, ()
        names = [guardrail.metric for guardrail in experiment.guardrails]
        comparing = _Comparing(experiment, standing, health, self._count(exposed, names, standing))
        return checks, tuple(
            finding for variant in experiment.variants[1:] for finding in comparing.guardrails(variant.key)
        )

    def _exposed(self, experiment: Experiment, standing: Standing) -> ExposedCustomers:
        return self._outcomes.exposed(experiment.key, experiment.phase, until=standing.counted_until)

    def _count(self, exposed: ExposedCustomers, names: Sequence[str], standing: Standing) -> Counted:
        return count_metrics(self._outcomes, exposed, names, self._policy, until=standing.counted_until)

    def _segments(self, exposed: ExposedCustomers) -> Mapping[str, Mask]:
        """Who is in which segment by what is recorded of them now; who has no record, by nothing."""
        names = [self._policy.segment_of({})] * exposed.n
        for place, attributes in self._outcomes.attributes(exposed):
            names[place] = self._policy.segment_of(attributes)
        return _groups(names)


@dataclass(frozen=True, slots=True)
class _Comparing:
    """Compares each arm of one experiment with its control, by what was counted."""

    experiment: Experiment
    standing: Standing
    health: Health
    counted: Counted

    def arms(self, *, segments: Mapping[str, Mask], channels: Mapping[str, Mask]) -> tuple[ArmReport, ...]:
        everybody = np.ones(self.counted.customers.n, np.bool_)
        primary = self._compare(self.experiment.primary_metric, everybody)
        secondary = [self._compare(name, everybody) for name in self.experiment.secondary]
        by_segment, by_channel = self._explore(segments), self._explore(channels)
        return tuple(
            self._arm(
                variant.key,
                primary[place],
                tuple(told[place] for told in secondary),
                tuple(by_segment[place]),
                tuple(by_channel[place]),
            )
            for place, variant in enumerate(self.experiment.variants[1:])
        )

    def guardrails(self, variant: str) -> tuple[GuardrailFinding, ...]:
        """What is shown of each guardrail in an arm."""
        return tuple(self._guardrail(guardrail, variant) for guardrail in self.experiment.guardrails)

    def _arm(
        self,
        variant: str,
        primary: Comparison,
        secondary: tuple[Comparison, ...],
        segments: tuple[Slice, ...],
        channels: tuple[Slice, ...],
    ) -> ArmReport:
        guardrails = self.guardrails(variant)
        judgement = judge(
            self.health,
            Primary(
                primary.metric,
                primary.difference,
                higher_is_better=primary.better is not Direction.LOWER,
                minimum_effect=self.experiment.minimum_effect,
                refusal=primary.refusal,
            ),
            [Guardrail(one.metric, one.state) for one in guardrails],
            not_judged=self.standing.not_judged,
        )
        told = judgement.verdict, judgement.sentence
        return ArmReport(variant, *told, primary, secondary, guardrails, segments, channels)

    def _explore(self, groups: Mapping[str, Mask]) -> list[list[Slice]]:
        """The primary metric in each group, for each arm."""
        told: list[list[Slice]] = [[] for _ in self.experiment.variants[1:]]
        for name, within in groups.items():
            for place, found in enumerate(self._compare(self.experiment.primary_metric, within)):
                told[place].append(Slice(name, found))
        return told

    def _compare(self, name: str, within: Mask) -> tuple[Comparison, ...]:
        control, *treatments = (
            self.counted.members(variant.key) & within for variant in self.experiment.variants
        )
        measured = self.counted.metrics.get(name)
        if measured is None:
            return tuple(Comparison(name, None, None, None, refusal=_unknown(name)) for _ in treatments)
        return compare_arms(name, measured, control, treatments, self._terms)

    def _guardrail(self, guardrail: GuardrailMetric, variant: str) -> GuardrailFinding:
        measured = self.counted.metrics.get(guardrail.metric)
        if measured is None:
            return GuardrailFinding(
                variant,
                guardrail.metric,
                guardrail.direction,
                guardrail.margin,
                GuardrailState.NOT_SHOWN,
                refusal=_unknown(guardrail.metric),
            )
        n_looks = len(self.experiment.guardrails) * (len(self.experiment.variants) - 1)
        control = self.counted.members(self.experiment.variants[0].key)
        treatment = self.counted.members(variant)
        found = check_guardrail(guardrail, measured, control, treatment, self._terms, n_looks)
        return replace(found, variant=variant)

    @property
    def _terms(self) -> Terms:
        return Terms(self.standing.method, self.experiment.alpha)


def _nothing_to_compare(experiment: Experiment, checks: Checks) -> str | None:
    if experiment.status is ExperimentStatus.DRAFT:
        return "it is a draft: nobody is in it until it runs"
    if len(experiment.variants) < 2:
        return f"{experiment.variants[0].key} is its only variant: there is nothing to compare it with"
    if not checks.n_customers:
        return "nobody has met a variant yet"
    return None


def _unknown(name: str) -> str:
    return f"the policy knows no metric and no interaction type {name}"


def _groups(names: Sequence[str]) -> Mapping[str, Mask]:
    """Who has each name, in the order of names: (n_customers,) each."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    groups: dict[str, Mask] = {}
    for name in sorted(places):
        groups[name] = np.zeros(len(names), np.bool_)
        groups[name][places[name]] = True
    return groups
