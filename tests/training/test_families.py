"""What every family must do: find planted structure, stay finite, owe nothing to ids, order or threads."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from threadpoolctl import threadpool_limits

from recsvc.errors import TrainingError
from recsvc.training.families import (
    FAMILIES,
    OPTIONAL_FAMILIES,
    Als,
    Bpr,
    Cooccurrence,
    Ease,
    Lmf,
    Neighbours,
    Popularity,
    families_named,
)
from recsvc.training.families.base import Family, TrainingData, training_data
from recsvc.training.families.ease import MAX_ITEMS, usual_regularization
from recsvc.training.families.neighbours import WEIGHTINGS, Weighting
from tests.training.examples import blocks_with_one_withheld, data_of, matrix_of

EVERY = FAMILIES + OPTIONAL_FAMILIES
every_family = pytest.mark.parametrize("family", EVERY, ids=lambda family: family.name)
every_personal_family = pytest.mark.parametrize(
    "family", [family for family in EVERY if family.is_personal], ids=lambda family: family.name
)
OF_FEW_ITEMS = {"bpr": {"n_factors": 8, "learning_rate": 0.05, "n_iterations": 400}, "lmf": {"n_factors": 8}}


def for_few_items(family: Family) -> Family:
    """The family as a person would set it who asks for it by name, where its own settings are for many."""
    return replace(family, **OF_FEW_ITEMS.get(family.name, {}))  # type: ignore[type-var]


def random_strengths(n_customers: int = 80, n_items: int = 60, seed: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    taken = rng.random((n_customers, n_items)) < 0.15
    taken[:, 0] = True
    return np.where(taken, rng.integers(1, 9, taken.shape), 0).astype(np.float32)


def near(scores: NDArray[np.float32], share: float) -> Any:
    """Within a share of each score, or of the greatest one."""
    return pytest.approx(scores, rel=share, abs=share * float(np.abs(scores).max()))


@every_personal_family
def test_the_withheld_item_of_a_planted_block_comes_first(family: Family) -> None:
    strengths, withheld = blocks_with_one_withheld()
    data = data_of(strengths)
    scores = for_few_items(family).fit(data, seed=1).score(data.strengths)
    scores[strengths > 0] = -np.inf
    assert scores.argmax(axis=1).tolist() == withheld.tolist()


@every_personal_family
def test_a_stranger_with_one_item_of_a_block_gets_that_block(family: Family) -> None:
    strengths, _ = blocks_with_one_withheld()
    fitted = for_few_items(family).fit(data_of(strengths), seed=1)
    for item in (0, 13, 47):
        history = csr_matrix(([np.float32(1)], ([0], [item])), shape=(1, 48))
        scores = fitted.score(history)[0]
        scores[item] = -np.inf
        best = np.argsort(-scores)[:11]
        assert {row // 12 for row in best.tolist()} == {item // 12}


def test_popularity_gives_everybody_the_same() -> None:
    data = data_of(random_strengths())
    scores = Popularity().fit(data, seed=1).score(data.strengths)
    assert (scores == np.log1p(data.popularity)).all() and scores.shape == data.strengths.shape


def assert_same_bits(first: Any, second: Any, histories: csr_matrix) -> None:
    assert first.score(histories).tobytes() == second.score(histories).tobytes()
    assert first.parameters == second.parameters
    for name, array in first.arrays().items():
        assert array.tobytes() == second.arrays()[name].tobytes(), name


@every_family
def test_the_same_data_and_seed_give_the_same_bits(family: Family) -> None:
    first, second = (data_of(random_strengths()) for _ in range(2))
    fitted = [family.fit(data, seed=7) for data in (first, second)]
    assert_same_bits(*fitted, first.strengths)


@every_family
def test_the_number_of_threads_changes_no_bits(family: Family) -> None:
    data = data_of(random_strengths(400, 300))
    with threadpool_limits(1):
        alone = family.fit(data, seed=7)
    with threadpool_limits(4):
        several = family.fit(data, seed=7)
    with threadpool_limits(1):
        assert_same_bits(alone, several, data.strengths)


@every_family
def test_renamed_ids_change_nothing(family: Family) -> None:
    strengths = random_strengths()
    rng = np.random.default_rng(6)
    customers, items = (rng.permutation(n) for n in strengths.shape)
    data, renamed = data_of(strengths), data_of(strengths[customers][:, items])
    scores = family.fit(data, seed=1).score(data.strengths)
    renamed_scores = family.fit(renamed, seed=1).score(renamed.strengths)
    assert renamed_scores == near(scores[customers][:, items], 1e-3)


@every_family
def test_scores_are_the_callers_to_change(family: Family) -> None:
    data = data_of(random_strengths())
    fitted = family.fit(data, seed=1)
    scores = fitted.score(data.strengths)
    before = scores.copy()
    scores[:] = -np.inf
    assert np.array_equal(fitted.score(data.strengths), before)


@every_family
def test_a_customer_gets_the_same_scores_in_any_company(family: Family) -> None:
    data = data_of(random_strengths())
    fitted = family.fit(data, seed=1)
    together = fitted.score(data.strengths)
    with ThreadPoolExecutor(4) as threads:
        alone = list(threads.map(lambda row: fitted.score(data.strengths[row])[0], range(80)))
    assert np.array(alone) == near(together, 1e-5)


def everything_odd() -> Mapping[str, NDArray[Any]]:
    rng = np.random.default_rng(3)
    one_each = np.zeros((30, 5))
    one_each[np.arange(30), np.arange(30) % 5] = 1
    greedy = random_strengths(40, 30)
    greedy[0] = 1
    alike = np.tile(random_strengths(1, 20), (25, 1))
    wide = random_strengths() * 10 ** rng.uniform(-3, 4, (80, 60))
    one_heavy = random_strengths() * 1e-3
    one_heavy[0, 0] = 1e4
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
        "strengths over seven orders of magnitude": wide,
        "one strength that outweighs all others": one_heavy,
        "items that nobody took": nobodys,
        "one item that everybody took": only_one,
        "two customers, two items": np.eye(2),
        "one customer, one item": np.ones((1, 1)),
        "one customer": random_strengths(1, 30),
        "one item": np.ones((30, 1)),
        "more items than customers": random_strengths(3, 200),
    }


@pytest.mark.parametrize("odd", everything_odd())
@every_family
def test_whatever_the_data_scores_and_arrays_are_finite(family: Family, odd: str) -> None:
    data = data_of(everything_odd()[odd])
    fitted = family.fit(data, seed=1)
    n_items = data.strengths.shape[1]
    histories = vstack([data.strengths, csr_matrix((1, n_items), dtype=np.float32)]).tocsr()
    scores = fitted.score(histories)
    assert scores.dtype == np.float32 and scores.shape == histories.shape
    assert np.isfinite(scores).all()
    if family.is_personal:
        assert not scores[-1].any(), "an empty history says nothing"
    for name, array in fitted.arrays().items():
        assert np.isfinite(array).all(), name


@every_personal_family
@pytest.mark.parametrize("factor", [1 / 128, 128])
def test_the_unit_of_strength_changes_nothing(family: Family, factor: float) -> None:
    strengths = random_strengths()
    scores = []
    for one in (strengths, strengths * np.float32(factor)):
        data = data_of(one)
        scores.append(family.fit(data, seed=1).score(data.strengths))
    assert np.array_equal(*scores)


def test_strengths_are_scaled_to_a_mean_of_one() -> None:
    matrix = matrix_of(random_strengths() * 37)
    data = training_data(matrix)
    assert data.strengths.data.mean() == pytest.approx(1.0, rel=1e-6)
    assert data.strengths.toarray() == pytest.approx(matrix.strengths.toarray() * data.strength_scale)
    assert data.customer_counts.tolist() == (matrix.strengths.toarray() > 0).sum(axis=0).tolist()


@every_family
def test_every_array_is_named_after_its_family_and_of_a_type_that_bundles_know(family: Family) -> None:
    data = data_of(random_strengths())
    for name, array in family.fit(data, seed=1).arrays().items():
        assert name.startswith(f"{family.name}_")
        assert array.dtype in (np.dtype("<f4"), np.dtype("<i4")) and array.flags.c_contiguous, name


@every_family
def test_what_was_fitted_can_be_fitted_again(family: Family) -> None:
    data = data_of(random_strengths())
    for one in (family.fit(data, seed=1), *family.fit(data, seed=1).variations()):
        again = one.family.fit(data, seed=1)
        assert one.family.name == again.family.name == family.name
        assert again.parameters == one.parameters
        assert again.score(data.strengths) == near(one.score(data.strengths), 1e-3)


@every_family
def test_settings_and_reduced_fits_are_of_the_same_family(family: Family) -> None:
    data = data_of(random_strengths())
    settings = family.settings(data)
    assert 1 <= len(settings) <= 9 and len(set(settings)) == len(settings)
    for one in settings:
        assert one.name == one.reduced().name == family.name
        assert np.isfinite(one.reduced().fit(data, seed=1).score(data.strengths)).all()


@every_personal_family
def test_where_there_are_item_factors_scores_lie_in_their_span(family: Family) -> None:
    data = data_of(random_strengths())
    fitted = family.fit(data, seed=1)
    factors = fitted.item_factors()
    if factors is None:
        assert family.name in ("neighbours", "cooccurrence", "ease")
        return
    scores = fitted.score(data.strengths)
    customers = np.linalg.lstsq(factors.astype(float), scores.T.astype(float), rcond=None)[0]
    assert factors @ customers == near(scores.T, 1e-3)


def folded_in(
    factors: NDArray[Any], gram: NDArray[Any], confidence: NDArray[Any], items: NDArray[Any]
) -> NDArray[np.float64]:
    """A customer's vector by the closed form, in double precision."""
    taken = factors[items].astype(float)
    system = gram.astype(float) + (taken.T * (confidence.astype(float) - 1)) @ taken
    return np.asarray(np.linalg.solve(system, confidence.astype(float) @ taken))


