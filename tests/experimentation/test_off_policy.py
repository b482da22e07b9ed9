"""Estimates of another policy by the reference cases, and where they are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from recsvc.experimentation.off_policy import (
    Estimate,
    Logged,
    clipped,
    direct,
    doubly_robust,
    inverse_propensity,
    replay,
    self_normalised,
    self_normalised_doubly_robust,
    shrunk_doubly_robust,
    sub_gaussian,
    support_of,
    switch_doubly_robust,
)
from recsvc.experimentation.reward_models import expected_rewards

Golden = Callable[[str], Mapping[str, Any]]


def logged_of(given: Mapping[str, Any]) -> Logged:
    return Logged(
        np.array(given["reward"], float),
        np.array(given["action"]),
        np.array(given["pscore"]),
        np.array(given["pi_e"]),
        np.array(given["q_hat"]),
    )


def test_estimates_are_those_of_the_reference(golden: Golden) -> None:
    case = golden("ope_single_8rows")
    logged, expected = logged_of(case["inputs"]), case["expected"]
    replayed = replay(logged)
    assert replayed is not None
    found = {
        "ipw": inverse_propensity(logged).value,
        "ipw_clip_lambda2": clipped(logged, 2).value,
        "snipw": self_normalised(logged).value,
        "dm": direct(logged).value,
        "dr": doubly_robust(logged).value,
        "dr_lambda2": doubly_robust(logged, 2).value,
        "sndr": self_normalised_doubly_robust(logged).value,
        "switch_dr_2": switch_doubly_robust(logged, 2).value,
        "dros_1": shrunk_doubly_robust(logged, 1).value,
        "sgipw_0.1": sub_gaussian(logged, 0.1).value,
        "replay_deterministic_argmax": replayed.value,
        "on_policy_mean": float(logged.rewards.mean()),
        "ess": support_of(logged).effective_sample,
    }
    assert found == pytest.approx({name: expected[name] for name in found}, abs=case["tolerance"])
    assert logged.weights.tolist() == pytest.approx(expected["importance_weights"])
    interval = inverse_propensity(logged).interval
    assert [interval.low, interval.high] == pytest.approx(expected["ipw_normal_ci95"], abs=case["tolerance"])


def made_log(n: int, target: list[float], logging: list[float], seed: int = 4) -> Logged:
    """Actions drawn by one policy; the reward of action a comes with chance (a + 1) / 10."""
    rng = np.random.default_rng(seed)
    actions = rng.choice(len(logging), n, p=logging)
    rewards = (rng.random(n) < (actions + 1) / 10).astype(float)
    return Logged(rewards, actions, np.array(logging)[actions], np.tile(target, (n, 1)))


@pytest.mark.parametrize("estimate", [inverse_propensity, self_normalised, doubly_robust])
def test_the_true_value_lies_in_the_interval_as_often_as_it_should(
    estimate: Callable[[Logged], Any],
) -> None:
    target, logging = [0.6, 0.3, 0.1], [0.2, 0.3, 0.5]
    truth = sum(share * (action + 1) / 10 for action, share in enumerate(target))
    intervals = [estimate(made_log(2_000, target, logging, seed)).interval for seed in range(300)]
    assert np.mean([one.low <= truth <= one.high for one in intervals]) > 0.92


def test_good_support_is_not_refused() -> None:
    assert support_of(made_log(2_000, [0.6, 0.4], [0.5, 0.5])).refusal is None


@pytest.mark.parametrize(
    ("logged", "says"),
    [
        (made_log(80, [0.6, 0.4], [0.5, 0.5]), "worth only"),
        (made_log(2_000, [0.5, 0.4, 0.1], [0.5, 0.5, 0.0]), "10% of what this policy does was never logged"),
        (made_log(2_000, [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]), "worth only 0 decisions"),
    ],
)
def test_poor_support_is_refused_with_the_remedy(logged: Logged, says: str) -> None:
    assert says in str(support_of(logged).refusal)


def test_one_decision_that_outweighs_all_others_is_refused() -> None:
    log = made_log(4_000, [0.5, 0.5], [0.5, 0.5])
    propensities = log.propensities.copy()
    propensities[0] = 0.002
    lopsided = Logged(log.rewards, log.actions, propensities, log.target)
    assert "one decision alone" in str(support_of(lopsided).refusal)


def test_a_log_without_decisions_or_with_a_propensity_of_nothing_is_no_log() -> None:
    with pytest.raises(ValueError, match="no logged decisions"):
        Logged(np.zeros(0), np.zeros(0, int), np.zeros(0), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="not above 0"):
        Logged(np.ones(1), np.zeros(1, int), np.zeros(1), np.ones((1, 1)))


def test_a_policy_that_does_nothing_of_what_was_logged_is_refused_and_has_no_normalised_estimate() -> None:
    log = made_log(50, [0.0, 0.0, 1.0], [0.5, 0.5, 0.0])
    assert support_of(log).refusal
    assert inverse_propensity(log).value == 0
    for estimate in (self_normalised, self_normalised_doubly_robust):
        with pytest.raises(ValueError, match="nothing of what was logged"):
            estimate(log)


@pytest.mark.parametrize("propensity", [0.0, -0.5, 1.01, float("nan"), float("inf")])
def test_what_is_no_chance_is_no_propensity(propensity: float) -> None:
    with pytest.raises(ValueError, match="not above 0 and at most 1"):
        Logged(np.ones(2), np.zeros(2, int), np.array([0.5, propensity]), np.ones((2, 1)))


def test_replay_of_actions_that_were_never_taken_has_nothing_to_say() -> None:
    assert replay(made_log(50, [0.1, 0.2, 0.7], [0.5, 0.5, 0.0])) is None


def test_support_is_asked_of_every_stratum() -> None:
    """Each action was logged, but one of them never at the first position."""
    log = made_log(2_000, [0.5, 0.5], [0.5, 0.5])
    at_first = Logged(log.rewards, log.actions, log.propensities, log.target, strata=log.actions)
    assert support_of(log).unsupported == 0
    assert support_of(at_first).unsupported == pytest.approx(0.5)


def test_decisions_that_depend_on_each_other_count_for_less() -> None:
    """Each customer's decisions are all alike: ten of one are worth one."""
    log = made_log(200, [0.6, 0.4], [0.5, 0.5])
    tenfold = [np.repeat(one, 10, axis=0) for one in (log.rewards, log.actions, log.propensities, log.target)]
    units = np.repeat(np.arange(200), 10)
    alone, together = inverse_propensity(log), inverse_propensity(Logged(*tenfold, units=units))
    assert together.value == pytest.approx(alone.value)
    assert together.interval.high == pytest.approx(alone.interval.high, rel=1e-3)
    assert inverse_propensity(Logged(*tenfold)).interval.high < alone.interval.high


