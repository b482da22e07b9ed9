"""What every family must do: find planted structure, stay finite, and answer in serving as in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recsvc.training.blending import PopularityBlend
from recsvc.training.families import FAMILIES, Als, Neighbours, Popularity, families_named
from recsvc.training.families.base import Family, Fitted, training_data
from tests.training.examples import blocks_with_one_withheld, data_of, matrix_of

PERSONAL = [family for family in FAMILIES if family.is_personal]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
every_personal_family = pytest.mark.parametrize("family", PERSONAL, ids=lambda family: family.name)


def random_strengths(n_customers: int = 80, n_items: int = 60, seed: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    taken = rng.random((n_customers, n_items)) < 0.15
    taken[:, 0] = True
    return np.where(taken, rng.integers(1, 9, taken.shape), 0).astype(np.float32)


@every_personal_family
def test_the_withheld_item_of_a_planted_block_comes_first(family: Family) -> None:
    strengths, withheld = blocks_with_one_withheld()
    data = data_of(strengths)
    scores = family.fit(data, seed=1).score(data.strengths)
    scores[strengths > 0] = -np.inf
    assert scores.argmax(axis=1).tolist() == withheld.tolist()


@every_personal_family
def test_a_stranger_with_one_item_of_a_block_gets_that_block(family: Family) -> None:
    strengths, _ = blocks_with_one_withheld()
    fitted = family.fit(data_of(strengths), seed=1)
    for item in (0, 13, 47):
        history = np.zeros((1, 48), dtype=np.float32)
        history[0, item] = 1
        scores = fitted.score(data_of(history).strengths)[0]
        scores[item] = -np.inf
        best = np.argsort(-scores)[:11]
        assert {row // 12 for row in best.tolist()} == {item // 12}


def test_popularity_gives_everybody_the_same() -> None:
    data = data_of(random_strengths())
    scores = Popularity().fit(data, seed=1).score(data.strengths)
    assert (scores == data.popularity).all() and scores.shape == data.strengths.shape


@every_family
def test_the_same_data_and_seed_give_the_same_bits(family: Family) -> None:
    data = data_of(random_strengths())
    first, second = (family.fit(data, seed=7) for _ in range(2))
    assert first.score(data.strengths).tobytes() == second.score(data.strengths).tobytes()
    assert first.parameters == second.parameters
    for name, array in first.arrays().items():
        assert array.tobytes() == second.arrays()[name].tobytes(), name


@every_family
def test_scores_are_the_callers_to_change(family: Family) -> None:
    data = data_of(random_strengths())
    fitted = family.fit(data, seed=1)
    scores = fitted.score(data.strengths)
    before = scores.copy()
    scores[:] = -np.inf
    assert np.array_equal(fitted.score(data.strengths), before)


def everything_odd() -> Mapping[str, NDArray[Any]]:
    rng = np.random.default_rng(3)
    one_each = np.zeros((30, 5))
    one_each[np.arange(30), np.arange(30) % 5] = 1
    greedy = random_strengths(40, 30)
    greedy[0] = 1
    alike = np.tile(random_strengths(1, 20), (25, 1))
    wide = random_strengths() * 10 ** rng.uniform(-3, 3, (80, 60))
    twins = np.ones((150, 130))
    nobodys = random_strengths(40, 30)
    nobodys[:, [3, 29]] = 0
    only_one = np.zeros((20, 10))
    only_one[:, 4] = 1
    return {
        "one item per customer": one_each,
        "a customer with all items": greedy,
        "customers who are all alike": alike,
        "everybody has everything": twins,
        "strengths over six orders of magnitude": wide,
        "items that nobody took": nobodys,
        "one item that everybody took": only_one,
        "two customers, two items": np.eye(2),
        "more items than customers": random_strengths(3, 200),
    }


@pytest.mark.parametrize("odd", everything_odd())
@every_family
def test_whatever_the_data_scores_and_arrays_are_finite(family: Family, odd: str) -> None:
    data = data_of(everything_odd()[odd])
    fitted = family.fit(data, seed=1)
    for candidate in (fitted, PopularityBlend(fitted, data.popularity, 1.0)):
        scores = candidate.score(data.strengths)
        assert scores.dtype == np.float32 and scores.shape == data.strengths.shape
        assert np.isfinite(scores).all()
    for name, array in fitted.arrays().items():
        assert np.isfinite(array).all(), name


def test_the_more_a_customer_does_with_an_item_the_nearer_als_brings_it_to_one() -> None:
    data = data_of(random_strengths())
    fitted = Als().fit(data, seed=1)
    rows = np.arange(80)
    items = np.array([data.strengths[row].indices[-1] for row in rows])
    more = data.strengths.tolil()
    more[rows, items] = more[rows, items].toarray()[0] * 3
    before, after = (fitted.score(one.tocsr())[rows, items] for one in (data.strengths, more))
    assert (np.abs(1 - after) <= np.abs(1 - before) + 1e-5).all()


def test_als_folds_in_as_implicit_recalculates_a_customer() -> None:
    data = data_of(random_strengths())
    fitted = Als().fit(data, seed=1)
    arrays = fitted.arrays()
    factors, gram = arrays["als_item_factors"].astype(float), arrays["als_gram"].astype(float)
    with threadpool_limits(1, user_api="blas"):
        expected = fitted.model.recalculate_user(np.arange(80), data.strengths)
    for row in range(0, 80, 8):
        history = data.strengths[row]
        taken, confidence = factors[history.indices], 40.0 * history.data.astype(float)
        system = gram + (taken.T * (confidence - 1)) @ taken
        customer = np.linalg.solve(system, confidence @ taken)
        assert customer == pytest.approx(expected[row], rel=1e-3, abs=1e-4)
        assert fitted.score(history)[0] == pytest.approx(factors @ customer, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("n_items", "n_factors"), [(10, 10), (100, 16), (2000, 50), (9000, 128)])
def test_als_takes_more_factors_for_more_items(n_items: int, n_factors: int) -> None:
    strengths = np.zeros((200, n_items), dtype=np.float32)
    strengths[np.arange(200), np.arange(200) % n_items] = 1
    fitted = Als(n_iterations=1).fit(data_of(strengths), seed=1)
    assert fitted.parameters["n_factors"] == n_factors
    assert fitted.arrays()["als_item_factors"].shape == (n_items, n_factors)


def cosine_of_tf_idf(strengths: NDArray[np.float32]) -> NDArray[np.float64]:
    """How like two items are, slowly: cosine of root strengths, weighed by how choosy customers are."""
    n_items = strengths.shape[1]
    choosy = np.log(n_items) - np.log1p((strengths > 0).sum(axis=1))
    weighted = np.sqrt(strengths.astype(float)) * np.maximum(choosy, 1e-6)[:, None]
    unit = weighted / np.linalg.norm(weighted, axis=0)
    likeness: NDArray[np.float64] = unit.T @ unit
    np.fill_diagonal(likeness, 0)
    return likeness


def test_neighbours_are_the_cosine_of_weighted_customers() -> None:
    data = data_of(random_strengths())
    found = Neighbours().fit(data, seed=1).likeness.toarray()
    assert found == pytest.approx(cosine_of_tf_idf(data.strengths.toarray()), abs=1e-5)


def test_only_the_nearest_neighbours_are_kept() -> None:
    data = data_of(random_strengths())
    fitted = Neighbours(n_neighbours=5).fit(data, seed=1)
    items, scores = (fitted.arrays()[f"neighbour_{name}"] for name in ("items", "scores"))
    assert items.shape == scores.shape == (60, 5)
    exact = cosine_of_tf_idf(data.strengths.toarray())
    for row in range(60):
        kept = items[row] >= 0
        assert row not in items[row] and (scores[row][~kept] == 0).all()
        assert np.sort(scores[row]) == pytest.approx(np.sort(exact[row])[-5:], abs=1e-5)


def test_twins_of_an_item_never_crowd_out_the_limit_of_neighbours() -> None:
    fitted = Neighbours(n_neighbours=5).fit(data_of(np.ones((9, 20))), seed=1)
    items = fitted.arrays()["neighbour_items"]
    assert items.shape[1] <= 5 and all(row not in items[row] for row in range(20))


def test_strengths_are_scaled_to_a_mean_of_one() -> None:
    matrix = matrix_of(random_strengths() * 37)
    data = training_data(matrix)
    assert data.strengths.data.mean() == pytest.approx(1.0, rel=1e-6)
    assert data.strengths.toarray() == pytest.approx(matrix.strengths.toarray() * data.strength_scale)
    assert data.customer_counts.tolist() == (matrix.strengths.toarray() > 0).sum(axis=0).tolist()


@every_personal_family
@pytest.mark.parametrize("factor", [1 / 128, 128])
def test_the_unit_of_strength_changes_nothing(family: Family, factor: float) -> None:
    strengths = random_strengths()
    scores = []
    for one in (strengths, strengths * np.float32(factor)):
        data = data_of(one)
        scores.append(family.fit(data, seed=1).score(data.strengths))
    assert np.array_equal(*scores)


def test_a_blend_is_the_sum_of_both_on_one_scale() -> None:
    data = data_of(random_strengths())
    personal: Fitted = Neighbours().fit(data, seed=1)
    blend = PopularityBlend(personal, data.popularity, 2.0)
    own = personal.score(data.strengths).astype(float)
    popular = np.log1p(data.popularity.astype(float))
    own = (own - own.mean(axis=1, keepdims=True)) / own.std(axis=1, keepdims=True)
    expected = own + 2 * (popular - popular.mean()) / popular.std()
    assert blend.score(data.strengths) == pytest.approx(expected, abs=1e-4)
    assert blend.parameters == {**personal.parameters, "popularity_weight": 2.0}


def test_families_are_found_by_name() -> None:
    assert [family.name for family in families_named(("als", "popularity"))] == ["popularity", "als"]
    assert families_named(()) == FAMILIES