@pytest.mark.parametrize("family", [Als(), Als(6.0, 30.0), Bpr(), Lmf()], ids=lambda family: family.name)
def test_customers_are_folded_in_by_the_closed_form_over_the_arrays(family: Als | Bpr | Lmf) -> None:
    data = data_of(random_strengths())
    fitted = family.fit(data, seed=1)
    arrays, parameters = fitted.arrays(), fitted.parameters
    factors, gram = (arrays[f"{family.name}_{name}"] for name in ("item_factors", "gram"))
    ridge = float(parameters["regularization"]) * np.eye(factors.shape[1])
    assert gram == pytest.approx(factors.T @ factors + ridge, rel=1e-4, abs=1e-3)
    for row in range(0, 80, 8):
        history = data.strengths[row]
        confidence = float(parameters["confidence"]) * history.data
        customer = folded_in(factors, gram, confidence, history.indices)
        assert fitted.score(history)[0] == near((factors @ customer).astype(np.float32), 1e-3)


def test_als_leaves_little_of_what_implicit_calls_the_loss() -> None:
    data = data_of(random_strengths())
    fitted = Als(15.0, 7.0).fit(data, seed=1)
    losses = []
    for n_iterations in (1, 15):
        own = AlternatingLeastSquares(
            factors=16, alpha=15.0, regularization=7.0, iterations=n_iterations, random_state=5
        )
        with threadpool_limits(1, user_api="blas"):
            own.fit(data.strengths, show_progress=False)
        losses.append(loss_of(data, own.item_factors))
    assert (
        loss_of(data, fitted.factors) == pytest.approx(losses[1], rel=0.02) and losses[1] < 0.98 * losses[0]
    )


