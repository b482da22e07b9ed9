"""Serving scores as training did, and says what a score is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.manifest import PartFacts
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import build_matrix
from recsvc.sample_bank import SampleBank
from recsvc.serving.scoring import Scorer, make_scorer
from recsvc.serving.scoring.parts import Spread
from recsvc.training.blending import Model, Recipe
from recsvc.training.families import FAMILIES, OPTIONAL_FAMILIES, Als, Ease, Popularity, Spectral
from recsvc.training.families.base import Family, Fitted, TrainingData, training_data

from ..bundles.whole_bundle import LIVE
from ..small_bank import POLICY
from ..training.examples import data_of
from .made_bundles import bundle_of, history_of

BY_NAME = {family.name: family for family in FAMILIES + OPTIONAL_FAMILIES}
PERSONAL = [name for name, family in BY_NAME.items() if family.is_personal]
OF_FACTORS = ["als", "spectral", "bpr", "lmf"]
BLENDS = {
    "two": {"als": 0.7, "popularity": 0.3},
    "popular": {"popularity": 0.9, "ease": 0.1},
    "factors": {"spectral": 0.6, "als": 0.4},
    "all": dict.fromkeys(BY_NAME, 1 / len(BY_NAME)),
}
Pair = tuple[Model, Scorer]
Pairs = Callable[[str], Pair]

histories = st.dictionaries(st.integers(0, 10_000), st.floats(0.0625, 20, width=32), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def data(bank_in_small: SampleBank) -> TrainingData:
    return training_data(build_matrix(InteractionTable.from_frame(bank_in_small.events), POLICY, as_of=None))


@pytest.fixture(scope="module")
def pairs(data: TrainingData) -> Pairs:
    """A family or a blend as training fitted it, and the scorer that serving makes of it."""

    @cache
    def fitted(name: str) -> Fitted:
        return BY_NAME[name].fit(data, seed=1)

    @cache
    def pair(name: str) -> Pair:
        weights = BLENDS.get(name, {name: 1.0})
        model = Model(tuple((fitted(one), weight) for one, weight in weights.items()))
        return model, make_scorer(bundle_of(model.facts, {**model.arrays(), "popularity": data.popularity}))

    return pair


def as_matrix(history: History, n: int) -> csr_matrix:
    rows = (np.zeros(len(history), dtype=np.int32), history.item_rows)
    return csr_matrix((history.strengths, rows), shape=(1, n))


def everything(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int32)


@pytest.mark.parametrize("name", [*BY_NAME, *BLENDS])
@settings(deadline=None, max_examples=25)
@given(drawn=histories)
def test_serving_scores_as_training_did(
    pairs: Pairs, data: TrainingData, name: str, drawn: dict[int, float]
) -> None:
    model, scorer = pairs(name)
    n = len(data.popularity)
    history = history_of(drawn, n)
    trained = model.score(as_matrix(history, n))[0]
    np.testing.assert_allclose(scorer.score(history), trained, rtol=1e-3, atol=1e-3 * np.abs(trained).max())


@pytest.mark.parametrize("name", [*BY_NAME, *BLENDS])
@settings(deadline=None, max_examples=25)
@given(drawn=histories, rows=st.sets(st.integers(0, 10_000), min_size=1, max_size=40))
def test_a_score_is_the_same_whether_all_items_are_scored_or_some(
    pairs: Pairs, data: TrainingData, name: str, drawn: dict[int, float], rows: set[int]
) -> None:
    _, scorer = pairs(name)
    n = len(data.popularity)
    history, some = history_of(drawn, n), np.array(sorted({row % n for row in rows}), dtype=np.int32)
    whole = scorer.score(history)
    tolerance = 1e-5 * np.abs(whole).max()
    for rows_asked in (some, everything(n)[1::2]):
        scores = scorer.score_of(history, rows_asked)
        np.testing.assert_allclose(scores, whole[rows_asked], rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("name", PERSONAL)
@settings(deadline=None, max_examples=25)
@given(drawn=histories)
def test_the_parts_of_a_score_add_up_to_it(
    pairs: Pairs, data: TrainingData, name: str, drawn: dict[int, float]
) -> None:
    _, scorer = pairs(name)
    n = len(data.popularity)
    history = history_of(drawn, n)
    parts, scores = scorer.account(history).of(everything(n)[::-1]).own[::-1], scorer.score(history)
    assert parts.shape == (n, len(history))
    np.testing.assert_allclose(parts.sum(axis=1), scores, rtol=1e-3, atol=1e-3 * np.abs(scores).max())


@pytest.mark.parametrize("name", [*PERSONAL, *BLENDS])
def test_of_no_items_there_are_no_parts(pairs: Pairs, data: TrainingData, name: str) -> None:
    """Where a list names nobody's history, its reasons ask for the parts of nothing."""
    _, scorer = pairs(name)
    history = history_of({1: 2.0, 3: 1.0}, len(data.popularity))
    assert scorer.account(history).of(everything(0)).own.shape == (0, 2)


