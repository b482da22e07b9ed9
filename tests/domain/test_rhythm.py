"""Lifecycle stages from the customer's own rhythm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsvc.domain.profiles import Lifecycle
from recsvc.domain.rhythm import UNHEARD_OF_GAP_DAYS, Rhythm, lifecycle_of, population_gap_days
from recsvc.policy import load_policy

RULE = load_policy().portraits
POPULATION_GAP = 10.0

DAILY = Rhythm(n_visits=100, span_days=99, known_days=100, silent_days=0.5, watched_days=300)
MONTHLY = Rhythm(n_visits=10, span_days=270, known_days=275, silent_days=5, watched_days=300)


def stage(rhythm: Rhythm, **changes: float) -> Lifecycle:
    return lifecycle_of(replace(rhythm, **changes), POPULATION_GAP, RULE)  # type: ignore[arg-type]


def test_who_came_daily_is_at_risk_after_three_days_of_silence() -> None:
    assert stage(DAILY, silent_days=1.5) is Lifecycle.ACTIVE
    assert stage(DAILY, silent_days=3) is Lifecycle.AT_RISK


def test_who_comes_monthly_is_active_after_three_weeks_of_silence() -> None:
    assert stage(MONTHLY, silent_days=21) is Lifecycle.ACTIVE
    assert stage(MONTHLY, silent_days=40) is Lifecycle.ACTIVE
    assert stage(MONTHLY, silent_days=70) is Lifecycle.DORMANT  # The risk begins after 56 days.


def test_silence_makes_dormant_and_then_churned() -> None:
    stages = [stage(DAILY, silent_days=days) for days in (29, 31, 59, 61)]
    assert stages == [Lifecycle.AT_RISK, Lifecycle.DORMANT, Lifecycle.DORMANT, Lifecycle.CHURNED]


def test_who_comes_rarely_has_churned_only_after_twice_the_silence_that_is_a_risk() -> None:
    risk = RULE.at_risk_gaps * MONTHLY.usual_gap_days(POPULATION_GAP)
    assert stage(MONTHLY, silent_days=2 * risk - 1) is Lifecycle.DORMANT
    assert stage(MONTHLY, silent_days=2 * risk + 1) is Lifecycle.CHURNED


def test_who_came_first_lately_is_new() -> None:
    lately = Rhythm(n_visits=3, span_days=8, known_days=12, silent_days=3, watched_days=300)
    assert stage(lately) is Lifecycle.NEW
    assert stage(lately, known_days=RULE.new_days + 1) is Lifecycle.ACTIVE


def test_a_new_customer_who_stays_away_is_no_longer_new() -> None:
    assert stage(Rhythm(3, 2, 29, 27, 300)) is Lifecycle.AT_RISK


def test_nobody_is_new_who_came_when_the_history_had_just_begun() -> None:
    assert stage(Rhythm(3, 8, 12, 3, watched_days=0)) is Lifecycle.ACTIVE


def test_a_customer_of_one_visit_is_judged_by_the_gap_of_the_population() -> None:
    once = Rhythm(n_visits=1, span_days=0, known_days=19, silent_days=19, watched_days=300)
    assert once.usual_gap_days(POPULATION_GAP) == POPULATION_GAP
    assert stage(once) is Lifecycle.NEW
    assert stage(once, known_days=21, silent_days=21) is Lifecycle.AT_RISK


def test_the_gap_of_the_population_counts_as_one_of_the_customers_own() -> None:
    assert Rhythm(3, 8, 8, 0, 0).usual_gap_days(10) == pytest.approx((4 + 4 + 10) / 3)


def test_the_gap_of_the_population_is_the_median_of_mean_gaps() -> None:
    gaps = [Rhythm(2, span, span, 0, 0) for span in (4, 100)] + [
        Rhythm(4, 30, 30, 0, 0),
        Rhythm(1, 0, 9, 9, 0),
    ]
    assert population_gap_days(gaps) == 10


def test_where_nobody_came_twice_the_gap_is_two_weeks() -> None:
    assert population_gap_days([Rhythm(1, 0, 9, 9, 0)]) == population_gap_days([]) == UNHEARD_OF_GAP_DAYS
