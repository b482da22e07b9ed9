"""How content customers are: one answer each, by group, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from msgspec.structs import replace

from recsvc.domain.customers import Customer
from recsvc.domain.experiments import Experiment, ExperimentVariant
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.domain.satisfaction import NpsAnswers, nps_difference
from recsvc.domain.surveys import Grouping, SatisfactionReport
from recsvc.errors import InvalidRequestError
from recsvc.experimentation.satisfaction import SatisfactionQuestion, SatisfactionReader
from recsvc.policy import load_policy
from recsvc.stores.memory import MemoryCustomers, MemoryEvents
from recsvc.stores.memory_satisfaction import MemorySatisfaction

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
RATES = Experiment("rates", tuple(ExperimentVariant(key, "v1", 50) for key in "ab"), phase=1)
_ids = count(1)


def event(
    customer_id: str,
    days_ago: float,
    kind: str,
    score: float | None = None,
    *,
    channel: Channel | None = None,
    scale: float | None = None,
) -> Interaction:
    at = NOW - timedelta(days=days_ago)
    return Interaction(f"e{next(_ids):06}", kind, customer_id, None, at, channel, score=score, scale=scale)


def met(customer_id: str, variant: str, days_ago: float = 30) -> Exposure:
    return Exposure("rates", 1, customer_id, variant, NOW - timedelta(days=days_ago), Channel.WEB, "v1")


def ask(
    events: Sequence[Interaction],
    question: SatisfactionQuestion | None = None,
    *,
    exposures: Sequence[Exposure] = (),
    customers: Sequence[Customer] = (),
) -> SatisfactionReport:
    log = MemoryEvents()
    log.append(events, received_at=NOW)
    store = MemorySatisfaction(log, MemoryCustomers(customers), experiments=[RATES], exposures=exposures)
    reader = SatisfactionReader(store, load_policy())
    return reader.report(question or SatisfactionQuestion(), now=NOW)


def names(report: SatisfactionReport) -> list[str | None]:
    return [group.name for group in report.groups]


def test_each_customer_counts_once_with_the_latest_answer() -> None:
    total = ask([event("c1", 3, "nps", 1), event("c1", 2, "nps", 10), event("c2", 2, "nps", 9)]).total
    assert total.nps is not None and (total.nps.score.value, total.nps.score.n) == (100, 2)


def test_the_latest_answer_that_counts_is_taken_and_the_others_are_counted() -> None:
    report = ask([event("c1", 3, "csat", 5, scale=5), event("c1", 2, "csat", 2, scale=10)])
    assert report.total.csat is not None and report.total.csat.share.value == 100
    assert report.n_off_scale == 1


def test_without_answers_there_is_no_figure_and_still_a_number_of_customers() -> None:
    total = ask([event("c1", 1, "view")]).total
    assert (total.n_customers, total.nps, total.csat, total.ces) == (1, None, None, None)
    assert ask([]).total.n_customers == 0


def test_the_response_rate_is_the_share_of_all_who_did_or_were_shown_anything() -> None:
    seen = [event(f"c{n}", 1, "impression") for n in range(8)]
    total = ask([*seen, event("c1", 1, "ces", 6), event("c9", 1, "ces", 4), event("c1", 1, "csat", 4)]).total
    assert total.n_customers == 9
    assert total.ces is not None and total.ces.response_rate == pytest.approx(2 / 9)
    assert total.csat is not None and total.csat.response_rate == pytest.approx(1 / 9)


def test_figures_are_those_of_the_formulas() -> None:
    answers = [("nps", score) for score in [10] * 50 + [8] * 30 + [5] * 20]
    answers += [("csat", score) for score in [4] * 78 + [3] * 22]
    answers += [("ces", score) for score in (1, 2, 2, 3, 5, 6, 7, 4, 6, 7, 5, 6)]
    total = ask([event(f"c{n}", 1, kind, score) for n, (kind, score) in enumerate(answers)]).total
    assert total.nps and total.csat and total.ces and total.ces.mean.interval
    assert (total.nps.score.adjusted.low, total.nps.score.adjusted.high) == pytest.approx(
        (14.051130178761607, 44.20129700570441), abs=1e-9
    )
    assert total.csat.share.interval.low == pytest.approx(68.92964648501419, abs=1e-9)
    assert total.ces.mean.interval.high == pytest.approx(5.813345764214984, abs=1e-9)
    assert total.ces.easy.value == pytest.approx(58.333333333333336)


def test_by_channel_a_customer_counts_in_each_with_the_latest_answer_there() -> None:
    report = ask(
        [
            event("c1", 3, "nps", 1, channel=Channel.EMAIL),
            event("c1", 2, "nps", 10, channel=Channel.WEB),
            event("c2", 2, "view"),
        ],
        SatisfactionQuestion(by=Grouping.CHANNEL),
    )
    assert names(report) == ["web", "email", None]
    assert [group.nps and group.nps.score.value for group in report.groups] == [100, -100, None]
    assert report.total.nps is not None and report.total.nps.score.value == 100


def test_by_segment_every_segment_of_the_policy_has_its_customers() -> None:
    report = ask(
        [event("c1", 3, "nps", 9), event("c2", 2, "nps", 2), event("c3", 2, "view")],
        SatisfactionQuestion(by=Grouping.SEGMENT),
        customers=[Customer("c1", attributes={"age": 25}), Customer("c2", attributes={"age": 70})],
    )
    sizes = {group.name: (group.n_customers, group.nps and group.nps.score.value) for group in report.groups}
    assert sizes == {"young": (1, 100), "senior": (1, -100), "everyone": (1, None)}


@pytest.mark.parametrize(
    ("by", "since", "expected"),
    [
        (Grouping.DAY, "2026-11-20T12:00", ["2026-11-20", "2026-11-21", "2026-11-22"]),
        (Grouping.WEEK, "2026-11-08", ["2026-W45", "2026-W46", "2026-W47"]),
        (Grouping.MONTH, "2026-10-31", ["2026-10", "2026-11"]),
    ],
)
def test_periods_are_those_of_utc_without_a_gap(by: Grouping, since: str, expected: list[str]) -> None:
    start = datetime.fromisoformat(since).replace(tzinfo=UTC)
    old = event("c1", 0, "nps", 9)
    first = replace(old, event_id="first", occurred_at=start)
    report = ask([old, first], SatisfactionQuestion(since=start, until=NOW + timedelta(hours=1), by=by))
    assert names(report) == expected
    assert [group.n_customers for group in report.groups] == [1, *[0] * (len(expected) - 2), 1]
    assert report.groups[0].nps is not None and report.groups[-1].nps is not None
    assert report.total.n_customers == 1


def test_by_variant_answers_count_from_the_exposure_on_and_nps_is_compared() -> None:
    scores = {"a": [10] * 40 + [5] * 30, "b": [10] * 55 + [5] * 15}
    people = [(f"{key}{n}", key, score) for key, found in scores.items() for n, score in enumerate(found)]
    report = ask(
        [
            *(event(customer_id, 2, "nps", score) for customer_id, _, score in people),
            *(event(customer_id, 40, "nps", 0) for customer_id, _, _ in people),
            event("stranger", 1, "nps", 0),
        ],
        SatisfactionQuestion(by=Grouping.VARIANT, experiment="rates"),
        exposures=[met(customer_id, key) for customer_id, key, _ in people],
    )
    assert [(group.name, group.n_customers) for group in report.groups] == [("a", 70), ("b", 70)]
    (found,) = report.nps_differences
    expected = nps_difference(NpsAnswers(40, 0, 30), NpsAnswers(55, 0, 15))
    assert (found.variant, found.control, found.nps) == ("b", "a", expected)
    assert expected is not None and expected.p == pytest.approx(0.0053, abs=2e-3)


def test_a_difference_that_cannot_be_said_is_none() -> None:
    report = ask(
        [event("c1", 1, "nps", 9)],
        SatisfactionQuestion(by=Grouping.VARIANT, experiment="rates"),
        exposures=[met("c1", "a")],
    )
    assert [one.nps for one in report.nps_differences] == [None]
    assert [group.n_customers for group in report.groups] == [1, 0]


@pytest.mark.parametrize(
    ("question", "pointer"),
    [
        (SatisfactionQuestion(since=NOW), "query/since"),
        (SatisfactionQuestion(since=NOW, until=NOW - timedelta(days=1)), "query/since"),
        (SatisfactionQuestion(by=Grouping.VARIANT), "query/experiment"),
        (SatisfactionQuestion(experiment="other"), "query/experiment"),
        (SatisfactionQuestion(since=NOW - timedelta(days=120), by=Grouping.DAY), "query/by"),
    ],
)
def test_a_question_without_an_answer_is_refused_at_its_place(
    question: SatisfactionQuestion, pointer: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        ask([], question)
    assert [error.pointer for error in refused.value.errors] == [pointer]
