"""Metrics by the policy's rules, each customer one number, and what is left out of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import nan

import numpy as np
import pytest

from recsvc.domain.outcomes import ExposedCustomers, OutcomeEvents
from recsvc.experimentation.metrics import Measured, all_types, measure, winsorise
from recsvc.experimentation.moments import of_ratio
from recsvc.policy import load_policy
from recsvc.policy_experiments import ExperimentsPolicy, MetricKind, MetricPolicy

DAY = 86_400.0
EXPOSED_AT = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = datetime(2026, 1, 11, tzinfo=UTC)

Event = tuple[int, str, float]


def exposed(n: int, *, days_later: Sequence[float] = ()) -> ExposedCustomers:
    start = int(EXPOSED_AT.timestamp() * 1_000_000)
    later = [*days_later, *([0.0] * (n - len(days_later)))]
    ids = [f"c{place}" for place in range(n)]
    return ExposedCustomers(
        ids,
        ["a"] * n,
        [start + int(days * DAY * 1_000_000) for days in later],
        ["web"] * n,
        [0] * n,
        n_answers=[4, 0, *[2] * (n - 2)],
        n_fallbacks=[1, 0, *[0] * (n - 2)],
        n_mismatched=[0] * n,
        latency_micros=[8_000, 0, *[1_000] * (n - 2)],
    )


def columns(
    events: Sequence[Event],
    types: Sequence[str],
    *,
    values: Sequence[float] = (),
    scores: Sequence[float] = (),
    scales: Sequence[float] = (),
    currencies: Sequence[str] = (),
) -> OutcomeEvents:
    n = len(events)
    return OutcomeEvents(
        [place for place, _, _ in events],
        [types.index(name) for _, name, _ in events],
        [days * DAY for _, _, days in events],
        values or [nan] * n,
        scores or [nan] * n,
        scales or [nan] * n,
        currencies or [""] * n,
    )


def count(rule: MetricPolicy, customers: ExposedCustomers, *batches: OutcomeEvents) -> Measured:
    types = all_types([rule])
    measured = measure(customers, batches, {"m": rule}, types, ExperimentsPolicy(), as_of=AS_OF)
    return measured["m"]


CLICKS = [(0, "click", 1.0), (0, "click", 2.0), (1, "click", -1.0), (2, "click", 5.0)]


def test_a_share_counts_a_customer_once() -> None:
    rule = MetricPolicy(MetricKind.SHARE, of=("click",))
    found = count(rule, exposed(4), columns(CLICKS, ["click"]))
    assert found.above.tolist() == [1, 0, 1, 0]
    assert found.before is not None and found.before.tolist() == [0, 1, 0, 0]


def test_a_count_adds_up_over_batches() -> None:
    rule = MetricPolicy(MetricKind.COUNT, of=("click",))
    batches = [columns([event], ["click"]) for event in CLICKS]
    assert count(rule, exposed(4), *batches).above.tolist() == [2, 0, 1, 0]


def test_a_window_counts_from_its_start_to_before_its_end() -> None:
    rule = MetricPolicy(MetricKind.COUNT, of=("click",), from_days=1, until_days=5)
    assert count(rule, exposed(3), columns(CLICKS, ["click"])).above.tolist() == [2, 0, 0]


def test_who_is_still_within_the_window_is_left_out() -> None:
    customers = exposed(3, days_later=[0.0, 3.0, 3.001])
    windowed = MetricPolicy(MetricKind.SHARE, of=("click",), until_days=7)
    assert count(windowed, customers).counted.tolist() == [True, True, False]
    later = MetricPolicy(MetricKind.SHARE, of=("click",), from_days=7)
    assert count(later, customers).counted.tolist() == [True, True, False]
    assert count(MetricPolicy(MetricKind.SHARE, of=("click",)), customers).counted.all()


def test_a_ratio_has_the_mean_and_the_variance_of_the_delta_method() -> None:
    rule = MetricPolicy(MetricKind.RATIO, of=("click",), per=("impression",))
    seen = [(place, "impression", 1.0) for place in (0, 0, 0, 1, 1, 2)]
    found = count(rule, exposed(4), columns([*CLICKS, *seen], ["click", "impression"]))
    sample = found.sample_of(np.ones(4, np.bool_))
    expected = of_ratio([2, 0, 1, 0], [3, 2, 1, 0])
    assert sample is not None
    assert (sample.moments.n, sample.moments.mean) == (4, pytest.approx(0.5))
    assert sample.moments.variance == pytest.approx(expected.variance)


def test_money_that_all_spent_alike_does_not_vary() -> None:
    rule = MetricPolicy(MetricKind.VALUE, of=("purchase",))
    bought = [(place, "purchase", 1.0) for place in range(100)]
    events = columns(bought, ["purchase"], values=[0.1] * 100, currencies=["EUR"] * 100)
    sample = count(rule, exposed(100), events).sample_of(np.ones(100, np.bool_))
    assert sample is not None
    assert sample.moments.variance == 0.0


def test_a_ratio_of_nothing_is_no_ratio() -> None:
    rule = MetricPolicy(MetricKind.RATIO, of=("click",), per=("impression",))
    found = count(rule, exposed(4), columns(CLICKS, ["click", "impression"]))
    everybody = np.ones(4, np.bool_)
    assert (found.sample_of(everybody), found.mean_of(everybody)) == (None, None)


def test_money_is_capped_at_the_quantile_of_those_who_spent_any() -> None:
    spent = np.array([0.0] * 900 + [float(n) for n in range(1, 101)])
    found = winsorise(spent, np.ones(1000, np.bool_), 0.99)
    assert found.max() == pytest.approx(99.01)
    assert found[:900].max() == 0 and found[905] == 6


def test_money_adds_up_to_the_same_in_whatever_order_it_comes() -> None:
    spent = [
        (0.1, 1.0),
        (0.2, 2.0),
        (0.3, 1.0),
        (1e9, 3.0),
        (-1e9, 3.0),
        (0.7, -1.0),
        (1e9, -2.0),
        (0.1, -3.0),
    ]
    rule = MetricPolicy(MetricKind.VALUE, of=("purchase",))
    sums = set()
    for order in (spent, spent[::-1], sorted(spent)):
        events = [(0, "purchase", days) for _, days in order]
        told = count(rule, exposed(3), columns(events, ["purchase"], values=[value for value, _ in order]))
        assert told.before is not None
        sums.add((float(told.above[0]), float(told.before[0])))
    assert len(sums) == 1


def test_money_of_two_currencies_is_not_added_up() -> None:
    rule = MetricPolicy(MetricKind.VALUE, of=("purchase",))
    events = [(0, "purchase", 1.0), (0, "purchase", 2.0), (1, "purchase", -1.0)]
    sound = columns(events, ["purchase"], values=[5, nan, 2], currencies=["EUR", "", "EUR"])
    found = count(rule, exposed(3), sound)
    assert (found.above.tolist(), found.refusal) == ([5, 0, 0], None)
    mixed = columns(events, ["purchase"], values=[5, 3, 2], currencies=["EUR", "USD", "EUR"])
    told = count(rule, exposed(3), mixed).refusal
    assert told == "its values are in EUR and USD, which cannot be added up"


@pytest.mark.parametrize(
    ("kind", "scores", "expected"),
    [
        (MetricKind.NPS, [5, 10, 3, 7], [100, -100, 0]),
        (MetricKind.CSAT, [2, 4, 3, 5], [1, 0, 1]),
        (MetricKind.CES, [2, 6, 1, 7], [6, 1, 7]),
    ],
)
def test_of_a_survey_the_latest_answer_counts(
    kind: MetricKind, scores: list[float], expected: list[float]
) -> None:
    events = [(0, kind.value, 2.0), (0, kind.value, 4.0), (1, kind.value, 1.0), (2, kind.value, 1.0)]
    events[0], events[1] = events[1], events[0]  # They come in no order.
    given = [scores[1], scores[0], scores[2], scores[3]]
    found = count(MetricPolicy(kind), exposed(4), columns(events, [kind.value], scores=given))
    assert found.counted.tolist() == [True, True, True, False]
    first, second, third = found.above[:3].tolist()
    assert (first, second, third) == (expected[0], expected[1], expected[2])


def test_an_answer_on_another_scale_or_before_the_exposure_does_not_count() -> None:
    events = [(0, "csat", 1.0), (1, "csat", -1.0), (2, "csat", 1.0), (3, "csat", 1.0)]
    some = columns(events, ["csat"], scores=[4, 4, 9, 4], scales=[10, 5, nan, 5])
    assert count(MetricPolicy(MetricKind.CSAT), exposed(4), some).counted.tolist() == [False] * 3 + [True]


def test_answers_of_ours_are_measured_by_customer() -> None:
    latency = count(MetricPolicy(MetricKind.LATENCY), exposed(4))
    assert latency.counted.tolist() == [True, False, True, True]
    assert latency.mean_of(np.ones(4, np.bool_)) == pytest.approx(0.010 / 8)
    fallbacks = count(MetricPolicy(MetricKind.FALLBACKS), exposed(4))
    assert fallbacks.mean_of(np.ones(4, np.bool_)) == pytest.approx(1 / 8)


def test_any_interaction_type_is_a_metric() -> None:
    policy = load_policy()
    view, dismiss = policy.metric("view"), policy.metric("dismiss")
    assert (view, policy.metric("unheard_of")) == (MetricPolicy(MetricKind.SHARE, of=("view",)), None)
    assert dismiss is not None and dismiss.better == "lower"
    nps = policy.metric("nps")
    assert nps is not None and nps.kind is MetricKind.NPS
