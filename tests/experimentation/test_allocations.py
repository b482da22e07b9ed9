"""From what was registered to who is in which variant, and who is in none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsvc.domain.experiments import Experiment, ExperimentStatus, ExperimentVariant
from recsvc.experimentation.allocations import HELD_OUT, allocation_of, holdout_experiment, is_held_out
from recsvc.experimentation.assignment import Allocation, LayerPlace, Variant
from recsvc.policy_experiments import ExperimentsPolicy

CUSTOMERS = [f"c{number}" for number in range(20_000)]
EXPERIMENT = Experiment(
    "exp1",
    (ExperimentVariant("a", "m1", 30), ExperimentVariant("b", "m2", 70)),
    coverage=0.5,
    layer="home",
    layer_range=(1_000, 9_000),
    phase=2,
)


def held_out(percent: int) -> frozenset[str]:
    holdout = holdout_experiment(ExperimentsPolicy(holdout_percent=percent))
    allocation = None if holdout is None else allocation_of(holdout)
    return frozenset(customer for customer in CUSTOMERS if is_held_out(allocation, customer))


def test_an_experiment_deals_as_it_was_registered_whatever_its_status() -> None:
    expected = Allocation(
        "exp1:2", (Variant("a", 30), Variant("b", 70)), 0.5, LayerPlace("layer@home", 1_000, 9_000)
    )
    for status in ExperimentStatus:
        assert allocation_of(replace(EXPERIMENT, status=status)) == expected
    assert allocation_of(replace(EXPERIMENT, layer=None)).layer is None


def test_another_phase_deals_anew() -> None:
    one, other = allocation_of(EXPERIMENT), allocation_of(replace(EXPERIMENT, phase=3))
    moved = sum(one.assign(name).variant != other.assign(name).variant for name in CUSTOMERS[:1_000])
    assert moved > 200


def test_where_the_policy_holds_nobody_out_there_is_no_hold_out() -> None:
    assert holdout_experiment(ExperimentsPolicy()) is None
    assert held_out(0) == frozenset()


def test_as_many_are_held_out_as_the_policy_says() -> None:
    assert len(held_out(10)) == pytest.approx(2_000, rel=0.1)


def test_who_is_held_out_stays_so_when_more_are() -> None:
    assert held_out(5) < held_out(10) < held_out(50)


def test_the_hold_out_compares_those_held_out_with_all_others_on_the_champion() -> None:
    holdout = holdout_experiment(ExperimentsPolicy(holdout_percent=10))
    assert holdout is not None
    assert [(one.key, one.model_version, one.weight) for one in holdout.variants] == [
        ("held_out", None, 10),
        ("in_experiments", None, 90),
    ]
    assert holdout.status is ExperimentStatus.RUNNING
    allocation = allocation_of(holdout)
    assert {allocation.assign(name).variant for name in CUSTOMERS} == {HELD_OUT, "in_experiments"}


def test_figures_of_one_share_of_held_out_customers_are_not_mixed_with_those_of_another() -> None:
    five, ten = (holdout_experiment(ExperimentsPolicy(holdout_percent=percent)) for percent in (5, 10))
    assert five is not None and ten is not None
    assert (five.phase != ten.phase, five.salt == ten.salt) == (True, True)
