"""Answer analysts. In: an experiment's key, or a wish. Out: what it says, or how long it must run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from recsvc.domain.experiments import HOLDOUT_KEY, Experiment
from recsvc.domain.records import Versioned
from recsvc.errors import NotFoundError
from recsvc.experimentation.allocations import holdout_experiment
from recsvc.experimentation.counting import OutcomeStore
from recsvc.experimentation.plans import Plan, Planner, PlanWish
from recsvc.experimentation.reports import ExperimentReport
from recsvc.experimentation.results import ResultsReader
from recsvc.policy import Policy


class RegisteredExperiments(Protocol):
    """Keeps what was registered."""

    def get(self, key: str) -> Versioned[Experiment] | None:
        """The experiment; None when there is none. Raises StoreError."""
        ...


class ResultsDesk:
    """Says what experiments say, and plans them."""

    def __init__(
        self,
        experiments: RegisteredExperiments,
        outcomes: OutcomeStore,
        policy: Policy,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._experiments = experiments
        self._reader = ResultsReader(outcomes, policy)
        self._planner = Planner(outcomes, policy)
        self._policy = policy
        self._clock = clock

    def report(self, key: str) -> ExperimentReport:
        """What the experiment's phase says now.

        Raises:
            NotFoundError: there is no such experiment.
            StoreError: the store cannot answer.
        """
        return self._reader.report(self._experiment(key), now=self._clock())

    def plan(self, wish: PlanWish) -> Plan:
        """How long an experiment would have to run. Raises as `Planner.plan` does."""
        return self._planner.plan(wish, now=self._clock())

    def _experiment(self, key: str) -> Experiment:
        if key == HOLDOUT_KEY:
            holdout = holdout_experiment(self._policy.experiments)
            if holdout is None:
                raise NotFoundError("nobody is held out: set holdout_percent in [experiments] of the policy")
            return holdout
        found = self._experiments.get(key)
        if found is None:
            raise NotFoundError("there is no such experiment")
        return found.value
