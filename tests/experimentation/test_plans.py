"""How long an experiment must run, by the reference cases and by what a store holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import Any

import pytest

from recsvc.errors import ConflictError, InvalidRequestError
from recsvc.experimentation.planning import (
    customers_in_all,
    customers_per_arm,
    customers_per_arm_of_mean,
    power_of_relative,
    smallest_relative_effect,
)
from recsvc.experimentation.plans import Plan, Planner, PlanWish
from recsvc.policy_experiments import ExperimentsPolicy, MetricKind, MetricPolicy
from recsvc.stores.memory_outcomes import MemoryOutcomes
from tests.experimentation.trials import START, Trial

Golden = Callable[[str], Mapping[str, Any]]
NOW = START + timedelta(days=10)


def test_the_smallest_relative_effect(golden: Golden) -> None:
    case = golden("power_growthbook_mde")
    given, expected = case["inputs"], case["expected"]
    rate, n = given["conversion_rate"], given["n_per_arm"]
    found = smallest_relative_effect(rate, n, alpha=given["alpha"], power=given["power"])
    assert found == pytest.approx(expected["mde_relative"], abs=case["tolerance"])
    assert power_of_relative(rate, 0.1, n) == pytest.approx(
        expected["power_at_10pct_lift"], abs=case["tolerance"]
    )
    assert found is not None
    assert power_of_relative(rate, found, n) == pytest.approx(expected["power_at_mde"], abs=case["tolerance"])
    assert smallest_relative_effect(0.1, 10) is None


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_that_cannot_rise_by_a_share_has_no_effect_and_no_power(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        smallest_relative_effect(rate, 100)
    with pytest.raises(ValueError, match="between 0 and 1"):
        power_of_relative(rate, 0.1, 100)


def test_customers_by_the_variance_of_the_baseline_in_both_arms(golden: Golden) -> None:
    case = golden("spotify_samplesize_binomial")
    given, expected = case["inputs"], case["expected"]
    deviation = (given["baseline"] * (1 - given["baseline"])) ** 0.5
    found = customers_per_arm_of_mean(deviation, given["mde"], alpha=given["alpha"], power=given["power"])
    assert [ceil(found)] * 2 == expected["per_arm"]


def test_equal_halves_need_twice_what_an_arm_does_and_unequal_ones_more() -> None:
    variances = (0.1 * 0.9, 0.11 * 0.89)
    halves = customers_in_all(variances, (0.5, 0.5), 0.01)
    assert halves == pytest.approx(2 * customers_per_arm(0.1, 0.01))
    assert customers_in_all(variances, (0.9, 0.1), 0.01) > 2 * halves
    with pytest.raises(ValueError, match="above 0"):
        customers_in_all(variances, (1.0, 0.0), 0.01)


def a_store() -> Trial:
    """A hundred customers came on each of ten days; one in ten of them clicked, and one in twenty bought."""
    trial = Trial()
    for day in range(10):
        names = [f"c{day}-{number}" for number in range(100)]
        trial.happen("view", names, days=day)
        trial.happen("click", names[:10], days=day + 0.1)
        trial.happen("purchase", names[:5], days=day + 0.2, value=20 + day, currency="EUR")
        trial.happen("csat", names[:50], days=day + 0.3, score=5 - day % 3, scale=5)
    return trial


def make_plan(trial: Trial, **wish: Any) -> Plan:
    outcomes = MemoryOutcomes(trial.exposures, trial.events, trial.customers)
    given = {"primary_metric": "clicks", "relative_effect": 0.1, **wish}
    return Planner(outcomes, trial.policy).plan(PlanWish(**given), now=NOW)


def test_a_plan_follows_from_the_rates_of_the_store() -> None:
    found = make_plan(a_store())
    assert (found.baseline.mean, found.baseline.n_customers) == (0.1, 1000)
    assert found.baseline.customers_a_day == pytest.approx(100)
    assert found.customers_per_arm == (14_749, 14_749)
    assert (found.days, found.minimum_effect) == (ceil(2 * 14_748.05 / 100), pytest.approx(0.01))


def test_however_large_the_effect_no_arm_is_smaller_than_results_compare() -> None:
    huge = make_plan(a_store(), primary_metric="value", relative_effect=None, minimum_effect=1e6)
    assert huge.customers_per_arm == (30, 30)
    lopsided = make_plan(
        a_store(), primary_metric="value", relative_effect=None, minimum_effect=1e6, weights=(90, 10)
    )
    assert lopsided.customers_per_arm == (270, 30)


def test_an_effect_that_all_people_together_could_not_show_is_refused() -> None:
    with pytest.raises(InvalidRequestError) as refused:
        make_plan(a_store(), relative_effect=1e-6)
    assert refused.value.errors[0].pointer == "/relative_effect"


def test_a_smaller_arm_several_arms_and_less_coverage_take_longer() -> None:
    trial = a_store()
    halves = make_plan(trial)
    assert make_plan(trial, coverage=0.5).days == pytest.approx(2 * halves.days, abs=1)
    assert make_plan(trial, weights=(90, 10)).customers_in_all > 2 * halves.customers_in_all
    thirds = make_plan(trial, weights=(34, 33, 33))
    assert thirds.customers_per_arm[1] > halves.customers_per_arm[1]


def test_money_is_planned_by_its_deviation_and_a_survey_by_who_answers() -> None:
    trial = a_store()
    money = make_plan(trial, primary_metric="value", relative_effect=0.2)
    assert money.baseline.mean == pytest.approx(0.05 * 24.5, rel=0.01) and money.baseline.deviation > 4
    survey = make_plan(trial, primary_metric="csat", relative_effect=None, minimum_effect=0.05)
    assert survey.baseline.counted_share == pytest.approx(0.5)
    assert survey.customers_in_all > 2 * 1000


def test_a_window_is_waited_for() -> None:
    trial = a_store()
    back = MetricPolicy(MetricKind.SHARE, of=("click",), until_days=3)
    trial.policy = replace(trial.policy, experiments=ExperimentsPolicy(metrics={"back": back}))
    plain, waiting = make_plan(trial), make_plan(trial, primary_metric="back")
    assert waiting.baseline.mean == plain.baseline.mean
    assert waiting.days == plain.days + 3


def test_where_the_store_cannot_say_there_is_no_plan() -> None:
    with pytest.raises(ConflictError, match="no event of the last 28 days"):
        make_plan(Trial())
    trial = a_store()
    with pytest.raises(ConflictError, match="nothing to plan by"):
        make_plan(trial, primary_metric="complaints")
    with pytest.raises(ConflictError, match="counted from answers"):
        make_plan(trial, primary_metric="fallback_rate")
    with pytest.raises(InvalidRequestError, match="must be a metric"):
        make_plan(trial, primary_metric="unheard_of")
    with pytest.raises(InvalidRequestError, match="give less"):
        make_plan(trial, relative_effect=9.5)
