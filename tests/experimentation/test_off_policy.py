"""Estimates of another policy by the reference cases, and where they are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from recsvc.experimentation.off_policy import (
    Logged,
    clipped,
    direct,
    doubly_robust,
    inverse_propensity,
    self_normalised,
    support_of,
)

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
    found = {
        "ipw": inverse_propensity(logged).value,
        "ipw_clip_lambda2": clipped(logged, 2).value,
        "snipw": self_normalised(logged).value,
        "dm": direct(logged).value,
        "dr": doubly_robust(logged).value,
        "dr_lambda2": doubly_robust(logged, 2).value,
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
