"""Risk classes by the reference case, and where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from recsvc.domain.risk import SRI_TABLE, market_risk_class, summary_risk_indicator


def test_the_reference_table_and_volatility_classes_are_met(golden: Mapping[str, Any]) -> None:
    case = golden["priips_sri"]
    found = [[summary_risk_indicator(credit, market) for market in range(1, 8)] for credit in range(1, 7)]
    assert found == case["expected"]["table"]
    assert [market_risk_class(vev) for vev in case["inputs"]["vev"]] == case["expected"]["mrm"]


def test_more_risk_of_either_sort_never_makes_a_lower_class() -> None:
    for row, below in pairwise(SRI_TABLE):
        assert list(row) == sorted(row)
        assert all(lower <= higher for lower, higher in zip(row, below, strict=True))


def test_a_class_begins_at_its_bound_and_ends_just_below_the_next() -> None:
    assert [market_risk_class(vev) for vev in (0.0, 0.00499, 0.005, 0.79999, 0.8, 12.0)] == [1, 1, 2, 6, 7, 7]


@pytest.mark.parametrize("volatility", [-0.01, float("nan"), float("inf")])
def test_what_is_no_volatility_has_no_class(volatility: float) -> None:
    with pytest.raises(ValueError, match="volatility"):
        market_risk_class(volatility)


@pytest.mark.parametrize(("credit", "market"), [(0, 1), (7, 1), (1, 0), (1, 8)])
def test_a_class_that_does_not_exist_is_refused(credit: int, market: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to"):
        summary_risk_indicator(credit, market)
