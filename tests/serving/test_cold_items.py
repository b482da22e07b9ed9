"""Items that came after the training are placed by what they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.features import feature_arrays
from recsvc.bundles.manifest import LEAST_DEVIATION, PartFacts
from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry
from recsvc.domain.item_features import item_features
from recsvc.domain.items import Channel, Item, ItemStatus
from recsvc.domain.slates import Source
from recsvc.history.interactions import InteractionTable
from recsvc.sample_bank import SampleBank
from recsvc.serving.candidates import rankings
from recsvc.serving.catalogue_view import make_view
from recsvc.serving.cold_items import MAX_COLD_ITEMS, NO_COLD_ITEMS, place_cold_items
from recsvc.serving.customers import SubjectReader
from recsvc.serving.scoring import make_scorer
from recsvc.training.cold_start import regress, tabulate
from recsvc.training.families.als import Als
from recsvc.training.families.spectral import Spectral
from recsvc.training.material import Source as Material
from recsvc.training.pipeline import train

from ..small_bank import CONTENT, END, POLICY, Arrays, World, drop_live, ids, publish_changed, who
from .made_bundles import bundle_of, history_of

N_ITEMS = 30


def factors_of(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32)


def bundle_of_weights(**weights: float) -> Bundle:
    """Factors at random for ALS and the spectral family; EASE and popularity beside them."""
    als, spectral = factors_of(N_ITEMS, 1), factors_of(N_ITEMS, 2)
    parameters = {"als": {"confidence": 3.0, "regularization": 2.0}}
    parts = tuple(PartFacts(name, weight, parameters.get(name, {})) for name, weight in weights.items())
    arrays = {
        "popularity": np.arange(1, N_ITEMS + 1, dtype=np.float32),
        "als_item_factors": als,
        "als_gram": als.T @ als + 2 * np.eye(5, dtype=np.float32),
        "spectral_item_factors": spectral,
        "spectral_fold_in": np.ones(N_ITEMS, dtype=np.float32),
        "spectral_gram": spectral.T @ spectral,
        "ease_weights": np.zeros((N_ITEMS, N_ITEMS), dtype=np.float32),
    }
    return bundle_of(parts, arrays)


HISTORY = history_of({3: 1.0, 7: 2.0, 11: 0.5}, N_ITEMS)
ROWS = np.arange(N_ITEMS, dtype=np.int32)


@pytest.mark.parametrize("weights", [{"als": 1.0}, {"spectral": 1.0}, {"als": 0.7, "spectral": 0.3}])
def test_a_new_item_with_the_factors_of_a_known_one_has_its_score(weights: dict[str, float]) -> None:
    bundle = bundle_of_weights(**weights)
    scorer = make_scorer(bundle)
    twins = {family: bundle.arrays[f"{family}_item_factors"][[4, 9]] for family in weights}
    known, new = scorer.score_with_new(HISTORY, ROWS, twins)
    assert known == pytest.approx(scorer.score(HISTORY), abs=1e-5)
    assert new == pytest.approx(known[[4, 9]], abs=1e-5)


def test_a_part_that_knows_nothing_of_new_items_takes_them_for_its_average_one() -> None:
    bundle = bundle_of_weights(als=0.6, popularity=0.4)
    popular = np.log1p(bundle.popularity)
    twin = {"als": bundle.arrays["als_item_factors"][[4]]}
    known, new = make_scorer(bundle).score_with_new(HISTORY, ROWS, twin)
    deviation = np.hypot(popular.std(), LEAST_DEVIATION * popular.mean())
    by_popularity = 0.4 * (popular[4] - popular.mean()) / deviation
    assert new[0] == pytest.approx(known[4] - by_popularity, abs=1e-5)


@pytest.mark.parametrize("weights", [{"ease": 1.0}, {"ease": 0.5, "popularity": 0.5}])
def test_a_model_without_factors_cannot_place_new_items(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="factors"):
        make_scorer(bundle_of_weights(**weights)).score_with_new(HISTORY, ROWS, {"als": factors_of(1, 3)})


def with_features() -> Bundle:
    """A bundle that knows three features: of every item, of funds, and of what is new."""
    bundle = bundle_of_weights(als=0.6, spectral=0.4)
    names = ("age_days:1", "category:fund", "item")
    learned = {"als": factors_of(3, 4), "spectral": factors_of(3, 5)}
    return replace(bundle, arrays={**bundle.arrays, **feature_arrays(names, learned)})


def test_factors_are_the_sum_of_those_of_the_features() -> None:
    bundle = with_features()
    funds = Item("a", category="fund", tags=("unheard of",))
    cold = place_cold_items([funds], bundle)
    assert cold.items == (funds,)
    for family in ("als", "spectral"):
        learned = bundle.arrays[f"{family}_feature_factors"]
        assert cold.factors[family] == pytest.approx(learned[[1]] + learned[[2]])


def test_an_item_of_which_nothing_is_known_is_not_said_to_fit_anybody() -> None:
    plain, unheard_of = Item("a", published_at=END), Item("b", category="unheard of")
    funds = Item("c", category="fund")
    assert place_cold_items([plain, unheard_of], with_features()) is NO_COLD_ITEMS
    assert place_cold_items([plain, funds, unheard_of], with_features()).items == (funds,)


def test_age_is_that_at_the_end_of_the_training() -> None:
    bundle = with_features()
    window = replace(bundle.manifest.data_window, until=END)
    dated = replace(bundle, manifest=replace(bundle.manifest, data_window=window))
    learned = bundle.arrays["als_feature_factors"]
    published = (END - timedelta(days=days) for days in (-30, 30))
    new, old = (Item(f"{at:%d}", category="fund", published_at=at) for at in published)
    factors = place_cold_items([new, old], dated).factors["als"]
    assert factors == pytest.approx(np.stack([learned[0], np.zeros(5)]) + learned[1] + learned[2])


def test_only_so_many_are_placed_and_none_where_nothing_is_known() -> None:
    many = [Item(f"i{n}", category="fund") for n in range(MAX_COLD_ITEMS + 5)]
    assert place_cold_items(many, with_features()).items == tuple(many[:MAX_COLD_ITEMS])
    assert place_cold_items(many, bundle_of_weights(als=1.0)) is NO_COLD_ITEMS
    assert place_cold_items(many, None) is NO_COLD_ITEMS
    of_another_family = replace(bundle_of_weights(ease=1.0), arrays=with_features().arrays)
    assert place_cold_items(many, of_another_family) is NO_COLD_ITEMS
    assert place_cold_items([], with_features()) is NO_COLD_ITEMS


def test_some_may_be_left_out_with_their_factors() -> None:
    cold = place_cold_items([Item(one, category="fund") for one in "abc"], with_features())
    left = cold.without({"a", "unheard-of"})
    assert [item.item_id for item in left.items] == ["b", "c"]
    assert all(np.array_equal(left.factors[family], cold.factors[family][1:]) for family in cold.factors)
    assert cold.without(frozenset()) is cold


@pytest.fixture(scope="module")
def shelf_of_factors(bank_in_small: SampleBank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two factor families that knows the features of the bank's items."""
    folder = tmp_path_factory.mktemp("models")
    table = InteractionTable.from_frame(bank_in_small.events)
    source = Material(table, bank_in_small.items, bank_in_small.customers)
    families = (Spectral(), Als())
    report = train(source, POLICY, Registry(folder), families=families, seed=1, created_at=END)
    bundle = open_bundle(folder / report.manifest.version)
    catalogue = [*bundle.catalogue][: len(bundle.items)]
    known = tabulate([item_features(item, as_of=report.manifest.data_window.until) for item in catalogue])

    def learn(arrays: Arrays) -> None:
        factors = {name: arrays[name] for name in arrays if name.endswith("_item_factors")}
        learned = {
            name.removesuffix("_item_factors"): regress(known.has, block, ridge=10.0).astype(np.float32)
            for name, block in factors.items()
        }
        drop_live(arrays)
        arrays.update(feature_arrays(known.names, learned))

    changed = publish_changed(folder / report.manifest.version, learn, {"live": None})
    Registry(folder).promote(changed.name)
    return folder