def loss_of(data: TrainingData, item_factors: NDArray[np.float32]) -> float:
    """Hu, Koren and Volinsky's eq. 3, with the customers that are best for these items."""
    gram = item_factors.T.astype(float) @ item_factors + 7.0 * np.eye(16)
    total = 7.0 * float(np.square(item_factors).sum())
    for history in data.strengths:
        confidence = np.ones(item_factors.shape[0])
        confidence[history.indices] = 15.0 * history.data
        customer = folded_in(item_factors, gram, confidence[history.indices], history.indices)
        wanted = np.zeros(item_factors.shape[0])
        wanted[history.indices] = 1
        total += float(confidence @ (wanted - item_factors @ customer) ** 2 + 7.0 * customer @ customer)
    return total


def test_the_more_a_customer_does_with_an_item_the_nearer_als_brings_it_to_one() -> None:
    data = data_of(random_strengths())
    fitted = Als().fit(data, seed=1)
    rows = np.arange(80)
    items = np.array([data.strengths[row].indices[-1] for row in rows])
    more = data.strengths.tolil()
    more[rows, items] = more[rows, items].toarray()[0] * 3
    before, after = (fitted.score(one.tocsr())[rows, items] for one in (data.strengths, more))
    assert (np.abs(1 - after) <= np.abs(1 - before) + 1e-5).all()


