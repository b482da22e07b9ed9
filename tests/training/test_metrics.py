"""Metrics against their definitions, and intervals against theory."""

from __future__ import annotations

from dataclasses import astuple
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsvc.bundles.manifest import Measured
from recsvc.training.metrics import (
    catalogue_metrics,
    intra_list_diversity,
    measured,
    ranking_metrics,
    times_shown,
)
from tests.training import reference

N_ITEMS = 9
LISTS = st.lists(st.permutations(range(N_ITEMS)), min_size=1, max_size=6)
CUTOFFS = st.sets(st.integers(1, 14), min_size=1, max_size=3).map(sorted)


def padded(lists: list[list[int]], width: int) -> NDArray[np.int32]:
    return np.array([items + [-1] * (width - len(items)) for items in lists], dtype=np.int32)


@st.composite
def short_lists(draw: st.DrawFn) -> list[list[int]]:
    """Lists of different lengths, some of them empty."""
    return [items[: draw(st.integers(0, N_ITEMS))] for items in draw(LISTS)]


@settings(deadline=None)
@given(short_lists(), CUTOFFS, st.data())
def test_accuracy_is_what_the_definitions_say(
    lists: list[list[int]], cutoffs: list[int], data: st.DataObject
) -> None:
    relevant = [data.draw(st.sets(st.integers(0, N_ITEMS - 1))) for _ in lists]
    # What training never saw is relevant too, and no list can hold it; at least one thing is relevant.
    unseen = [data.draw(st.integers(0 if found else 1, 20)) for found in relevant]
    n_relevant = [len(found) + more for found, more in zip(relevant, unseen, strict=True)]
    width = data.draw(st.integers(max(1, *map(len, lists)), N_ITEMS + 2))
    hits = np.zeros((len(lists), width), dtype=bool)
    for row, items in enumerate(lists):
        hits[row, : len(items)] = [item in relevant[row] for item in items]
    metrics = ranking_metrics(hits, np.array(n_relevant), cutoffs)
    for row, items in enumerate(lists):
        for k in cutoffs:
            expected = reference.accuracy(items, relevant[row], n_relevant[row], k)
            assert {name: metrics[name][row] for name in expected} == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(short_lists(), CUTOFFS, st.data())
def test_the_catalogue_is_judged_as_the_definitions_say(
    lists: list[list[int]], cutoffs: list[int], data: st.DataObject
) -> None:
    n_customers = data.draw(st.integers(1, 50))
    counts = data.draw(st.lists(st.integers(0, n_customers), min_size=N_ITEMS, max_size=N_ITEMS))
    table = padded(lists, N_ITEMS)
    shown = {k: times_shown(table, N_ITEMS, k) for k in cutoffs}
    metrics = catalogue_metrics(shown, np.array(counts), n_customers)
    for k in cutoffs:
        assert metrics[f"coverage@{k}"] == pytest.approx(reference.coverage(lists, N_ITEMS, k))
        assert metrics[f"gini@{k}"] == pytest.approx(reference.gini(lists, N_ITEMS, k))
        assert metrics[f"novelty@{k}"] == pytest.approx(reference.novelty(lists, counts, n_customers, k))


@settings(deadline=None)
@given(short_lists(), st.integers(1, 14), st.data())
def test_diversity_is_the_share_of_pairs_that_differ(
    lists: list[list[int]], k: int, data: st.DataObject
) -> None:
    categories = data.draw(st.lists(st.integers(-1, 2), min_size=N_ITEMS, max_size=N_ITEMS))
    shares = intra_list_diversity(padded(lists, N_ITEMS), np.array(categories), k)
    for items, share in zip(lists, shares, strict=True):
        if len(items[:k]) < 2:
            assert np.isnan(share)
        else:
            assert share == pytest.approx(reference.diversity([items], categories, k))


def test_lists_of_nothing_are_judged_without_a_warning() -> None:
    nothing = np.full((3, 5), -1, dtype=np.int32)
    metrics = catalogue_metrics({5: times_shown(nothing, 4, 5)}, np.array([1, 2, 0, 0]), 2)
    assert metrics == {"coverage@5": 0.0, "gini@5": 0.0, "novelty@5": 0.0}


def test_gini_is_0_when_all_are_shown_alike_and_nearly_1_when_one_is() -> None:
    counts = np.ones(100, dtype=np.int64)
    for times, expected in ((np.full(100, 7), 0.0), (np.eye(100, dtype=int)[3] * 7, 0.99)):
        assert catalogue_metrics({5: times}, counts, 10)["gini@5"] == pytest.approx(expected)


def test_an_item_that_half_of_the_customers_took_is_one_bit_new() -> None:
    assert catalogue_metrics({1: np.array([5, 0])}, np.array([8, 1]), 16)["novelty@1"] == pytest.approx(1.0)


def bernoulli(n: int, share: float, seed: int = 0) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(n) < share).astype(np.float64)


def interval(values: NDArray[np.float64], seed: int = 1, n_resamples: int = 500) -> Measured:
    return measured({"m": values}, np.random.default_rng(seed), n_resamples)["m"]


def test_the_same_chance_gives_the_same_interval() -> None:
    values = np.random.default_rng(4).random(500)
    assert interval(values) == interval(values)
    assert interval(values) != interval(values, seed=2)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_an_interval_holds_its_mean_and_stays_within_what_was_seen(values: list[float]) -> None:
    mean, low, high = astuple(interval(np.array(values)))
    assert mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    if len(values) >= 20 and np.std(values) > 0.1:
        assert low <= mean <= high


@pytest.mark.parametrize(("n", "share"), [(400, 0.5), (2000, 0.3), (5000, 0.05)])
def test_an_interval_is_as_wide_as_theory_says(n: int, share: float) -> None:
    values = bernoulli(n, share)
    found = interval(values, n_resamples=2000)
    expected = 2 * 1.96 * sqrt(values.var() / n)
    assert found.high - found.low == pytest.approx(expected, rel=0.08)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    found = [interval(bernoulli(300, 0.3, seed), seed=seed, n_resamples=200) for seed in range(200)]
    held = np.mean([one.low <= 0.3 <= one.high for one in found])
    assert 0.89 <= held <= 0.99


def test_metrics_of_one_customer_share_their_draws() -> None:
    values = bernoulli(200, 0.4)
    both = measured({"a": values, "b": values * 2}, np.random.default_rng(3))
    assert np.allclose(np.array(astuple(both["a"])) * 2, astuple(both["b"]))