@pytest.fixture
def factor_world(bank_in_small: SampleBank, shelf_of_factors: Path) -> World:
    return World(shelf_of_factors, items=bank_in_small.items, customers=bank_in_small.customers)


@pytest.fixture
def hot(bank_in_small: SampleBank, factor_world: World) -> str:
    """One who agreed to personalisation and did much."""
    model = factor_world.bundles.model
    assert model
    rows = [(model.bundle.customers.row_of(one), one) for one in who(bank_in_small.customers)]
    return max((len(model.bundle.history_of(row)), one) for row, one in rows if row is not None)[1]


def twin_of_the_best(world: World, customer_id: str) -> Item:
    """What came after the training, and is in all but its names what the customer would be shown first."""
    best = ids(world.slate(CONTENT, customer_id))[0]
    renamed = {"item_id": "just-in", "title": {"en": "Just in"}, "url": None}
    return replace(world.catalogue.view.items[best], **renamed, status=ItemStatus.LIVE)


def test_a_new_item_stands_among_the_others_where_it_fits(factor_world: World, hot: str) -> None:
    world, twin = factor_world, twin_of_the_best(factor_world, hot)
    world.put(twin)
    slate = world.slate(CONTENT, hot, limit=20, explain=True)
    assert "just-in" in ids(slate)
    shown = next(item for item in slate.items if item.item_id == "just-in")
    assert shown.reason and shown.reason.code == "because_you_read"
    model, _ = world.catalogue.model_and_view()
    assert model
    history = model.bundle.history_of(model.bundle.customers.row_of(hot) or 0)
    assert set(shown.reason.because) <= set(model.bundle.items.ids_of(history.item_rows.tolist()))
    assert [item.score for item in slate.items] == sorted((item.score for item in slate.items), reverse=True)