@pytest.mark.parametrize(
    ("n_items", "n_factors"), [(10, 10), (640, 16), (3706, 52), (9066, 94), (40_981, 256), (200_000, 256)]
)
def test_als_takes_more_factors_for_more_items(n_items: int, n_factors: int) -> None:
    strengths = csr_matrix(
        (np.ones(300, dtype=np.float32), (np.arange(300), np.arange(300) % n_items)), shape=(300, n_items)
    )
    data = training_data(replace(matrix_of(np.ones((1, 1))), strengths=strengths))
    fitted = Als(n_iterations=1).fit(data, seed=1)
    assert fitted.parameters["n_factors"] == n_factors
    assert fitted.arrays()["als_item_factors"].shape == (n_items, n_factors)
    assert Als(n_iterations=1).reduced().fit(data, seed=1).parameters["n_factors"] == min(
        max(n_factors // 2, 8), n_items
    )


@pytest.mark.parametrize(
    ("density", "likeliest"), [(0.0007, (40.0, 2.0)), (0.013, (6.0, 30.0)), (0.04, (3.0, 30.0))]
)
def test_als_first_tries_what_suits_the_density(density: float, likeliest: tuple[float, float]) -> None:
    taken = np.random.default_rng(1).random((1000, 500)) < density
    settings = Als().settings(data_of(taken))
    assert all(isinstance(one, Als) for one in settings)
    tried = [(one.confidence, one.regularization) for one in settings if isinstance(one, Als)]
    assert tried[0] == likeliest
    assert all(3 <= confidence <= 40 and 2 <= regularization <= 30 for confidence, regularization in tried)


def likeness_of(strengths: NDArray[np.float32], weighting: Weighting) -> NDArray[np.float64]:
    """How like two items are, slowly."""
    strengths = strengths.astype(float)
    choosy = np.log(strengths.shape[1]) - np.log1p((strengths > 0).sum(axis=1))
    choosy = np.maximum(choosy, 1e-6)[:, None]
    match weighting:
        case "cosine":
            weighted = strengths
        case "tfidf":
            weighted = np.sqrt(strengths) * choosy
        case "bm25":
            length = 0.25 + 0.75 * strengths.sum(axis=0) / strengths.sum(axis=0).mean()
            weighted = strengths * 2.2 / (1.2 * length + strengths) * choosy
    if weighting != "bm25":
        weighted = weighted / np.linalg.norm(weighted, axis=0)
    likeness: NDArray[np.float64] = weighted.T @ weighted
    np.fill_diagonal(likeness, 0)
    return likeness


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_neighbours_are_what_their_weighting_says(weighting: Weighting) -> None:
    data = data_of(random_strengths())
    found = Neighbours(weighting).fit(data, seed=1).similarity.toarray()
    assert found == pytest.approx(likeness_of(data.strengths.toarray(), weighting), rel=1e-4, abs=1e-5)


def cooccurrence_of(
    strengths: NDArray[np.float32], customer: float, history: float, proposed: float
) -> NDArray[np.float64]:
    """D_i^-a Rᵀ D_u^-e R D_i^-b without its diagonal, dense."""
    strengths = strengths.astype(float)
    of_customers, of_items = strengths.sum(axis=1), strengths.sum(axis=0)
    together = strengths.T @ (strengths * of_customers[:, None] ** -customer)
    counted = together * of_items[:, None] ** -history * of_items**-proposed
    np.fill_diagonal(counted, 0)
    return counted


@pytest.mark.parametrize("exponents", [(0.6, 0.6, 0.4), (0.0, 0.0, 0.0), (1.0, 0.2, 0.8)])
def test_cooccurrence_is_the_normalised_product(exponents: tuple[float, float, float]) -> None:
    data = data_of(random_strengths())
    found = Cooccurrence(*exponents).fit(data, seed=1).similarity.toarray()
    assert found == pytest.approx(cooccurrence_of(data.strengths.toarray(), *exponents), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("family", [Neighbours(n_neighbours=5), Cooccurrence(n_neighbours=5)])
def test_only_the_greatest_of_what_an_item_proposes_are_kept(family: Neighbours | Cooccurrence) -> None:
    data = data_of(random_strengths())
    fitted = family.fit(data, seed=1)
    items, scores = (fitted.arrays()[f"{family.name}_{name}"] for name in ("items", "scores"))
    assert items.shape == scores.shape == (60, 5)
    exact = (
        likeness_of(data.strengths.toarray(), "tfidf")
        if isinstance(family, Neighbours)
        else cooccurrence_of(
            data.strengths.toarray(),
            family.customer_exponent,
            family.history_exponent,
            family.proposed_exponent,
        )
    )
    for row in range(60):
        kept = items[row] >= 0
        assert row not in items[row] and (scores[row][~kept] == 0).all()
        assert scores[row][kept] == pytest.approx(exact[row, items[row][kept]], rel=1e-4)
        assert np.sort(scores[row]) == pytest.approx(np.sort(exact[row])[-5:], rel=1e-4)


def test_twins_of_an_item_never_crowd_out_the_limit_of_neighbours() -> None:
    for family in (Neighbours(n_neighbours=5), Cooccurrence(n_neighbours=5)):
        fitted = family.fit(data_of(np.ones((9, 20))), seed=1)
        items = fitted.arrays()[f"{family.name}_items"]
        assert items.shape[1] <= 5 and all(row not in items[row] for row in range(20))


def test_cooccurrence_varies_the_exponents_of_items_as_a_new_fit_would() -> None:
    data = data_of(random_strengths())
    variations = list(Cooccurrence().fit(data, seed=1).variations())
    tried = {(one.parameters["history_exponent"], one.parameters["proposed_exponent"]) for one in variations}
    assert tried == {(0.6, 0.2), (0.4, 0.2), (0.5, 0.3), (0.5, 0.1)}


def ease_of(strengths: NDArray[np.float32], regularization: float) -> NDArray[np.float64]:
    """Steck's eq. 8 as it stands."""
    inverse = np.linalg.inv(
        strengths.T.astype(float) @ strengths + regularization * np.eye(strengths.shape[1])
    )
    weights: NDArray[np.float64] = np.eye(strengths.shape[1]) - inverse / np.diagonal(inverse)
    return weights


@pytest.mark.parametrize("n_items", [60, 700])
@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_ease_is_the_closed_form(n_items: int, spread: float) -> None:
    rng = np.random.default_rng(5)
    strengths = random_strengths(90, n_items) * 10 ** rng.uniform(-spread, spread, (90, n_items))
    data = data_of(strengths)
    for family in Ease().settings(data):
        fitted = family.fit(data, seed=1)
        expected = ease_of(data.strengths.toarray(), float(fitted.parameters["regularization"]))
        weights = fitted.arrays()["ease_weights"]
        # Half a million numbers: numpy compares them at once, pytest one by one.
        assert (np.abs(weights - expected) <= np.maximum(2e-3 * np.abs(expected), 1e-4)).all()
        assert not np.diagonal(weights).any()
        scores = data.strengths @ expected
        assert (np.abs(fitted.score(data.strengths) - scores) <= 2e-3 * np.abs(scores).max()).all()


def test_ease_tells_items_apart_that_all_but_one_customer_take_together() -> None:
    strengths = np.ones((20_000, 40), dtype=np.float32) * 1000
    strengths[0, :20] = 0
    data = replace(data_of(np.ones((2, 40))), strengths=csr_matrix(strengths))
    fitted = Ease(regularization_share=1e-6).fit(data, seed=1)
    expected = ease_of(strengths, float(fitted.parameters["regularization"]))
    assert fitted.arrays()["ease_weights"] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_ease_shrinks_more_where_items_are_taken_more() -> None:
    few, many = (data_of(random_strengths(n_customers)) for n_customers in (50, 5000))
    assert usual_regularization(many) > 2 * usual_regularization(few)


def test_ease_has_no_settings_for_more_items_than_it_can_hold() -> None:
    wide = replace(data_of(np.ones((1, 1))), strengths=csr_matrix((2, MAX_ITEMS + 1), dtype=np.float32))
    assert Ease().settings(wide) == ()
    with pytest.raises(TrainingError, match="6,000 items"):
        Ease().fit(wide, seed=1)


def test_families_are_found_by_name() -> None:
    assert [family.name for family in families_named(("als", "popularity"))] == ["popularity", "als"]
    assert [family.name for family in families_named(("lmf", "ease"))] == ["ease", "lmf"]
    assert families_named(()) == FAMILIES
    assert [family.name for family in FAMILIES] == [
        "popularity",
        "neighbours",
        "cooccurrence",
        "als",
        "spectral",
        "ease",
    ]
