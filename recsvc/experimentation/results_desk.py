"""Answer analysts. In: an experiment's key, a wish, a question. Out: what it says, a plan, satisfaction.

Each takes the place that is held while its report is made here, or waited for.
"""

from __future__ import annotations

from typing import Protocol

from recsvc.domain.experiments import HOLDOUT_KEY, Experiment
from recsvc.domain.records import Versioned
from recsvc.domain.surveys import SatisfactionReport
from recsvc.errors import NotFoundError
from recsvc.experimentation.allocations import holdout_experiment
from recsvc.experimentation.kept_reports import Reports
from recsvc.experimentation.plans import Plan, PlanWish
from recsvc.experimentation.report_making import Ask
from recsvc.experimentation.reports import ExperimentReport
from recsvc.experimentation.satisfaction import SatisfactionQuestion
from recsvc.kept_answers import Place
from recsvc.policy import Policy


class RegisteredExperiments(Protocol):
    """Keeps what was registered."""

    def get(self, key: str) -> Versioned[Experiment] | None:
        """The experiment; None when there is none. Raises StoreError."""
        ...


class ResultsDesk:
    """Says what experiments say, and plans them."""

    def __init__(self, experiments: RegisteredExperiments, reports: Reports, policy: Policy) -> None:
        self._experiments = experiments
        self._reports = reports
        self._policy = policy

    def report(self, key: str, place: Place) -> ExperimentReport:
        """What the experiment's phase says.

        Raises:
            NotFoundError: there is no such experiment.
            ReportNotReadyError, StoreError: as `Reports.report` does.
        """
        found = self._reports.report(Ask(results=self._experiment(key)), place).results
        assert found is not None
        return found

    def plan(self, wish: PlanWish, place: Place) -> Plan:
        """How long an experiment would have to run. Raises as `Reports.report` and `Planner.plan` do."""
        found = self._reports.report(Ask(plan=wish), place).plan
        assert found is not None
        return found

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


class SatisfactionDesk:
    """Says how content customers are."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def report(self, question: SatisfactionQuestion, place: Place) -> SatisfactionReport:
        """All together and by group. Raises as `Reports.report` and `SatisfactionReader.report` do."""
        found = self._reports.report(Ask(satisfaction=question), place).satisfaction
        assert found is not None
        return found
