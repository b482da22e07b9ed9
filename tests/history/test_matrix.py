"""The matrix: what a pair weighs, what a no does, and that the order of rows changes nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.domain.interactions import Interaction, decay_weight
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.policy import InteractionTypePolicy, ItemRule, Policy, load_policy

AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
POLICY = load_policy()


def did(
    type: str, item_id: str | None = "i1", *, customer_id: str = "c1", days_ago: float = 0.0
) -> Interaction:
    when = AS_OF - timedelta(days=days_ago)
    return Interaction(f"{type}-{item_id}-{customer_id}-{days_ago}", type, customer_id, item_id, when)


def matrix_of(*interactions: Interaction, as_of: datetime | None = AS_OF) -> InteractionMatrix:
    return build_matrix(InteractionTable.from_interactions(interactions), POLICY, as_of=as_of)


def pairs_in(matrix: InteractionMatrix) -> dict[tuple[str, str], float]:
    entries = matrix.strengths.tocoo()
    return {
        (matrix.customer_ids[row], matrix.item_ids[column]): float(strength)
        for row, column, strength in zip(entries.row, entries.col, entries.data, strict=True)
    }


def without_times(*interactions: Interaction) -> InteractionTable:
    frame = InteractionTable.from_interactions(interactions).frame
    return InteractionTable.from_frame(frame.drop("occurred_at"))


@pytest.mark.parametrize("half_life_days", [0.25, 7.0, 30.0, 365.0])
@pytest.mark.parametrize("age_days", [0.0, 1e-6, 0.5, 7.0, 29.999, 365.25, 3650.0])
def test_decay_is_a_half_to_the_power_of_age_over_half_life(age_days: float, half_life_days: float) -> None:
    assert decay_weight(age_days, half_life_days) == pytest.approx(
        0.5 ** (age_days / half_life_days), abs=1e-12
    )


def test_an_interaction_of_the_future_has_not_faded() -> None:
    assert decay_weight(-1.0, 30.0) == 1.0
    assert pairs_in(matrix_of(did("view", days_ago=-1))) == {("c1", "i1"): 1.0}


@settings(deadline=None)
@given(st.floats(0, 1000))
def test_the_matrix_fades_as_decay_weight_does(days_ago: float) -> None:
    age_days = timedelta(days=days_ago) / timedelta(days=1)
    left = max(decay_weight(age_days, POLICY.decay.half_life_days), POLICY.decay.floor)
    matrix = matrix_of(did("purchase", days_ago=days_ago))
    assert matrix.strengths.data[0] == pytest.approx(8 * left, rel=2**-23)
    recent = decay_weight(age_days, POLICY.decay.popularity_half_life_days)
    assert matrix.popularity[0] == pytest.approx(recent, rel=1e-6, abs=1e-30)


def test_a_pair_weighs_the_sum_of_its_positive_interactions() -> None:
    matrix = matrix_of(did("view"), did("purchase", days_ago=30), did("like", days_ago=60), did("impression"))
    assert pairs_in(matrix) == {("c1", "i1"): pytest.approx(1 + 8 / 2 + 3 / 4)}


def test_no_interaction_fades_below_the_floor() -> None:
    assert pairs_in(matrix_of(did("view", days_ago=3000))) == {("c1", "i1"): pytest.approx(0.05)}


def test_what_has_no_strength_or_no_item_is_not_in_the_matrix() -> None:
    matrix = matrix_of(
        did("impression", "seen"),
        did("transaction", None),
        did("complaint", None, customer_id="c2"),
        did("view"),
    )
    assert matrix.customer_ids == ("c1",) and matrix.item_ids == ("i1",)


def test_a_negative_interaction_removes_the_pair() -> None:
    matrix = matrix_of(did("purchase", days_ago=2), did("dismiss", days_ago=1), did("view", "i2"))
    assert pairs_in(matrix) == {("c1", "i2"): 1.0}
    assert matrix.item_ids == ("i2",)


def test_a_later_positive_interaction_brings_the_pair_back_whole() -> None:
    matrix = matrix_of(did("purchase", days_ago=30), did("dismiss", days_ago=1), did("view"))
    assert pairs_in(matrix) == {("c1", "i1"): pytest.approx(5.0)}


def test_at_the_same_moment_the_no_is_the_last_word() -> None:
    matrix = matrix_of(did("purchase"), did("dismiss"), did("view", "i2"))
    assert pairs_in(matrix) == {("c1", "i2"): 1.0}


def test_refused_pairs_of_known_customers_and_items_are_told() -> None:
    matrix = matrix_of(
        did("view", "i1"),
        did("dismiss", "i2"),
        did("view", "i2", customer_id="c2"),
        did("dismiss", "i1", customer_id="c2", days_ago=1),
        did("like", "i1", customer_id="c2"),
        did("dismiss", "nobody-liked-it"),
        did("dismiss", "i1", customer_id="liked-nothing"),
    )
    places = zip(*matrix.refused.nonzero(), strict=True)
    told = [(matrix.customer_ids[row], matrix.item_ids[column]) for row, column in places]
    assert told == [("c1", "i2")]


def test_a_no_is_one_customers_and_one_items() -> None:
    matrix = matrix_of(
        did("dismiss"), did("view", "i2", days_ago=1), did("view", customer_id="c2", days_ago=1)
    )
    assert set(pairs_in(matrix)) == {("c1", "i2"), ("c2", "i1")}


def test_without_times_nothing_fades_and_any_no_removes_the_pair() -> None:
    table = without_times(did("view"), did("dismiss"), did("like", "i2"), did("view", "i2"))
    matrix = build_matrix(table, POLICY, as_of=None)
    assert pairs_in(matrix) == {("c1", "i2"): 4.0}
    assert matrix.popularity.tolist() == [2.0]


def test_without_a_moment_ages_count_to_the_latest_interaction() -> None:
    matrix = matrix_of(did("view", days_ago=40), did("impression", "i2", days_ago=10), as_of=None)
    assert pairs_in(matrix) == {("c1", "i1"): pytest.approx(0.5)}


def test_popularity_counts_interactions_and_not_their_strength() -> None:
    matrix = matrix_of(did("view"), did("purchase", days_ago=7), did("view", "i2", customer_id="c2"))
    assert matrix.popularity.tolist() == [1.5, 1.0]


def test_ids_stand_in_bytewise_order() -> None:
    ids = ["b", "B", "-1", "10", "9", "_", "a.b", "a:b"]
    matrix = matrix_of(*(did("view", id, customer_id=id) for id in ids))
    assert list(matrix.customer_ids) == sorted(ids, key=str.encode) == list(matrix.item_ids)


@pytest.mark.parametrize("as_of", [None, AS_OF])
def test_an_empty_history_is_an_empty_matrix(as_of: datetime | None) -> None:
    for interactions in ([], [did("impression")], [did("dismiss")]):
        matrix = matrix_of(*interactions, as_of=as_of)
        assert (
            matrix.strengths.shape == (0, 0) and matrix.customer_ids == () and matrix.popularity.shape == (0,)
        )


def test_the_arrays_have_the_promised_types() -> None:
    matrix = matrix_of(did("view"), did("view", "i2"))
    assert matrix.strengths.dtype == np.float32 and matrix.popularity.dtype == np.float32
    assert matrix.strengths.has_canonical_format and matrix.strengths.shape == (1, 2)


TYPES = sorted(POLICY.interaction_types)
HISTORIES = st.lists(
    st.builds(
        did,
        st.sampled_from(TYPES),
        st.sampled_from(["i1", "i2", "i3"]),
        customer_id=st.sampled_from(["c1", "c2"]),
        days_ago=st.integers(0, 5) | st.floats(0, 100),
    ),
    max_size=40,
)


def weighed_by_hand(interactions: list[Interaction], policy: Policy) -> dict[tuple[str, str], float]:
    """The rules once more, slowly and plainly."""
    strengths = {name: rule.strength for name, rule in policy.interaction_types.items()}
    pairs: dict[tuple[str, str], float] = {}
    for customer_id, item_id in {(one.customer_id, one.item_id) for one in interactions if one.item_id}:
        told = [one for one in interactions if (one.customer_id, one.item_id) == (customer_id, item_id)]
        yes = [one for one in told if strengths[one.type] > 0]
        no = [one.occurred_at for one in told if strengths[one.type] < 0]
        if yes and (not no or max(one.occurred_at for one in yes) > max(no)):
            pairs[customer_id, item_id] = sum(
                strengths[one.type]
                * max(
                    decay_weight((AS_OF - one.occurred_at) / timedelta(days=1), policy.decay.half_life_days),
                    policy.decay.floor,
                )
                for one in yes
            )
    return pairs


@settings(deadline=None)
@given(HISTORIES)
def test_the_fast_way_and_the_plain_way_agree(interactions: list[Interaction]) -> None:
    expected = weighed_by_hand(interactions, POLICY)
    assert pairs_in(matrix_of(*interactions)) == pytest.approx(expected, rel=1e-6)


@settings(deadline=None)
@given(HISTORIES, st.randoms(use_true_random=False))
def test_shuffled_rows_give_the_same_bits(interactions: list[Interaction], random: random.Random) -> None:
    shuffled = random.sample(interactions, len(interactions))
    assert_same_bits(matrix_of(*interactions), matrix_of(*shuffled))


def test_a_sum_that_hangs_on_its_order_gives_the_same_bits_in_any_order() -> None:
    """1 + 2**-24 lies halfway between two float32: the five tiny ones tip it, unless they are lost first."""
    strengths = {"view": 1.0, "click": 2.0**-24, "like": 2.0**-54}
    types = {name: InteractionTypePolicy(strength, ItemRule.REQUIRED) for name, strength in strengths.items()}
    policy = replace(POLICY, interaction_types=types)
    interactions = [did("view"), did("click"), *(did("like") for _ in range(5))]
    rng = random.Random(5)
    for _ in range(30):
        table = InteractionTable.from_interactions(rng.sample(interactions, len(interactions)))
        strength = build_matrix(table, policy, as_of=AS_OF).strengths.data[0]
        assert strength == np.float32(1 + 2.0**-23)


def assert_same_bits(first: InteractionMatrix, second: InteractionMatrix) -> None:
    assert first.customer_ids == second.customer_ids and first.item_ids == second.item_ids
    assert first.popularity.tobytes() == second.popularity.tobytes()
    for name in ("data", "indices", "indptr"):
        assert getattr(first.strengths, name).tobytes() == getattr(second.strengths, name).tobytes()


def test_a_no_without_a_time_stands_against_any_yes() -> None:
    timed = InteractionTable.from_interactions([did("view"), did("view", "i2")])
    table = InteractionTable(timed.compact.vstack(without_times(did("dismiss")).compact))
    assert pairs_in(build_matrix(table, POLICY, as_of=AS_OF)) == {("c1", "i2"): 1.0}
