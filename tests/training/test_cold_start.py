"""Factors for items that nobody took yet, learned from what the others are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from recsvc.bundles.features import FeatureFactors
from recsvc.domain.item_features import item_features
from recsvc.domain.items import Item
from recsvc.training.blending import Recipe
from recsvc.training.cold_items import ColdScores, evaluate_cold_items
from recsvc.training.cold_start import (
    MAX_FEATURES,
    RIDGES,
    best_ridge,
    cold_start_arrays,
    incidence,
    regress,
    tabulate,
)
from recsvc.training.families.als import Als
from recsvc.training.families.base import TrainingData
from recsvc.training.families.folding import FittedFactors
from recsvc.training.families.popularity import Popularity
from recsvc.training.families.spectral import Spectral
from tests.training.examples import AS_OF, blocks_with_one_withheld, data_of, matrix_of

N_BLOCKS, N_ITEMS = 4, 48
RECIPE = Recipe(((Als(), 0.6), (Spectral(), 0.4)))


def items_of_blocks() -> tuple[Item, ...]:
    """An item for every row of a checkerboard of four blocks, told apart by their category only."""
    return tuple(Item(f"i{row:04}", category=f"c{row * N_BLOCKS // N_ITEMS}") for row in range(N_ITEMS))


def test_a_new_item_goes_to_those_who_took_its_like() -> None:
    strengths, _ = blocks_with_one_withheld()
    data = data_of(strengths)
    model = RECIPE.fit(data, seed=1)
    arrays = cold_start_arrays(model, data, items_of_blocks(), as_of=AS_OF)
    features = FeatureFactors(arrays, ("als", "spectral", "popularity"))
    new = [item_features(Item(f"new{block}", category=f"c{block}"), as_of=AS_OF) for block in range(N_BLOCKS)]
    assert features.families == ("als", "spectral")
    for fitted, _ in model.parts:
        known = fitted.item_factors()
        assert known is not None
        likeness = known @ features.factors_of(new, fitted.family.name).T
        assert (likeness.argmax(axis=1) == np.arange(N_ITEMS) * N_BLOCKS // N_ITEMS).all()


def test_an_item_of_which_nothing_is_known_is_like_all_others() -> None:
    strengths, _ = blocks_with_one_withheld()
    data = data_of(strengths)
    model = Recipe(((Als(), 1.0),)).fit(data, seed=1)
    features = FeatureFactors(cold_start_arrays(model, data, items_of_blocks(), as_of=None), ("als",))
    plain, unheard_of = features.factors_of(
        [("item", "kind:content"), ("item", "kind:content", "tag:never seen")], "als"
    )
    assert np.array_equal(plain, unheard_of)
    assert np.abs(plain).max() > 0


def test_a_model_without_factors_says_nothing_of_new_items() -> None:
    data = data_of(blocks_with_one_withheld()[0])
    model = Recipe(((Popularity(), 1.0),)).fit(data, seed=1)
    assert cold_start_arrays(model, data, items_of_blocks(), as_of=AS_OF) == {}


def test_items_beyond_the_rows_of_the_model_teach_nothing() -> None:
    data = data_of(blocks_with_one_withheld()[0])
    model = RECIPE.fit(data, seed=1)
    items = items_of_blocks()
    some = cold_start_arrays(model, data, items, as_of=AS_OF)
    more = cold_start_arrays(model, data, (*items, Item("zz", category="c0", tags=("x",))), as_of=AS_OF)
    assert some.keys() == more.keys() and all(np.array_equal(some[name], more[name]) for name in some)


def test_a_feature_of_few_items_is_left_out_and_so_are_too_many() -> None:
    table = tabulate([("all", "three"), ("all", "three"), ("all", "three"), ("all", "rare"), ("all", "rare")])
    assert table.names == ("all", "three")
    assert table.has.toarray().tolist() == [[1, 1]] * 3 + [[1, 0]] * 2
    crowded = tabulate([(*(f"f{n:05}" for n in range(MAX_FEATURES + 9)), "all")] * 3 + [("all",)])
    assert len(crowded.names) == MAX_FEATURES and "all" in crowded.names


def test_names_stand_in_bytewise_order_in_any_script() -> None:
    names = tabulate([("word:zoo", "word:基金", "word:éa", "tag:Ä")] * 3).names
    assert [name.encode() for name in names] == sorted(name.encode() for name in names)


def test_the_regression_solves_its_normal_equations() -> None:
    rng = np.random.default_rng(3)
    has = incidence(
        [[f"f{n}" for n in np.flatnonzero(row)] for row in rng.random((60, 8)) < 0.4],
        [f"f{n}" for n in range(8)],
    )
    targets = rng.normal(size=(60, 5)).astype(np.float32)
    dense = has.toarray()
    expected = np.linalg.solve(dense.T @ dense + 7 * np.eye(8), dense.T @ targets)
    assert regress(has, targets, ridge=7.0) == pytest.approx(expected)


def test_what_features_explain_wants_a_weak_ridge_and_noise_a_strong_one() -> None:
    rng = np.random.default_rng(4)
    has = incidence(
        [[f"f{n:02}" for n in np.flatnonzero(row)] for row in rng.random((400, 30)) < 0.3],
        [f"f{n:02}" for n in range(30)],
    )
    seeds = rng.integers(0, 2**63, 400).astype(np.uint64)
    explained = (has @ rng.normal(size=(30, 4))).astype(np.float32)
    noise = rng.normal(size=(400, 4)).astype(np.float32)
    assert best_ridge(has, explained, seeds) == RIDGES[0]
    assert best_ridge(has, noise, seeds) > RIDGES[0]


def test_a_model_without_factors_places_all_new_items_alike() -> None:
    data = data_of(blocks_with_one_withheld()[0])
    model = Recipe(((Popularity(), 1.0),)).fit(data, seed=1)
    known = [item_features(item, as_of=None) for item in items_of_blocks()]
    placed = ColdScores(model, data, known, known[:3]).score(data.strengths[:5])
    assert placed.shape == (5, 3) and not placed.any()


def test_scores_by_scores_are_those_by_factors() -> None:
    data = data_of(blocks_with_one_withheld()[0])
    model = Recipe(((Spectral(), 1.0),)).fit(data, seed=1)
    known = [item_features(item, as_of=None) for item in items_of_blocks()]
    new = [item_features(Item("n", category=f"c{block}"), as_of=None) for block in range(N_BLOCKS)]
    fitted = model.parts[0][0]
    scores = fitted.score(data.strengths)
    arrays, block = fitted.arrays(), fitted.item_factors()
    assert block is not None
    customers = data.strengths.multiply(arrays["spectral_fold_in"]) @ block
    features = FeatureFactors(cold_start_arrays(model, data, items_of_blocks(), as_of=None), ("spectral",))
    raw = customers @ features.factors_of(new, "spectral").T
    expected = (raw - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
    assert ColdScores(model, data, known, new).score(data.strengths) == pytest.approx(expected, abs=1e-3)


def test_withheld_items_of_a_checkerboard_are_placed_by_their_category() -> None:
    matrix = matrix_of(np.kron(np.eye(N_BLOCKS), np.ones((12, N_ITEMS // N_BLOCKS))))
    told_apart = evaluate_cold_items(matrix, items_of_blocks(), RECIPE)
    all_alike = evaluate_cold_items(matrix, [Item(item_id) for item_id in matrix.item_ids], RECIPE)
    assert told_apart.mean == 1 and all_alike.mean < 0.9


@dataclass(frozen=True)
class Watched(Als):
    """ALS, and what it was given to learn from."""

    seen: list[TrainingData] = field(default_factory=list)

    def fit(self, data: TrainingData, *, seed: int) -> FittedFactors:
        self.seen.append(data)
        return super().fit(data, seed=seed)


def test_nothing_that_happened_to_withheld_items_is_learned_from() -> None:
    """As many took an item as its row says, so that whoever counts them knows which items there were."""
    n_items = 20
    matrix = matrix_of(np.tri(n_items))
    family = Watched()
    report = evaluate_cold_items(
        matrix, [Item(one) for one in matrix.item_ids], Recipe(((family, 1.0),)), seeds=(3,)
    )
    (data,) = family.seen
    counts = n_items - np.arange(n_items)
    withheld = sorted(set(counts) - set(data.customer_counts.tolist()))
    assert len(withheld) == 2 and data.strengths.shape[1] == 18
    assert report.n_customers == (withheld[-1],)


def test_the_same_seed_withholds_the_same_items() -> None:
    matrix = matrix_of(blocks_with_one_withheld()[0])
    once, again = (evaluate_cold_items(matrix, items_of_blocks(), RECIPE, seeds=(5, 6)) for _ in range(2))
    assert once == again and once.seeds == (5, 6) and len(once.ndcg) == 2
