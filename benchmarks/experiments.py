"""Experiments in which nothing differs, judged by the real results code. In: a seed. Out: how often it errs.

Customers come over twenty days, see a geometric number of impressions and click each by a rate of their own:
impressions of one customer are alike, which a test by impressions takes for evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from recsvc.domain.experiments import Analysis, Experiment, ExperimentStatus, ExperimentVariant
from recsvc.domain.outcomes import ExposedCustomers, OutcomeEvents
from recsvc.experimentation.differences import pooled_p_value
from recsvc.experimentation.results import ResultsReader
from recsvc.experimentation.verdicts import Verdict
from recsvc.policy import load_policy

N_LOOKS = 20
START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=N_LOOKS)
FIXED = Experiment(
    "aa",
    (ExperimentVariant("a", "m", 50), ExperimentVariant("b", "m", 50)),
    status=ExperimentStatus.RUNNING,
    start=START,
    end=END,
    primary_metric="click_through",
    analysis=Analysis.FIXED,
    phase=1,
)
SEQUENTIAL = replace(FIXED, analysis=Analysis.SEQUENTIAL)
_FOUND = (Verdict.WIN, Verdict.LOSS)
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """How often something was found where there is nothing, as shares of the experiments."""

    n_experiments: int
    fixed_test: float
    twenty_looks_at_the_sequence: float | None
    test_by_impressions: float


class DrawnOutcomes:
    """Customers and events of one experiment that were drawn, in the place of a store."""

    def __init__(self, n_customers: int, rng: np.random.Generator) -> None:
        self.arms = rng.permutation(n_customers) % 2
        self._days = np.sort(rng.uniform(0, N_LOOKS, n_customers))
        self.impressions = rng.geometric(0.1, n_customers)
        self.clicks = rng.binomial(self.impressions, rng.beta(1, 9, n_customers))

    def exposed(self, experiment: str, phase: int, *, until: datetime) -> ExposedCustomers:
        """Everybody who came before a moment."""
        n = int(np.searchsorted(self._days, (until - START) / timedelta(days=1)))
        micros = int(START.timestamp() * 1e6) + (self._days[:n] * _DAY * 1e6).astype(np.int64)
        nothing = [0] * n
        return ExposedCustomers(
            [f"c{place}" for place in range(n)],
            ["ab"[arm] for arm in self.arms[:n]],
            micros.tolist(),
            ["web"] * n,
            nothing,
            nothing,
            nothing,
            nothing,
            nothing,
        )

    def visitors(self, since: datetime, until: datetime) -> ExposedCustomers:
        """Nobody is planned for."""
        return ExposedCustomers()

    def events(
        self, exposed: ExposedCustomers, types: Sequence[str], *, before_seconds: float, until: datetime
    ) -> Iterator[OutcomeEvents]:
        """All of each customer's impressions and clicks, the moment that they come."""
        kinds = ((types.index("impression"), self.impressions), (types.index("click"), self.clicks))
        for number, counts in kinds:
            places = np.repeat(np.arange(exposed.n), counts[: exposed.n])
            n = len(places)
            none = np.full(n, np.nan)
            yield OutcomeEvents(places, np.full(n, number), np.ones(n), none, none, none, [""] * n)

    def attributes(self, exposed: ExposedCustomers) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Nothing is recorded."""
        return iter(())


def measure_error_rates(
    n_experiments: int, n_looked_at: int, *, n_customers: int = 2_000, seed: int = 1
) -> ErrorRates:
    """Draw experiments; of `n_looked_at` of them the sequence is looked at on each of twenty days."""
    rng, policy = np.random.default_rng(seed), load_policy()
    fixed, looked, by_impressions = 0, 0, 0
    for number in range(n_experiments):
        drawn = DrawnOutcomes(n_customers, rng)
        reader = ResultsReader(drawn, policy)
        fixed += _finds(reader, FIXED, END)
        if number < n_looked_at:
            days = (START + timedelta(days=1 + day) for day in range(N_LOOKS))
            looked += any(_finds(reader, SEQUENTIAL, day) for day in days)
        totals = [
            (int(drawn.impressions[drawn.arms == arm].sum()), int(drawn.clicks[drawn.arms == arm].sum()))
            for arm in (0, 1)
        ]
        by_impressions += (pooled_p_value(*totals) or 1.0) < FIXED.alpha
    return ErrorRates(
        n_experiments,
        fixed / n_experiments,
        looked / n_looked_at if n_looked_at else None,
        by_impressions / n_experiments,
    )


def _finds(reader: ResultsReader, experiment: Experiment, now: datetime) -> bool:
    return reader.report(experiment, now=now).arms[0].verdict in _FOUND
