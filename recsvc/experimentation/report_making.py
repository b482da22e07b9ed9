"""Make the reports that read much of the store. In: what is asked, a moment. Out: a report, or a refusal.

What is asked and what is answered can be sent from one process to another as JSON, and comes out the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from recsvc.domain.experiments import Experiment
from recsvc.domain.outcomes import Reading
from recsvc.domain.surveys import SatisfactionReport
from recsvc.errors import ConflictError, FieldError, InvalidRequestError
from recsvc.experimentation.counting import OutcomeStore
from recsvc.experimentation.plans import Plan, Planner, PlanWish
from recsvc.experimentation.reports import ExperimentReport
from recsvc.experimentation.results import ResultsReader
from recsvc.experimentation.satisfaction import (
    SatisfactionQuestion,
    SatisfactionReader,
    SatisfactionStore,
    n_periods,
)
from recsvc.experimentation.standing import standing_of
from recsvc.policy import Policy


class Ask(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is asked: one of these is there."""

    results: Experiment | None = None
    plan: PlanWish | None = None
    satisfaction: SatisfactionQuestion | None = None


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found: one of these is there. The last two say why there is no report."""

    results: ExperimentReport | None = None
    plan: Plan | None = None
    satisfaction: SatisfactionReport | None = None
    conflict: str | None = None
    invalid: tuple[FieldError, ...] | None = None

    def or_refusal(self) -> Answer:
        """The same where it is a report. Raises ConflictError or InvalidRequestError where it is none."""
        if self.conflict is not None:
            raise ConflictError(self.conflict)
        if self.invalid is not None:
            raise InvalidRequestError(self.invalid)
        return self


class ReportMaker:
    """Makes every kind of report."""

    def __init__(self, outcomes: OutcomeStore, surveys: SatisfactionStore, policy: Policy) -> None:
        self._results = ResultsReader(outcomes, policy)
        self._planner = Planner(outcomes, policy)
        self._satisfaction = SatisfactionReader(surveys, policy)
        self._before = timedelta(days=policy.experiments.cuped_days)
        self.policy_version = policy.version

    def reading(self, ask: Ask, *, now: datetime) -> Reading:
        """What there is to read for it. Raises what can be refused before that, as `make` does."""
        if ask.results is not None:
            experiment, until = ask.results, standing_of(ask.results, now).counted_until
            return Reading(None, until, self._before, (experiment.key, experiment.phase))
        if ask.plan is not None:
            self._planner.check(ask.plan)
            return Reading(now - timedelta(days=ask.plan.lookback_days), now, self._before)
        question = _question(ask)
        scope = self._satisfaction.scope(question, now=now)
        studied = scope.experiment
        exposed = None if studied is None else (studied.key, studied.phase)
        n_times = max(n_periods(question.by, scope.since, scope.until), 1)
        return Reading(scope.since, scope.until, exposed=exposed, n_times=n_times)

    def make(self, ask: Ask, *, now: datetime) -> Answer:
        """The report.

        Raises:
            InvalidRequestError, ConflictError: what is asked, or what the store holds, allows none.
            StoreError: the store cannot answer.
        """
        if ask.results is not None:
            return Answer(results=self._results.report(ask.results, now=now))
        if ask.plan is not None:
            return Answer(plan=self._planner.plan(ask.plan, now=now))
        return Answer(satisfaction=self._satisfaction.report(_question(ask), now=now))

    def answer(self, ask: Ask, *, now: datetime) -> Answer:
        """The report, or the refusal as a value. Raises StoreError."""
        try:
            return self.make(ask, now=now)
        except InvalidRequestError as error:
            return Answer(invalid=error.errors)
        except ConflictError as error:
            return Answer(conflict=str(error))


def _question(ask: Ask) -> SatisfactionQuestion:
    return ask.satisfaction or SatisfactionQuestion()
