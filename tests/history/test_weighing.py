"""Counting on codes: sums that no order changes, slices and blocks that nobody sees, segments."""

from __future__ import annotations

import math
import random
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.domain.interactions import Interaction
from recsvc.history import matrix as matrices
from recsvc.history import weighing
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix, build_matrix, popularity_by_segment
from recsvc.history.weighing import sum_by
from tests.history.test_matrix import AS_OF, HISTORIES, POLICY, assert_same_bits, did, without_times

# As weights are: of one sign, from the newest to what has faded for years.
WEIGHTS = st.floats(2.0**-150, 2.0**10)


def a_long_history(n: int = 3000) -> list[Interaction]:
    rng = random.Random(7)
    kinds = ["view", "view", "purchase", "like", "impression", "dismiss"]
    return [
        did(
            rng.choice(kinds),
            f"i{rng.randrange(40)}",
            customer_id=f"c{rng.randrange(300)}",
            days_ago=rng.random() * 400,
        )
        for _ in range(n)
    ]


@given(st.lists(st.tuples(st.integers(0, 2), WEIGHTS)), st.randoms(use_true_random=False))
def test_sums_by_group_are_right_and_the_same_to_the_bit_in_any_order(
    pairs: list[tuple[int, float]], chance: random.Random
) -> None:
    def sums(of: list[tuple[int, float]]) -> list[float]:
        groups, values = np.array([pair[0] for pair in of], np.int64), np.array([pair[1] for pair in of])
        return sum_by(groups, values.astype(np.float64), 3).tolist()

    expected = [math.fsum(value for group, value in pairs if group == one) for one in range(3)]
    assert sums(pairs) == pytest.approx(expected, rel=2**-40)
    assert sums(chance.sample(pairs, len(pairs))) == sums(pairs)


def test_a_single_value_is_its_own_sum_to_the_bit() -> None:
    values = np.array([0.1, 1 / 3, 2.0**-149 / 3, 7.7])
    assert sum_by(np.arange(4), values, 4).tobytes() == values.tobytes()


def test_slices_and_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    table = InteractionTable.from_interactions(a_long_history())
    whole = build_matrix(table, POLICY, as_of=AS_OF)
    monkeypatch.setattr(weighing, "SLICE_ROWS", 17)
    monkeypatch.setattr(matrices, "_BLOCK_ROWS", 50)
    assert_same_bits(build_matrix(table, POLICY, as_of=AS_OF), whole)
    assert (build_matrix(table, POLICY, as_of=AS_OF).refused != whole.refused).nnz == 0


def test_one_customer_with_more_than_a_block_is_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    interactions = [did("view", f"i{n}", customer_id=f"c{n % 2}", days_ago=n) for n in range(40)]
    table = InteractionTable.from_interactions(interactions)
    whole = build_matrix(table, POLICY, as_of=AS_OF)
    monkeypatch.setattr(matrices, "_BLOCK_ROWS", 3)
    assert_same_bits(build_matrix(table, POLICY, as_of=AS_OF), whole)


@pytest.mark.parametrize("as_of", [AS_OF, None])
def test_popularity_of_a_segment_is_that_of_a_matrix_of_its_customers(as_of: datetime | None) -> None:
    assert_segments_agree(InteractionTable.from_interactions(a_long_history()), as_of)


@settings(deadline=None, max_examples=30)
@given(HISTORIES)
def test_popularity_by_segment_agrees_in_any_history(interactions: list[Interaction]) -> None:
    assert_segments_agree(InteractionTable.from_interactions(interactions), AS_OF)
    assert_segments_agree(without_times(*interactions), None)


def assert_segments_agree(table: InteractionTable, as_of: datetime | None) -> None:
    matrix = build_matrix(table, POLICY, as_of=as_of)
    segments = np.arange(len(matrix.customer_ids)) % 3
    found = popularity_by_segment(table, matrix, segments, 4, POLICY, as_of=as_of)
    assert found.dtype == np.float32 and found.shape == (4, len(matrix.item_ids))
    for segment in range(4):
        alone = _alone(table, matrix, segments == segment, as_of)
        expected = dict(zip(alone.item_ids, alone.popularity.tolist(), strict=True))
        assert [expected.get(item_id, 0.0) for item_id in matrix.item_ids] == found[segment].tolist()


def _alone(
    table: InteractionTable, matrix: InteractionMatrix, chosen: np.ndarray, as_of: datetime | None
) -> InteractionMatrix:
    members = [matrix.customer_ids[row] for row in np.flatnonzero(chosen)]
    return build_matrix(table.of_customers(members), POLICY, as_of=as_of)
