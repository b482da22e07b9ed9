"""Where items are many a slate is made from a shortlist, and is the slate that all items would have made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.manifest import MOST_PROPOSED
from recsvc.domain.items import Item
from recsvc.domain.slates import Slate, SlateRequest, Source
from recsvc.serving.candidates import rankings
from recsvc.serving.catalogue_view import CatalogueView, make_view
from recsvc.serving.customers import Subject
from recsvc.serving.engine import Engine
from recsvc.serving.past import Past
from recsvc.serving.scoring import Scorer, make_scorer, make_shortlist
from recsvc.serving.scoring.parts import FloatArray, OpenRows, RowArray
from recsvc.serving.scoring.shortlist import DEPTH
from recsvc.serving.verification import Model

from ..small_bank import CONTENT, OFFER, POLICY
from .made_bundles import Standing, blend_of_many_items, history_of

N_ITEMS, N_PROPOSALS = 6_000, 199
NO_ROWS = np.zeros(0, dtype=np.int32)
NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

histories = st.dictionaries(st.integers(0, N_ITEMS - 1), st.floats(0.25, 4, width=32), min_size=1, max_size=8)


@dataclass
class Watched:
    """A scorer that remembers how many items it was asked for."""

    scorer: Scorer
    asked: list[int] = field(default_factory=list)
    is_personal: bool = True

    def score_of(self, history: History, item_rows: RowArray) -> FloatArray:
        self.asked.append(len(item_rows))
        return self.scorer.score_of(history, item_rows)

    def common_of(self, item_rows: RowArray) -> FloatArray:
        return self.scorer.common_of(item_rows)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return blend_of_many_items(N_ITEMS, n_proposals=N_PROPOSALS)


@pytest.fixture(scope="module")
def view(bundle: Bundle) -> CatalogueView:
    return make_view((), bundle, revision=1)


@pytest.fixture(scope="module")
def many(bundle: Bundle, view: CatalogueView) -> Callable[[], tuple[Bundle, CatalogueView]]:
    """The same for tests of drawn histories, which would print whatever they are given."""
    return lambda: (bundle, view)


@pytest.fixture
def watched(bundle: Bundle) -> Watched:
    return Watched(make_scorer(bundle))


@pytest.fixture
def model(bundle: Bundle, watched: Watched) -> Model:
    return Model(bundle, watched, make_shortlist(bundle, watched.scorer))


def subject_with(history: History) -> Subject:
    return Subject("c", "en", True, None, None, None, Past(history), frozenset(), ())


def slate(model: Model, view: CatalogueView, history: History, **wanted: Any) -> Slate:
    world = Standing(model, view, subject_with(history))
    engine = Engine(world, world, POLICY, clock=lambda: NOW, new_id=lambda: "1")  # type: ignore[arg-type]
    return engine.recommend(SlateRequest(CONTENT, "c", **wanted))


def whole(model: Model) -> Model:
    return replace(model, shortlist=None)


@settings(deadline=None, max_examples=30)
@given(drawn=histories)
def test_scores_of_a_shortlist_are_those_of_the_whole_ranking(
    many: Callable[[], tuple[Bundle, CatalogueView]], drawn: dict[int, float]
) -> None:
    bundle, view = many()
    scorer = make_scorer(bundle)
    model = Model(bundle, scorer, make_shortlist(bundle, scorer))
    history = history_of(drawn, N_ITEMS)
    short, full = (list(ranking) for ranking in rankings(CONTENT, subject_with(history), model, view, POLICY))
    assert 0 < len(short) <= DEPTH
    of_all = {one.row: one.score for one in full if one.source is Source.PERSONALISED}
    for one in short:
        assert one.source is Source.PERSONALISED
        assert one.score == pytest.approx(of_all[one.row], rel=1e-4, abs=1e-4)
    scores = [one.score for one in short]
    assert scores == sorted(scores, reverse=True)
    assert not {one.row for one in short} & set(history.item_rows.tolist())


def test_a_slate_from_a_shortlist_that_misses_nothing_is_the_slate_from_everything(
    model: Model, view: CatalogueView, watched: Watched
) -> None:
    for seed in range(20):
        history = history_of({seed * 211: 1.0, seed * 211 + 3: 2.0, seed * 97: 1.5}, N_ITEMS)
        few, all_items = slate(model, view, history), slate(whole(model), view, history)
        assert watched.asked[0] <= MOST_PROPOSED < N_ITEMS - 3 <= watched.asked.pop()
        assert [one.item_id for one in few.items] == [one.item_id for one in all_items.items]
        for one, other in zip(few.items, all_items.items, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
        watched.asked.clear()


def test_a_shortlist_that_fills_a_slate_is_all_that_is_scored(
    model: Model, view: CatalogueView, watched: Watched
) -> None:
    slate(model, view, history_of({1: 1.0, 900: 1.0}, N_ITEMS), limit=DEPTH // 2)
    assert len(watched.asked) == 1
    assert watched.asked[0] <= MOST_PROPOSED


@pytest.mark.parametrize(
    "wanted",
    [{"limit": DEPTH, "diversity": 0.5}, {"categories": ("rare",)}],
    ids=["more_than_it_holds", "refused"],
)
def test_a_slate_that_a_shortlist_does_not_fill_is_made_from_everything(
    model: Model, bundle: Bundle, watched: Watched, wanted: dict[str, Any]
) -> None:
    rare = [Item(f"i{row:06}", category="rare") for row in range(0, N_ITEMS, 100)]
    view = make_view(rare, bundle, revision=1)
    history = history_of({1: 1.0, 900: 1.0}, N_ITEMS)
    few, all_items = slate(model, view, history, **wanted), slate(whole(model), view, history, **wanted)
    assert few == all_items
    assert len(few.items) == wanted.get("limit", 10)
    assert max(watched.asked) > 5_000


def test_only_items_of_the_wanted_kind_are_on_the_shortlist(model: Model, bundle: Bundle) -> None:
    """One item in seven is an offer, and takes no place from what was asked for."""
    offers = [replace(one, kind=OFFER) for one in [*bundle.catalogue][1::7]]
    view = make_view(offers, bundle, revision=1)
    history = history_of({1: 1.0, 900: 1.0, 1_700: 1.0, 3_000: 1.0, 4_100: 1.0}, N_ITEMS)
    short, full = rankings(CONTENT, subject_with(history), model, view, POLICY)
    rows = [one.row for one in islice(short, DEPTH)]
    assert len(rows) == DEPTH
    assert rows[:30] == [one.row for one in islice(full, 30)]
    assert all(view.known.at(row).kind is CONTENT for row in rows)


def few_items(model: Model, view: CatalogueView) -> tuple[Model, CatalogueView]:
    return model, replace(view, trained_rows={kind: rows[:4_000] for kind, rows in view.trained_rows.items()})


def no_proposals(model: Model, view: CatalogueView) -> tuple[Model, CatalogueView]:
    return whole(model), view


def nothing_personal(model: Model, view: CatalogueView) -> tuple[Model, CatalogueView]:
    return replace(model, scorer=Watched(model.scorer, is_personal=False)), view  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [few_items, no_proposals, nothing_personal])
def test_where_a_shortlist_saves_nothing_there_is_none(
    model: Model, view: CatalogueView, change: Callable[[Model, CatalogueView], tuple[Model, CatalogueView]]
) -> None:
    model, view = change(model, view)
    assert len(list(rankings(CONTENT, subject_with(history_of({1: 1.0}, 9)), model, view, POLICY))) == 1


def test_without_a_history_there_is_no_shortlist(model: Model, view: CatalogueView) -> None:
    (only,) = rankings(CONTENT, subject_with(Past().history), model, view, POLICY)
    assert next(only).source is Source.POPULAR


@settings(deadline=None, max_examples=30)
@given(drawn=histories, kept=st.integers(1, N_ITEMS))
def test_a_shortlist_holds_the_items_that_are_proposed_most(
    many: Callable[[], tuple[Bundle, CatalogueView]], drawn: dict[int, float], kept: int
) -> None:
    bundle, _ = many()
    shortlist = make_shortlist(bundle, make_scorer(bundle))
    assert shortlist
    history, rows = history_of(drawn, N_ITEMS), np.arange(kept, dtype=np.int32)
    proposed = np.zeros(N_ITEMS)
    for row, strength in zip(history.item_rows, history.strengths, strict=True):
        items, scores = bundle.arrays["proposal_items"][row], bundle.arrays["proposal_scores"][row]
        np.add.at(proposed, items[items >= 0], scores[items >= 0] * strength)
    few = shortlist.among(OpenRows(rows, NO_ROWS, N_ITEMS), history, DEPTH)
    left = np.setdiff1d(np.flatnonzero(proposed[:kept]), few)
    assert len(few) <= MOST_PROPOSED
    assert (np.diff(few) > 0).all()
    assert not few.size or few[-1] < kept
    assert (proposed[few] > 0).all()
    assert not left.size or (
        len(few) == MOST_PROPOSED and proposed[left].max() <= proposed[few].min() * (1 + 1e-5)
    )


def test_a_bundle_without_proposals_makes_no_shortlist(bundle: Bundle) -> None:
    without = {name: array for name, array in bundle.arrays.items() if not name.startswith("proposal")}
    bare = replace(bundle, arrays=without)
    assert make_shortlist(bare, make_scorer(bare)) is None
