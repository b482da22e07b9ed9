"""Weights of a blend: what pays, what is left out, and what chance may not decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.training.evaluation import HeldOut, evaluate
from recsvc.training.families import Als, Popularity, Spectral
from recsvc.training.families.base import FloatArray, TrainingData
from recsvc.training.holdout import split
from recsvc.training.weighing import best_weights
from tests.training.examples import (
    POLICY,
    Scripted,
    ScriptedFamily,
    busy_history,
    data_of,
    held_out_of,
    without_times,
)

N = 60
PERSONAL = ScriptedFamily(lambda data: scripted(lambda histories: np.zeros(histories.shape)), "own", True)


def scripted(rule: Callable[[csr_matrix], FloatArray]) -> Scripted:
    return Scripted(lambda histories: np.asarray(rule(histories), dtype=np.float32), PERSONAL)


def everybody_wants_one() -> tuple[TrainingData, HeldOut]:
    """Customer n has item n + 1 and wants item n."""
    data = data_of(np.roll(np.eye(N, dtype=np.float32), 1, axis=1))
    return data, held_out_of([[row] for row in range(N)], N, [0] * N)


def knowing(customers: range) -> Scripted:
    """Says what these customers want, and nothing of anybody else."""

    def score(histories: csr_matrix) -> FloatArray:
        scores = np.zeros(histories.shape, dtype=np.float32)
        wanted = (histories.indices - 1) % N
        places = np.flatnonzero(np.isin(wanted, np.array(customers)))
        scores[places, wanted[places]] = 1
        return scores

    return scripted(score)


def test_halves_of_the_truth_weigh_the_same_and_what_knows_nothing_weighs_nothing() -> None:
    data, held_out = everybody_wants_one()
    silent = scripted(lambda histories: np.zeros(histories.shape, dtype=np.float32))
    weights = best_weights([knowing(range(30)), knowing(range(30, N)), silent], data, held_out)
    assert weights == pytest.approx((0.5, 0.5, 0.0), abs=0.01)


def test_what_adds_nothing_to_the_best_is_left_out() -> None:
    data, held_out = everybody_wants_one()
    assert best_weights([knowing(range(10)), knowing(range(N))], data, held_out) == (0.0, 1.0)


def test_what_is_the_same_for_everybody_stays_behind() -> None:
    """Everybody wants the popular item; what is personal knows nothing, and still weighs twice as much."""
    strengths = np.zeros((N, 12), dtype=np.float32)
    strengths[:, 0] = 1
    strengths[np.arange(N), 1 + np.arange(N) % 10] = 1
    data = data_of(strengths)
    held_out = held_out_of([[11] if row < 50 else [1 + (row + 1) % 10] for row in range(N)], 12, [0] * N)
    popular = Scripted(
        lambda histories: np.tile(np.eye(12, dtype=np.float32)[11], (histories.shape[0], 1)), Popularity()
    )
    own = scripted(lambda histories: np.roll(histories.toarray(), 1, axis=1))
    weights = best_weights([popular, own], data, held_out)
    assert 0 < weights[0] <= 1 / 3 and sum(weights) == pytest.approx(1, abs=1e-3)


def test_what_is_popular_weighs_what_it_is_worth_where_items_may_be_had_again() -> None:
    data, _ = everybody_wants_one()
    again = replace(held_out_of([[11]] * N, N, [0] * N), may_repeat=True)
    popular = Scripted(
        lambda histories: np.tile(np.eye(N, dtype=np.float32)[11], (histories.shape[0], 1)), Popularity()
    )
    assert best_weights([popular, knowing(range(30))], data, again)[0] > 1 / 2
    assert best_weights([popular, knowing(range(30))], data, replace(again, may_repeat=False))[0] <= 1 / 3


def test_what_was_had_is_weighed_where_it_may_be_had_again() -> None:
    data, _ = everybody_wants_one()
    again = replace(held_out_of([[(row + 1) % N] for row in range(N)], N, [0] * N), may_repeat=True)
    again = replace(again, relevant=csr_matrix(data.strengths))
    own = scripted(lambda histories: histories.toarray())
    assert best_weights([knowing(range(N)), own], data, again) == (0.0, 1.0)


def misleading_others(customers: range) -> Scripted:
    """Says what these customers want, and to all others twenty-five things that they do not want."""

    def score(histories: csr_matrix) -> FloatArray:
        scores = knowing(customers).score(histories)
        for row in np.flatnonzero(~scores.any(axis=1)):
            wanted = (histories.indices[row] - 1) % N
            scores[row, (wanted + 5 + np.arange(25)) % N] = 1
        return scores

    return scripted(score)


def test_two_that_are_of_use_only_together_are_found_where_items_may_be_had_again() -> None:
    """The best single family knows the second place of everybody, and is made worse by either of the two."""

    def nearly(histories: csr_matrix) -> FloatArray:
        scores = np.full(histories.shape, 0.49, dtype=np.float32)
        wanted = (histories.indices - 1) % N
        scores[np.arange(len(wanted)), wanted] = 0.5
        scores[np.arange(len(wanted)), (wanted + 3) % N] = 1
        return scores

    data, held_out = everybody_wants_one()
    again = replace(held_out, may_repeat=True)
    fitted = [scripted(nearly), misleading_others(range(30)), misleading_others(range(30, N))]
    weights = best_weights(fitted, data, again)
    assert weights[0] == 0 and min(weights[1:]) > 0.2


def test_popularity_alone_is_weighed_where_there_is_nothing_else() -> None:
    data, held_out = everybody_wants_one()
    assert best_weights([Popularity().fit(data, seed=1)], data, held_out) == (1.0,)


def test_shortlists_judge_a_family_as_full_ranking_does() -> None:
    """The weights of a real blend, and that it is no worse than its parts in a full evaluation."""
    parts = split(without_times(busy_history(n=6000)), POLICY, seed=1)
    assert parts.held_out
    data = data_of(parts.train.strengths.toarray())
    fitted = [Als().fit(data, seed=1), Spectral().fit(data, seed=1)]
    weights = best_weights(fitted, data, parts.held_out)
    assert min(weights) >= 0 and sum(weights) == pytest.approx(1, abs=1e-3)
    assert best_weights(fitted, data, parts.held_out) == weights
    alone = [
        evaluate(one, data, parts.held_out, item_categories=None, rng=np.random.default_rng(1)).primary.value
        for one in fitted
    ]
    assert weights[int(np.argmax(alone))] > 0