def skewed_log(seed: int) -> tuple[Logged, float]:
    """Rewards are rare, and the other policy does what was hardly ever logged; its true value."""
    logging = np.array([0.86, 0.1, 0.03, 0.01])
    rng = np.random.default_rng(seed)
    actions = rng.choice(4, 6_000, p=logging)
    rewards = (rng.random(6_000) < 0.005).astype(float)
    return Logged(rewards, actions, logging[actions], np.full((6_000, 4), 0.25)), 0.005


@pytest.mark.parametrize("estimate", [inverse_propensity, self_normalised])
def test_the_cautious_interval_holds_where_rewards_are_rare_and_the_normal_one_does_not(
    estimate: Callable[[Logged], Estimate],
) -> None:
    found = [(estimate(log), truth) for log, truth in map(skewed_log, range(300))]
    normal = np.mean([one.interval.low <= truth <= one.interval.high for one, truth in found])
    cautious = np.mean([one.cautious.low <= truth <= one.cautious.high for one, truth in found])
    assert normal < 0.9 < 0.94 < cautious


def test_a_reward_model_never_judges_a_decision_that_it_knows() -> None:
    rewards = np.array([100.0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    actions, strata = np.zeros(10, int), np.zeros(10, int)
    expected = expected_rewards(rewards, actions, strata, 2)
    assert expected[0].tolist() == [0, 0]  # All that the others earned.
    assert (expected[1:, 0] > 0).tolist() == [True, True, True, True, False, True, True, True, True]


def test_a_reward_model_is_drawn_towards_what_the_action_and_the_stratum_earn() -> None:
    rng = np.random.default_rng(3)
    actions, strata = rng.integers(0, 3, 30_000), rng.integers(0, 2, 30_000)
    truth = np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]])
    rewards = (rng.random(30_000) < truth[strata, actions]).astype(float)
    expected = expected_rewards(rewards, actions, strata, 3)
    assert np.abs(expected - truth[strata]).max() < 0.03
    log = Logged(rewards, actions, np.full(30_000, 1 / 3), np.tile([0.0, 0.0, 1.0], (30_000, 1)), expected)
    narrow, wide = doubly_robust(log).interval, inverse_propensity(log).interval
    assert narrow.high - narrow.low < wide.high - wide.low
    assert narrow.low < 0.55 < narrow.high
