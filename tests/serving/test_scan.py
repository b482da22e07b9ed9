"""A scan by falling norm finds exactly what scoring everything finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundles.id_table import id_arrays
from recsvc.bundles.item_pages import item_arrays
from recsvc.bundles.manifest import PartFacts
from recsvc.domain.items import Item
from recsvc.domain.slates import Source
from recsvc.serving.candidates import rankings
from recsvc.serving.catalogue_view import CatalogueView, make_view
from recsvc.serving.customers import Subject
from recsvc.serving.past import Past
from recsvc.serving.scoring import make_scorer, make_shortlist
from recsvc.serving.scoring.parts import FloatArray, OpenRows, RowArray
from recsvc.serving.scoring.scan import BlockScan
from recsvc.serving.scoring.shortlist import SCANNED_DEPTHS
from recsvc.serving.verification import Model

from ..small_bank import CONTENT, OFFER, POLICY
from .made_bundles import bundle_of, history_of


class Counted(np.ndarray):
    """Factors that remember how many items were multiplied."""

    multiplied: int = 0

    def __matmul__(self, other: FloatArray) -> FloatArray:
        Counted.multiplied += len(self)
        return np.asarray(self) @ other


def drawn_factors(n_items: int, n_factors: int, skew: float, seed: int) -> FloatArray:
    """Directions at random, lengths by a power law; some items are twins, some nothing."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_items, n_factors))
    factors *= (rng.random((n_items, 1)) + 1e-3) ** -skew
    factors[rng.integers(0, n_items, n_items // 5)] = factors[rng.integers(0, n_items)]
    factors[rng.integers(0, n_items, n_items // 20)] = 0
    return factors.astype(np.float32)


def scan_of(factors: FloatArray) -> BlockScan:
    rows = np.argsort(-np.linalg.norm(factors, axis=1), kind="stable").astype(np.int32)
    return BlockScan(factors[rows], rows)


def best_of_all(factors: FloatArray, customer: FloatArray, open_rows: OpenRows, n: int) -> RowArray:
    """By scoring everything; a tie goes to the lower row."""
    scores = (factors @ customer)[open_rows.all]
    return open_rows.all[np.argsort(-scores, kind="stable")[:n]]


@settings(deadline=None, max_examples=80)
@given(
    n_items=st.sampled_from([1, 7, 2_048, 2_049, 9_000]),
    n_factors=st.sampled_from([1, 3, 16, 64]),
    skew=st.sampled_from([0.0, 0.3, 1.0]),
    n=st.sampled_from([1, 5, 20, 100, 3_000]),
    kind_share=st.sampled_from([1.0, 0.5, 0.01]),
    used_share=st.sampled_from([0.0, 0.01, 0.9]),
    seed=st.integers(0, 10_000),
)
def test_a_scan_finds_the_best_of_all_whatever_is_masked_and_however_norms_spread(
    n_items: int, n_factors: int, skew: float, n: int, kind_share: float, used_share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    factors = drawn_factors(n_items, n_factors, skew, seed)
    customer = rng.normal(size=n_factors).astype(np.float32)
    rows = np.arange(n_items, dtype=np.int32)
    open_rows = OpenRows(
        rows[rng.random(n_items) < kind_share], rows[rng.random(n_items) < used_share], n_items
    )
    found = scan_of(factors).best(customer, open_rows, n)
    expected = best_of_all(factors, customer, open_rows, n)
    assert (np.diff(found) > 0).all()
    assert np.isin(found, open_rows.all).all()
    scores = (factors[found] @ customer).astype(np.float64)
    wanted = np.sort(factors[expected] @ customer)[::-1]
    # Of equals any may be first where sums round apart, so the scores are compared, each on its own.
    tolerance = 1e-5 * max(float(np.abs(factors @ customer).max()), 1e-6)
    np.testing.assert_allclose(np.sort(scores)[::-1][: len(expected)], wanted, atol=tolerance)
    assert len(found) >= len(expected)
    clear = expected[(factors[expected] @ customer) > wanted[-1] + tolerance] if len(expected) else expected
    assert np.isin(clear, found).all()


def test_items_that_tie_with_the_last_are_all_found() -> None:
    factors = np.ones((5_000, 4), dtype=np.float32)
    rows = np.arange(5_000, dtype=np.int32)
    found = scan_of(factors).best(np.ones(4, dtype=np.float32), OpenRows(rows, rows[:0], 5_000), 3)
    assert found.tolist() == rows.tolist()


@pytest.mark.parametrize("sign", [0.0, -1.0], ids=["nobody", "everything_is_disliked"])
def test_a_customer_who_likes_nothing_gets_the_best_all_the_same(sign: float) -> None:
    factors = np.abs(drawn_factors(9_000, 8, 1.0, 3)) + np.float32(0.1)
    customer = np.full(8, sign, dtype=np.float32)
    rows = np.arange(9_000, dtype=np.int32)
    open_rows = OpenRows(rows, rows[:0], 9_000)
    found = scan_of(factors).best(customer, open_rows, 5)
    assert np.isin(best_of_all(factors, customer, open_rows, 5), found).all()


def test_most_items_are_never_looked_at_where_norms_spread() -> None:
    factors = drawn_factors(100_000, 16, 0.6, 5)
    order = np.argsort(-np.linalg.norm(factors, axis=1), kind="stable").astype(np.int32)
    scan = BlockScan(factors[order].view(Counted), order)
    rows = np.arange(100_000, dtype=np.int32)
    Counted.multiplied = 0
    scan.best(factors[order[3]], OpenRows(rows, rows[:0], 100_000), 20)
    assert 0 < Counted.multiplied < 20_000


N_ITEMS = 7_000


def model_of(factors: FloatArray) -> Model:
    """ALS alone, laid out to be scanned."""
    ids = [f"i{row:06}" for row in range(len(factors))]
    rows = np.argsort(-np.linalg.norm(factors, axis=1), kind="stable").astype(np.int32)
    bundle = bundle_of(
        (PartFacts("als", 1.0, {"confidence": 20.0, "regularization": 3.0}),),
        {
            **id_arrays("item_ids", ids),
            **item_arrays([Item(one) for one in ids]),
            "popularity": np.ones(len(factors), dtype=np.float32),
            "als_item_factors": factors,
            "als_gram": factors.T @ factors + 3 * np.eye(factors.shape[1], dtype=np.float32),
            "scan_rows": rows,
            "scan_factors": factors[rows],
        },
    )
    scorer = make_scorer(bundle)
    return Model(bundle, scorer, make_shortlist(bundle, scorer))


@pytest.fixture(scope="module")
def scanned() -> Callable[[], tuple[Model, CatalogueView]]:
    """For tests of drawn histories, which would print whatever they are given."""
    rng = np.random.default_rng(9)
    factors = rng.normal(size=(N_ITEMS, 16)) * (rng.random((N_ITEMS, 1)) + 0.01) ** -0.5
    model = model_of(factors.astype(np.float32) * np.float32(0.1))
    offers = [replace(one, kind=OFFER) for one in [*model.bundle.catalogue][::5]]
    view = make_view(offers, model.bundle, revision=1)
    return lambda: (model, view)


@settings(deadline=None, max_examples=15)
@given(
    drawn=st.dictionaries(st.integers(0, N_ITEMS - 1), st.floats(0.25, 4, width=32), min_size=1, max_size=12)
)
def test_lists_are_the_same_with_a_scan_and_without_one(
    scanned: Callable[[], tuple[Model, CatalogueView]], drawn: dict[int, float]
) -> None:
    model, view = scanned()
    subject = Subject("c", "en", True, None, None, None, Past(history_of(drawn, N_ITEMS)), frozenset(), ())
    short, full = (list(one) for one in rankings(CONTENT, subject, model, view, POLICY))
    assert len(short) == SCANNED_DEPTHS[-1]
    of_all = {one.row: one.score for one in full if one.source is Source.PERSONALISED}
    # Two next to equal ones may stand the other way round by rounding: each
    # place has its score, and each item its own.
    np.testing.assert_allclose(
        [one.score for one in short], [one.score for one in full[: len(short)]], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        [one.score for one in short], [of_all[one.row] for one in short], rtol=1e-4, atol=1e-6
    )
    assert len({one.row for one in short}) == len(short)


def test_few_items_of_a_kind_are_scored_at_once(
    scanned: Callable[[], tuple[Model, CatalogueView]],
) -> None:
    model, view = scanned()
    past = Past(history_of({3: 1.0}, N_ITEMS))
    subject = Subject("c", "en", True, None, None, None, past, frozenset(), ())
    assert len(list(rankings(OFFER, subject, model, view, POLICY))) == 1
