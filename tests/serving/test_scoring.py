"""Serving scores as training did, and says what a score is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.opening import open_bundle
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import build_matrix
from recsvc.sample_bank import SampleBank
from recsvc.serving.scoring import Scorer, make_scorer
from recsvc.training.blending import PopularityBlend
from recsvc.training.families.als import Als
from recsvc.training.families.base import Fitted, TrainingData, training_data
from recsvc.training.families.neighbours import Neighbours
from recsvc.training.families.popularity import Popularity

from ..small_bank import POLICY

FAMILIES = {family.name: family for family in (Popularity(), Neighbours(), Als())}
Pair = tuple[Fitted, Scorer]


@pytest.fixture(scope="module")
def pairs(bank_in_small: SampleBank, published: tuple[Path, Path]) -> Callable[[str, float], Pair]:
    """A family as training fitted it, and the scorer that serving makes of it."""
    bundle = open_bundle(published[0])
    consenting = [
        c.customer_id for c in bank_in_small.customers if not c.consents or c.consents.personalisation
    ]
    table = InteractionTable.from_frame(bank_in_small.events).of_customers(consenting)
    data = training_data(build_matrix(table, POLICY, as_of=None))
    assert data.strengths.shape == (bundle.manifest.rows.customers, bundle.manifest.rows.items)
    fitted = {name: family.fit(data, seed=1) for name, family in FAMILIES.items()}

    def pair(name: str, weight: float) -> Pair:
        whole = PopularityBlend(fitted[name], data.popularity, weight) if weight else fitted[name]
        return whole, make_scorer(packed(bundle, name, whole, data))

    return pair


def packed(bundle: Bundle, name: str, fitted: Fitted, data: TrainingData) -> Bundle:
    return replace(
        bundle,
        manifest=replace(bundle.manifest, family=name, parameters=fitted.parameters),
        arrays={**bundle.arrays, **fitted.arrays(), "popularity": data.popularity},
    )


def n_items(scorer: Scorer) -> int:
    return len(scorer.similar(0))


def as_matrix(history: History, n: int) -> csr_matrix:
    rows = (np.zeros(len(history), dtype=np.int32), history.item_rows)
    return csr_matrix((history.strengths, rows), shape=(1, n))


histories = st.dictionaries(st.integers(0, 10_000), st.floats(0.0625, 20, width=32), min_size=1, max_size=30)


def history_of(drawn: dict[int, float], n: int) -> History:
    rows = sorted({row % n: strength for row, strength in drawn.items()}.items())
    return History(
        np.array([row for row, _ in rows], dtype=np.int32),
        np.array([strength for _, strength in rows], dtype=np.float32),
    )


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
@settings(deadline=None, max_examples=25)
@given(drawn=histories)
def test_serving_scores_as_training_did(
    pairs: Callable[[str, float], Pair], name: str, weight: float, drawn: dict[int, float]
) -> None:
    fitted, scorer = pairs(name, weight)
    history = history_of(drawn, n_items(scorer))
    trained = fitted.score(as_matrix(history, n_items(scorer)))[0]
    np.testing.assert_allclose(scorer.score(history), trained, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["als", "neighbours"])
@settings(deadline=None, max_examples=25)
@given(drawn=histories)
def test_the_parts_of_a_score_add_up_to_it(
    pairs: Callable[[str, float], Pair], name: str, drawn: dict[int, float]
) -> None:
    _, scorer = pairs(name, 0)
    history = history_of(drawn, n_items(scorer))
    everything = np.arange(n_items(scorer), dtype=np.int32)
    parts = scorer.contributions(history, everything)
    assert parts.shape == (n_items(scorer), len(history))
    np.testing.assert_allclose(parts.sum(axis=1), scorer.score(history), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "least"), [("neighbours", 1.0), ("als", 0.75)])
def test_without_the_item_that_carried_it_a_score_is_lower(
    pairs: Callable[[str, float], Pair], published: tuple[Path, Path], name: str, least: float
) -> None:
    """Always among neighbours; mostly for factors, where the items that are left take up some of its part."""
    _, scorer = pairs(name, 0)
    bundle = open_bundle(published[0])
    falls = []
    for customer_row in range(0, len(bundle.customers), 5):
        history = bundle.history_of(customer_row)
        if len(history) < 2:
            continue
        scores = scorer.score(history)
        best = np.argsort(-scores)[:3].astype(np.int32)
        for row, part in zip(best, scorer.contributions(history, best), strict=True):
            left = np.arange(len(history)) != part.argmax()
            without = History(history.item_rows[left], history.strengths[left])
            falls.append(scorer.score(without)[row] < scores[row])
    assert len(falls) > 60
    assert np.mean(falls) >= least


@pytest.mark.parametrize("name", ["als", "neighbours"])
def test_popularity_beside_a_family_changes_no_part_of_it_but_the_scale(
    pairs: Callable[[str, float], Pair], name: str
) -> None:
    _, alone = pairs(name, 0)
    _, blended = pairs(name, 2)
    history = history_of({1: 1.0, 5: 2.0, 9: 0.5}, n_items(alone))
    rows = np.arange(n_items(alone), dtype=np.int32)
    deviation = alone.score(history).std()
    np.testing.assert_allclose(
        blended.contributions(history, rows) * deviation, alone.contributions(history, rows), rtol=1e-4
    )
    np.testing.assert_array_equal(alone.similar(3), blended.similar(3))


def test_popularity_is_nobodys_own(pairs: Callable[[str, float], Pair]) -> None:
    for weight in (0, 2):
        _, scorer = pairs("popularity", weight)
        history = history_of({1: 1.0, 5: 2.0}, n_items(scorer))
        assert not scorer.is_personal
        assert not scorer.contributions(history, np.arange(4, dtype=np.int32)).any()
        assert not scorer.similar(0).any()
    assert all(pairs(name, weight)[1].is_personal for name in ("als", "neighbours") for weight in (0, 2))


@pytest.mark.parametrize("name", ["als", "neighbours"])
def test_being_alike_goes_both_ways_and_nothing_is_more_alike_than_itself(
    pairs: Callable[[str, float], Pair], name: str
) -> None:
    _, scorer = pairs(name, 0)
    n = n_items(scorer)
    likeness = np.stack([scorer.similar(row) for row in range(n)])
    assert np.isfinite(likeness).all()
    if name == "als":
        np.testing.assert_allclose(likeness, likeness.T, atol=1e-5)
        np.testing.assert_allclose(np.diag(likeness), 1, atol=1e-5)
    assert likeness.max() <= 1 + 1e-5