@pytest.mark.parametrize("name", BLENDS)
@settings(deadline=None, max_examples=25)
@given(drawn=histories)
def test_the_parts_of_a_blend_are_all_that_the_history_adds(
    pairs: Pairs, data: TrainingData, name: str, drawn: dict[int, float]
) -> None:
    """What is left over is what is popular, and the same for every history."""
    _, scorer = pairs(name)
    n = len(data.popularity)
    history = history_of(drawn, n)
    carried = scorer.account(history).of(everything(n))
    rest = scorer.score(history) - carried.own.sum(axis=1)
    weight = BLENDS[name].get("popularity", 0)
    popular = np.log1p(data.popularity)
    np.testing.assert_allclose(rest, weight * (popular - popular.mean()) / popular.std(), atol=2e-3)
    np.testing.assert_allclose(carried.common, rest, atol=2e-3)
    np.testing.assert_allclose(scorer.common_of(everything(n)), carried.common, atol=1e-5)


@pytest.mark.parametrize("name", [*PERSONAL, *BLENDS])
@settings(deadline=None, max_examples=25)
@given(drawn=histories, places=st.sets(st.integers(0, 10_000), min_size=1, max_size=3))
def test_what_a_score_would_be_without_some_of_the_history_needs_no_folding_in(
    pairs: Pairs, data: TrainingData, name: str, drawn: dict[int, float], places: set[int]
) -> None:
    _, scorer = pairs(name)
    n = len(data.popularity)
    history = history_of(drawn, n)
    gone = np.array(sorted({place % len(history) for place in places}), dtype=np.intp)
    account = scorer.account(history)
    if len(gone) == len(history):
        assert account.falls_without(0, 0.0, gone)
        return
    left = np.setdiff1d(np.arange(len(history)), gone)
    after = scorer.score(History(history.item_rows[left], history.strengths[left]))
    found = [account.own_without(row, gone) for row in range(n)] + scorer.common_of(everything(n))
    np.testing.assert_allclose(found, after, rtol=1e-3, atol=2e-3 * max(1, np.abs(after).max()))


@pytest.mark.parametrize(
    ("name", "least"), [("neighbours", 1.0), ("cooccurrence", 1.0), ("als", 0.75), ("spectral", 0.9)]
)
def test_without_the_item_that_carried_it_a_score_is_lower(
    pairs: Pairs, data: TrainingData, name: str, least: float
) -> None:
    """Always where items propose; mostly for ALS, where the items that are left take up some of its part."""
    _, scorer = pairs(name)
    falls = []
    for customer in data.strengths[::5]:
        history = History(customer.indices.astype(np.int32), customer.data)
        if len(history) < 2:
            continue
        scores = scorer.score(history)
        best = np.argsort(-scores)[:3].astype(np.int32)
        for row, part in zip(best, scorer.account(history).of(best).own, strict=True):
            left = np.arange(len(history)) != part.argmax()
            without = History(history.item_rows[left], history.strengths[left])
            falls.append(scorer.score(without)[row] < scores[row])
    assert len(falls) > 60
    assert np.mean(falls) >= least


