"""Surveys: what may be answered, and how content those are who did. In: answers. Out: figures per group.

The one home of the scales. Every figure stands on one answer per customer, the latest in its group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from recsvc.domain.items import Channel
from recsvc.domain.satisfaction import (
    Mean,
    Nps,
    NpsAnswers,
    NpsDifference,
    Share,
    ease_share,
    effort_score,
    net_promoter_score,
    satisfied_share,
)

SATISFIED = 4  # CSAT counts 4 and 5 as satisfied.


@dataclass(frozen=True, slots=True)
class Scale:
    """What a survey may be answered, from `lowest` to `highest`, both inclusive."""

    lowest: float
    highest: float


SURVEYS: Mapping[str, Scale] = {"nps": Scale(0, 10), "csat": Scale(1, 5), "ces": Scale(1, 7)}
"""The surveys by interaction type."""


def score_on_scale(survey: str, score: float | None, scale: float | None) -> float | None:
    """The score of an answer; None where it is not one on the survey's own scale.

    `scale` is the highest score that could be given, as the event says it; without one it is taken for the
    survey's own. An answer of 7 out of 10 to CSAT says nothing of 4 and 5 out of 5, so it does not count.
    """
    own = SURVEYS.get(survey)
    if own is None or score is None or not own.lowest <= score <= own.highest:
        return None
    return score if scale is None or scale == own.highest else None


class Grouping(StrEnum):
    """What customers are grouped by. Days, weeks (from Monday) and months are those of UTC."""

    VARIANT = "variant"
    SEGMENT = "segment"
    CHANNEL = "channel"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class StudiedExperiment:
    """An experiment's phase and its variants, the control first."""

    key: str
    phase: int
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose answers are meant: those from `since` (inclusive) to `until` (exclusive).

    With a channel, those given there. With an experiment, those of the customers exposed in its phase, from
    their exposure on.
    """

    since: datetime
    until: datetime
    channel: Channel | None = None
    experiment: StudiedExperiment | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` (inclusive) to `end` (exclusive)."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class SurveyAnswer:
    """A customer's answer, or an event that is named like one: `score` is None where it does not count.

    `customer_id` is the canonical one. `variant` is the one of the scope's experiment that they met first.
    """

    customer_id: str
    survey: str
    score: float | None
    answered_at: datetime
    channel: Channel | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class NpsFigure:
    """NPS with the adjusted Wald interval's figures, and the share of the group's customers who answered."""

    score: Nps
    answers: NpsAnswers
    response_rate: float


@dataclass(frozen=True, slots=True)
class CsatFigure:
    """The share of satisfied, and of the group's customers who answered."""

    share: Share
    response_rate: float


@dataclass(frozen=True, slots=True)
class CesFigure:
    """The mean of agreement that it was easy, the share of 5 to 7, and of the customers who answered."""

    mean: Mean
    easy: Share
    response_rate: float


@dataclass(frozen=True, slots=True)
class GroupSatisfaction:
    """How content a group is; None where nobody of it answered. `name` is None for what names no group."""

    name: str | None
    n_customers: int
    nps: NpsFigure | None
    csat: CsatFigure | None
    ces: CesFigure | None


@dataclass(frozen=True, slots=True)
class VariantDifference:
    """How much higher NPS is with the variant than with control; None where it cannot be said."""

    variant: str
    control: str
    nps: NpsDifference | None


@dataclass(frozen=True, slots=True)
class SatisfactionReport:
    """All together and by group, of what the store held at `as_of`.

    `n_off_scale` answers do not count: they are not on their survey's scale.
    """

    as_of: datetime
    scope: Scope
    by: Grouping | None
    total: GroupSatisfaction
    groups: tuple[GroupSatisfaction, ...]
    nps_differences: tuple[VariantDifference, ...]
    n_off_scale: int


@dataclass(slots=True)
class LatestAnswers:
    """The latest answer of each customer to each survey, as they come, in any order."""

    kept: dict[tuple[str, str], tuple[datetime, float]]

    def add(self, answer: SurveyAnswer) -> None:
        """Keep the answer if it counts and none of the customer's is later."""
        key = (answer.survey, answer.customer_id)
        former = self.kept.get(key)
        if answer.score is not None and (former is None or answer.answered_at >= former[0]):
            self.kept[key] = (answer.answered_at, answer.score)

    def scores(self, survey: str) -> Sequence[float]:
        """The scores that count, one per customer."""
        return [score for (name, _), (_, score) in self.kept.items() if name == survey]

    def figures(self, name: str | None, n_customers: int) -> GroupSatisfaction:
        """What the answers say of a group of so many customers."""
        # Counts and answers are read one after the other: whoever answered meanwhile is one of them.
        n_customers = max(n_customers, len({customer_id for _, customer_id in self.kept}))
        nps, csat, ces = (self.scores(survey) for survey in SURVEYS)
        classes = NpsAnswers.of(nps)
        score, effort, easy = net_promoter_score(classes), effort_score(ces), ease_share(ces)
        share = satisfied_share(sum(one >= SATISFIED for one in csat), len(csat))
        return GroupSatisfaction(
            name,
            n_customers,
            NpsFigure(score, classes, len(nps) / n_customers) if score else None,
            CsatFigure(share, len(csat) / n_customers) if share else None,
            CesFigure(effort, easy, len(ces) / n_customers) if effort and easy else None,
        )


def periods(by: Grouping, since: datetime, until: datetime) -> Iterator[Period]:
    """Every day, week or month in the window; the first and the last are cut to it."""
    start, end = since.astimezone(UTC), until.astimezone(UTC)
    while start < end:
        name, following = _period_of(by, start.date())
        stop = min(datetime.combine(following, time.min, UTC), end)
        yield Period(name, start, stop)
        start = stop


def period_name(by: Grouping, moment: datetime) -> str:
    """The name of the day, week (ISO 8601) or month that the moment is in."""
    return _period_of(by, moment.astimezone(UTC).date())[0]


def _period_of(by: Grouping, day: date) -> tuple[str, date]:
    """The name of the period that the day is in, and the first day after it."""
    if by is Grouping.DAY:
        return day.isoformat(), day + timedelta(days=1)
    if by is Grouping.WEEK:
        year, week, weekday = day.isocalendar()
        return f"{year}-W{week:02}", day + timedelta(days=8 - weekday)
    return f"{day:%Y-%m}", (day.replace(day=1) + timedelta(days=32)).replace(day=1)
