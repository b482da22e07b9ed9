"""Quintile scores by the reference case, and what they promise for any population."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.domain.rfm import quintile_edges, quintile_score


def scores_of(figures: list[float]) -> list[int]:
    edges = quintile_edges(figures)
    return [quintile_score(one, edges) for one in figures]


def scores_by_rank(figures: list[float]) -> list[int]:
    """ceil(5 * mean rank / n), by counting."""
    n = len(figures)
    ranks = [sum(two < one for two in figures) + (figures.count(one) + 1) / 2 for one in figures]
    return [ceil(5 * rank / n) for rank in ranks]


@pytest.mark.parametrize(
    ("score", "figure", "sign"), [("R", "recency_days", -1), ("F", "frequency", 1), ("M", "monetary", 1)]
)
def test_the_reference_scores_are_met(golden: Mapping[str, Any], score: str, figure: str, sign: int) -> None:
    case = golden["rfm_quintile"]
    assert scores_of([sign * one[figure] for one in case["inputs"]["customers"]]) == case["expected"][score]


def test_five_customers_share_out_the_five_scores() -> None:
    assert scores_of([900, 300, 80, 20, 100]) == [5, 4, 2, 1, 3]


def test_customers_of_one_figure_all_have_the_middle_score() -> None:
    assert scores_of([7.0] * 10) == [3] * 10


def test_a_figure_that_nobody_had_scores_like_the_nearest_below_it() -> None:
    edges = quintile_edges([10, 20, 30, 40, 50])
    assert [quintile_score(one, edges) for one in (-1, 10, 29.9, 30, 1000)] == [1, 1, 2, 3, 5]


def test_where_nobody_is_there_are_no_edges() -> None:
    assert quintile_edges([]) == (None,) * 4


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40))
def test_edges_give_every_customer_the_score_of_their_rank(figures: list[float]) -> None:
    assert scores_of(figures) == scores_by_rank(figures)