@pytest.mark.parametrize("strength", [1e3, 1e6, 1e9])
def test_what_is_left_of_a_history_is_known_however_much_spoke_for_what_is_gone(
    pairs: Pairs, data: TrainingData, strength: float
) -> None:
    _, scorer = pairs("als")
    n = len(data.popularity)
    few, heavy = history_of({3: 1.0, 7: 2.0}, n), history_of({3: 1.0, 7: 2.0, 9: strength, 11: strength}, n)
    found = [scorer.account(heavy).own_without(row, np.array([2, 3])) for row in range(n)]
    np.testing.assert_allclose(found, scorer.score(few), rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("name", [*PERSONAL, *BLENDS])
@settings(deadline=None, max_examples=25)
@given(drawn=histories)
def test_mean_and_deviation_are_known_without_scoring_all_items(
    pairs: Pairs, data: TrainingData, name: str, drawn: dict[int, float]
) -> None:
    model, scorer = pairs(name)
    arrays = {**model.arrays(), "popularity": data.popularity}
    bundle = bundle_of(model.facts, arrays)
    mixed = make_scorer(replace(bundle, manifest=replace(bundle.manifest, live=LIVE)))
    history = history_of(drawn, len(data.popularity))
    whole = Spread.of_scores(scorer.score(history))
    for spread in (mixed.spread(history), scorer.spread(history)):
        assert spread.deviation == pytest.approx(whole.deviation, rel=1e-3)
        assert spread.mean == pytest.approx(whole.mean, abs=1e-3 * whole.deviation)


@pytest.mark.parametrize("n_history", [1, 2, 5, 6, 30])
def test_a_history_is_folded_in_alike_by_whichever_system_is_smaller(
    pairs: Pairs, data: TrainingData, n_history: int
) -> None:
    model, scorer = pairs("als")
    history = history_of({3 * place: 1.0 + place for place in range(n_history)}, len(data.popularity))
    trained = model.score(as_matrix(history, len(data.popularity)))[0]
    np.testing.assert_allclose(scorer.score(history), trained, atol=1e-4 * np.abs(trained).max())


def test_popularity_is_nobodys_own(pairs: Pairs) -> None:
    _, scorer = pairs("popularity")
    assert not scorer.is_personal
    assert not scorer.account(history_of({1: 1.0, 5: 2.0}, 9)).of(everything(4)).own.any()
    assert not scorer.similar(0).any()
    assert all(pairs(name)[1].is_personal for name in (*PERSONAL, *BLENDS))


@pytest.mark.parametrize("name", [*PERSONAL, *BLENDS])
def test_nothing_is_more_alike_than_an_item_is_to_itself(pairs: Pairs, data: TrainingData, name: str) -> None:
    _, scorer = pairs(name)
    likeness = np.stack([scorer.similar(row) for row in range(len(data.popularity))])
    assert np.isfinite(likeness).all()
    assert np.abs(likeness).max() <= 1 + 1e-5
    if name in OF_FACTORS:
        np.testing.assert_allclose(likeness, likeness.T, atol=1e-5)
        np.testing.assert_allclose(np.diag(likeness), np.diag(likeness) > 0, atol=1e-5)
    elif name not in BLENDS:
        greatest = np.abs(likeness).max(axis=1)
        np.testing.assert_allclose(greatest, greatest > 0, atol=1e-5)


def test_a_blend_finds_alike_what_its_parts_do(pairs: Pairs) -> None:
    parts = {name: pairs(name)[1].similar(3) for name in BLENDS["factors"]}
    expected = sum(BLENDS["factors"][name] * likeness for name, likeness in parts.items())
    np.testing.assert_allclose(pairs("factors")[1].similar(3), expected, atol=1e-6)


def test_a_part_that_finds_all_items_alike_says_nothing(data: TrainingData, pairs: Pairs) -> None:
    model, _ = pairs("als")
    facts = (replace(model.facts[0], weight=0.5), PartFacts("popularity", 0.5, {}))
    level = np.full_like(data.popularity, 3.7)
    scorer = make_scorer(bundle_of(facts, {**model.arrays(), "popularity": level}))
    history = history_of({1: 1.0, 5: 2.0}, len(level))
    scores = pairs("als")[1].score(history)
    expected = 0.5 * (scores - scores.mean()) / scores.std()
    np.testing.assert_allclose(scorer.score(history), expected, atol=1e-4)


def bundle_without_ridge(bundle: Bundle) -> Bundle:
    return replace(bundle, arrays={**bundle.arrays, "als_gram": -np.eye(2, dtype=np.float32)})


def test_factors_that_cannot_be_folded_in_make_no_scorer() -> None:
    facts = (PartFacts("als", 1.0, {"confidence": 2.0, "regularization": 1.0}),)
    factors = np.ones((3, 2), dtype=np.float32)
    arrays = {"als_item_factors": factors, "als_gram": factors.T @ factors, "popularity": factors[:, 0]}
    with pytest.raises(np.linalg.LinAlgError):
        make_scorer(bundle_without_ridge(bundle_of(facts, arrays)))


NEARLY_FLAT = {
    "everybody has everything": np.ones((60, 12)),
    "and nearly as much of it": 1 + 1e-3 * np.random.default_rng(1).random((60, 12)),
    "nearly everything": np.random.default_rng(2).random((60, 12)) < 0.99,
    "everybody has one of their own": np.eye(30),
    "two customers, two items": np.array([[1, 0], [1, 1]]),
}


@pytest.mark.parametrize("strengths", NEARLY_FLAT.values(), ids=NEARLY_FLAT)
@pytest.mark.parametrize("other", [Spectral(), Popularity(), Ease()], ids=lambda family: family.name)
def test_where_items_hardly_differ_serving_still_scores_as_training_did(
    strengths: NDArray[np.float64], other: Family
) -> None:
    """Rounding must not pass for a difference on the one side and not on the other."""
    data = data_of(strengths)
    recipe = Recipe(((Als(confidence=3, regularization=30), 0.6), (other, 0.4)))
    model = recipe.fit(data, seed=1)
    popularity = data.popularity.astype(np.float32)
    scorer = make_scorer(bundle_of(model.facts, {**model.arrays(), "popularity": popularity}))
    expected = model.score(data.strengths)
    for row in range(len(expected)):
        history = data.strengths[row]
        found = scorer.score(History(history.indices.astype(np.int32), history.data))
        assert found == pytest.approx(expected[row], rel=1e-2, abs=2e-3)
