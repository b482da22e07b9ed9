"""The best of many scores: always the same as a full sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from recsvc.training.ranking import best_rows

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 120))
FEW_VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])
MANY_VALUES = st.floats(-1e6, 1e6, width=32)


def by_full_sort(scores: NDArray[np.float32], length: int) -> list[list[int]]:
    lists = []
    for row in scores:
        items = [item for item in np.argsort(-row, kind="stable").tolist() if np.isfinite(row[item])]
        lists.append((items + [-1] * length)[: min(length, len(row))])
    return lists


@pytest.mark.parametrize("values", [FEW_VALUES, MANY_VALUES, FEW_VALUES | MANY_VALUES])
@settings(deadline=None)
@given(data=st.data(), length=st.integers(1, 25))
def test_the_best_are_those_of_a_full_sort_with_ties_in_order_of_row(
    values: st.SearchStrategy[float], data: st.DataObject, length: int
) -> None:
    scores = data.draw(arrays(np.float32, SHAPES, elements=values))
    assert best_rows(scores, length).tolist() == by_full_sort(scores, length)


@pytest.mark.parametrize("order", ["random", "ascending", "descending", "constant", "nearly all masked"])
def test_long_rows_are_ranked_exactly_whatever_their_order(order: str) -> None:
    scores = np.random.default_rng(2).integers(0, 5000, (20, 9973)).astype(np.float32)
    match order:
        case "ascending":
            scores.sort(axis=1)
        case "descending":
            scores = np.sort(scores, axis=1)[:, ::-1].copy()
        case "constant":
            scores[:] = 1
        case "nearly all masked":
            scores[:, 40:] = -np.inf
    assert best_rows(scores, 100).tolist() == by_full_sort(scores, 100)


def test_what_is_masked_is_never_listed() -> None:
    scores = np.full((2, 50), -np.inf, dtype=np.float32)
    scores[0, [7, 3]] = 1.0, 2.0
    assert best_rows(scores, 4).tolist() == [[3, 7, -1, -1], [-1, -1, -1, -1]]


def test_the_scores_stay_as_they_were() -> None:
    scores = np.random.default_rng(1).random((3, 500), dtype=np.float32)
    before = scores.copy()
    best_rows(scores, 20)
    assert np.array_equal(scores, before)
