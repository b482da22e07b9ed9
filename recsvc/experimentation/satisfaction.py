"""Answer how content customers are. In: a question. Out: NPS, CSAT and CES of all and of every group.

The response rate of a survey is the share of the group's customers who answered it. A group's customers are
those with any event in it, an impression included: whoever did, or was shown, anything. Of an experiment only
the exposed count, with what they did since, and whoever was exposed in the window counts as shown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from recsvc.domain.items import Channel
from recsvc.domain.satisfaction import NpsAnswers, nps_difference
from recsvc.domain.surveys import (
    Grouping,
    GroupSatisfaction,
    LatestAnswers,
    SatisfactionReport,
    Scope,
    StudiedExperiment,
    SurveyAnswer,
    VariantDifference,
    period_name,
    periods,
)
from recsvc.errors import FieldError, InvalidRequestError
from recsvc.policy import Policy

DEFAULT_WINDOW = timedelta(days=90)
MAX_PERIODS = 120

_Sizes = Mapping[str | None, int]


class SatisfactionStore(Protocol):
    """Knows who answered what, and who could have. Everything raises StoreError."""

    def experiment(self, key: str) -> StudiedExperiment | None:
        """The experiment in the phase that it is in; None when there is none."""
        ...

    def answers(self, scope: Scope) -> Iterator[SurveyAnswer]:
        """Every answer by time, then id."""
        ...

    def n_customers(self, scope: Scope) -> int:
        """How many customers did, or were shown, anything in the scope."""
        ...

    def n_by_channel(self, scope: Scope) -> Mapping[Channel | None, int]:
        """The same by channel; None is for events that name none."""
        ...

    def n_by_variant(self, scope: Scope) -> Mapping[str, int]:
        """The same by the variant that they met first."""
        ...

    def attributes(self, scope: Scope) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The same customers with their recorded attributes."""
        ...


@dataclass(frozen=True, slots=True)
class SatisfactionQuestion:
    """What is asked. Without `until` it is now, without `since` 90 days before that."""

    since: datetime | None = None
    until: datetime | None = None
    by: Grouping | None = None
    channel: Channel | None = None
    experiment: str | None = None


@dataclass(frozen=True, slots=True)
class _Groups:
    """Every group in order with its number of customers, and the group of an answer."""

    sizes: _Sizes
    of: Callable[[SurveyAnswer], str | None]


class SatisfactionReader:
    """Counts answers from the store, anew each time."""

    def __init__(self, store: SatisfactionStore, policy: Policy) -> None:
        self._store = store
        self._policy = policy

    def report(self, question: SatisfactionQuestion, *, now: datetime) -> SatisfactionReport:
        """How content customers are, all together and by group.

        Raises:
            InvalidRequestError: the window is empty or has too many periods, or there is no such experiment.
            StoreError: the store cannot answer.
        """
        scope = self.scope(question, now=now)
        groups = self._groups(scope, question.by)
        everybody, n_off_scale = LatestAnswers({}), 0
        kept: dict[str | None, LatestAnswers] = defaultdict(lambda: LatestAnswers({}))
        for answer in self._store.answers(scope):
            n_off_scale += answer.score is None
            everybody.add(answer)
            kept[groups.of(answer)].add(answer)
        total = everybody.figures(None, self._store.n_customers(scope))
        found = tuple(kept[name].figures(name, size) for name, size in groups.sizes.items())
        differences = _differences(found) if question.by is Grouping.VARIANT else ()
        return SatisfactionReport(now, scope, question.by, total, found, differences, n_off_scale)

    def scope(self, question: SatisfactionQuestion, *, now: datetime) -> Scope:
        """Whose answers are asked for. Raises as `report` does."""
        until = question.until or now
        since = question.since or until - DEFAULT_WINDOW
        if since >= until:
            raise _refused("since", "must be before until, which is now where it is absent")
        experiment = None
        if question.experiment is not None:
            experiment = self._store.experiment(question.experiment)
            if experiment is None:
                raise _refused("experiment", "names no experiment: see GET /v1/experiments")
        elif question.by is Grouping.VARIANT:
            raise _refused("experiment", "must be given with by=variant: variants are those of an experiment")
        if n_periods(question.by, since, until) > MAX_PERIODS:
            raise _refused("by", f"makes over {MAX_PERIODS} groups: ask for less time, or by week or month")
        return Scope(since, until, question.channel, experiment)

    def _groups(self, scope: Scope, by: Grouping | None) -> _Groups:
        if by is None:
            return _Groups({}, lambda answer: None)
        if by is Grouping.VARIANT and scope.experiment is not None:
            by_variant = self._store.n_by_variant(scope)
            of_all: _Sizes = {name: by_variant.get(name, 0) for name in scope.experiment.variants}
            return _Groups(of_all, lambda answer: answer.variant)
        if by is Grouping.CHANNEL:
            by_channel = self._store.n_by_channel(scope)
            order = [one for one in (*Channel, None) if one in by_channel]
            return _Groups({one: by_channel[one] for one in order}, lambda answer: answer.channel)
        return self._by_segment(scope) if by is Grouping.SEGMENT else self._by_period(scope, by)

    def _by_segment(self, scope: Scope) -> _Groups:
        """By recorded attributes alone: a rule that asks for a profile fits nobody here."""
        segment_of = {
            customer_id: self._policy.segment_of(attributes)
            for customer_id, attributes in self._store.attributes(scope)
        }
        counted = Counter(segment_of.values())
        names = dict.fromkeys(rule.name for rule in self._policy.segments)
        # Whoever came in meanwhile is one of everybody.
        last = self._policy.segments[-1].name
        sizes: _Sizes = {name: counted[name] for name in names}
        return _Groups(sizes, lambda answer: segment_of.get(answer.customer_id, last))

    def _by_period(self, scope: Scope, by: Grouping) -> _Groups:
        sizes: _Sizes = {
            one.name: self._store.n_customers(replace(scope, since=one.start, until=one.end))
            for one in periods(by, scope.since, scope.until)
        }
        return _Groups(sizes, lambda answer: period_name(by, answer.answered_at))


def n_periods(by: Grouping | None, since: datetime, until: datetime) -> int:
    """How many days, weeks or months are told of, counted up to one too many; 0 of other groups."""
    if by not in (Grouping.DAY, Grouping.WEEK, Grouping.MONTH):
        return 0
    return sum(1 for _ in islice(periods(by, since, until), MAX_PERIODS + 1))


def _differences(variants: Sequence[GroupSatisfaction]) -> tuple[VariantDifference, ...]:
    """Every variant against the first."""
    control, *others = variants
    return tuple(
        VariantDifference(str(one.name), str(control.name), nps_difference(_classes(control), _classes(one)))
        for one in others
    )


def _classes(group: GroupSatisfaction) -> NpsAnswers:
    return group.nps.answers if group.nps else NpsAnswers(0, 0, 0)


def _refused(parameter: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError([FieldError(f"query/{parameter}", rule)])
