"""An experiment in the stores in memory that the API's tests ask about, and who came while it ran."""

from __future__ import annotations

from datetime import datetime, timedelta

from recsvc.domain.experiments import (
    Direction,
    Experiment,
    ExperimentStatus,
    ExperimentVariant,
    GuardrailMetric,
)
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.experimentation.kept_reports import ReportsHere
from recsvc.experimentation.report_making import ReportMaker
from recsvc.experimentation.results_desk import ResultsDesk, SatisfactionDesk
from recsvc.experimentation.satisfaction import SatisfactionStore
from recsvc.policy import Policy
from recsvc.stores.memory import MemoryCustomers, MemoryEvents
from recsvc.stores.memory_experiments import MemoryExperiments
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_outcomes import MemoryOutcomes

N_CUSTOMERS = 80


def tried(policy: Policy, surveys: SatisfactionStore, now: datetime) -> tuple[ResultsDesk, SatisfactionDesk]:
    """`home` began two days ago and has customers and clicks; `draft` has nothing. And the surveys."""
    experiments, exposures, events = MemoryExperiments(), MemoryExposures(), MemoryEvents()
    began = now - timedelta(days=2)
    halves = (ExperimentVariant("control", "m1", 50), ExperimentVariant("new", "m2", 50))
    home = Experiment(
        "home",
        halves,
        status=ExperimentStatus.RUNNING,
        primary_metric="clicks",
        secondary=("conversion",),
        guardrails=(GuardrailMetric("complaints", 0.01, Direction.LOWER),),
    )
    experiments.put(home, expected=None, now=began)
    experiments.put(Experiment("draft", halves), expected=None, now=began)
    names = [f"h{number}" for number in range(N_CUSTOMERS)]
    variants = [halves[number % 2].key for number in range(N_CUSTOMERS)]
    exposures.record(
        [
            Exposure("home", 1, name, variant, began, Channel.WEB, "m1", n_answers=3, latency_micros=900)
            for name, variant in zip(names, variants, strict=True)
        ]
    )
    clicked = [
        Interaction(f"h-{name}", "click", name, "a7", began + timedelta(hours=1))
        for number, name in enumerate(names)
        if number % 5 == 0 or number % 7 == 1
    ]
    came = [Interaction(f"v-{name}", "view", name, "a7", began - timedelta(hours=1)) for name in names]
    events.append([*clicked, *came], received_at=now)
    outcomes = MemoryOutcomes(exposures, events, MemoryCustomers())
    reports = ReportsHere(ReportMaker(outcomes, surveys, policy), clock=lambda: now)
    return ResultsDesk(experiments, reports, policy), SatisfactionDesk(reports)
