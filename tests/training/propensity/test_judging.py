"""Figures of propensities are those of the field, with intervals over customers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from recsvc.errors import TrainingError
from recsvc.training.propensity.judging import judge


def drawn(n: int = 4_000, seed: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    predicted = rng.beta(2, 3, n).round(2)  # Rounded, so that there are ties.
    return predicted, rng.uniform(size=n) < predicted, rng.integers(0, n // 3, n)


def test_the_figures_are_those_of_the_library() -> None:
    predicted, responded, customers = drawn()
    found = judge(predicted, responded, customers, judged_on="offers", seed=1).metrics
    assert found["auc"].value == pytest.approx(roc_auc_score(responded, predicted), abs=1e-12)
    assert found["log_loss"].value == pytest.approx(log_loss(responded, predicted), abs=1e-9)


def test_probabilities_that_come_true_are_calibrated_and_others_are_not() -> None:
    predicted, responded, customers = drawn()
    assert judge(predicted, responded, customers, judged_on="offers", seed=1).metrics["ece"].value < 0.02
    bent = judge(predicted**2, responded, customers, judged_on="offers", seed=1)
    assert bent.metrics["ece"].low > 0.1
    assert (
        bent.metrics["auc"].value
        == judge(predicted, responded, customers, judged_on="", seed=1).metrics["auc"].value
    )


def test_sendings_of_one_customer_are_drawn_together() -> None:
    """Ten times the same sendings of each customer tell no more than once."""
    predicted, responded, _ = drawn(400)
    customers = np.arange(400)
    once = judge(predicted, responded, customers, judged_on="offers", seed=1).metrics["auc"]
    often = judge(
        *(np.tile(one, 10) for one in (predicted, responded, customers)), judged_on="offers", seed=1
    ).metrics["auc"]
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.2)


def test_the_reliability_of_each_group_lies_within_its_interval() -> None:
    predicted, responded, customers = drawn()
    report = judge(predicted, responded, customers, judged_on="offers", seed=1)
    assert [one.sendings for one in report.reliability] == [400] * 10
    for one in report.reliability:
        assert one.low < one.observed < one.high
        assert abs(one.predicted - one.observed) < 0.08


@pytest.mark.parametrize("outcome", [True, False])
def test_where_everything_came_out_alike_nothing_is_judged(outcome: bool) -> None:
    with pytest.raises(TrainingError, match="nothing to tell apart among 3 offers"):
        judge(np.full(3, 0.5), np.full(3, outcome), np.arange(3), judged_on="offers", seed=1)