def test_new_items_stand_in_order_of_score_and_once(factor_world: World, hot: str) -> None:
    world = factor_world
    twin = twin_of_the_best(world, hot)
    world.put(*(replace(twin, item_id=f"n{n}", category=None, tags=(), title={}) for n in range(3)), twin)
    shown = ids(world.slate(CONTENT, hot, limit=100))
    assert len(shown) == len(set(shown)) and {"n0", "n1", "n2", "just-in"} <= set(shown)
    assert shown.index("just-in") < shown.index("n0") < shown.index("n1") < shown.index("n2")


def test_a_new_item_that_was_used_is_not_shown_again(factor_world: World, hot: str) -> None:
    world = factor_world
    world.put(twin_of_the_best(world, hot))
    assert "just-in" in ids(world.slate(CONTENT, hot, limit=100))
    world.did(hot, "view", "just-in")
    assert "just-in" not in ids(world.slate(CONTENT, hot, limit=100))


def test_a_new_item_is_news_to_somebody_of_whom_nothing_is_known(factor_world: World, hot: str) -> None:
    world = factor_world
    world.put(twin_of_the_best(world, hot))
    model, view = world.catalogue.model_and_view()
    subjects = SubjectReader(world.customers, world.events, POLICY)
    subject = subjects.read("nobody", channel=Channel.WEB, model=model, items=view.items, now=END)
    (everything,) = rankings(CONTENT, subject, model, view, POLICY)
    assert [one.source for one in everything if one.item.item_id == "just-in"] == [Source.EDITORIAL]


def test_new_items_are_placed_once_for_a_state_of_the_catalogue(factor_world: World, hot: str) -> None:
    world = factor_world
    world.put(twin_of_the_best(world, hot))
    placed = world.catalogue.view.cold[CONTENT]
    world.slate(CONTENT, hot)
    world.refresh()
    assert "just-in" in [item.item_id for item in placed.items]
    assert world.catalogue.view.cold[CONTENT] is placed
    assert world.catalogue.view.without_model.cold[CONTENT] is NO_COLD_ITEMS


def test_a_view_without_a_model_places_nothing() -> None:
    view = make_view([Item("a")], None, revision=1)
    assert all(cold is NO_COLD_ITEMS for cold in view.cold.values())
