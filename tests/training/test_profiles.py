"""Portraits: recency, frequency, value, affinities and channels by an example that was worked out by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recsvc.domain.customers import Customer
from recsvc.domain.items import Channel
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import build_matrix
from recsvc.training.bundling import segment_popularity, segment_rows
from recsvc.training.profiles import CHANNELS, Profiles, build_profiles
from tests.training.examples import AS_OF, POLICY, busy_history, did, shuffled, table_of, without_times

CATEGORIES = ("cards", "saving")
CATEGORY_OF = {"i1": "saving", "i2": "cards"}

HISTORY = table_of(
    did("purchase", "i1", days_ago=30, value="10.50", channel=Channel.BRANCH),  # 8, faded to 4
    did("view", "i2", days_ago=0, channel=Channel.WEB),  # 1
    did("click", "i2", days_ago=30, channel=Channel.WEB),  # 2, faded to 1
    did("like", "i3", days_ago=60, value="2.25"),  # 3, faded to .75: no category, no channel
    did("impression", "i1", days_ago=0, channel=Channel.EMAIL),  # Nothing that the customer did.
    did("dismiss", "i1", days_ago=0, value="99"),  # No positive interaction.
    did("transaction", None, customer_id="c2", days_ago=3.5, value="20.00", channel=Channel.MOBILE),
    did("transaction", None, customer_id="c2", days_ago=300, value="-5.00", channel=Channel.MOBILE),
    did("view", "i3", customer_id="c3", days_ago=1),
    did("impression", "i1", customer_id="c4"),
)
CUSTOMERS = ("c1", "c2", "c3", "c4")


def profiles_of(
    table: InteractionTable, customer_ids: tuple[str, ...] = CUSTOMERS, as_of: datetime | None = AS_OF
) -> Profiles:
    return build_profiles(
        table,
        customer_ids,
        category_of=CATEGORY_OF,
        categories=CATEGORIES,
        segment_rows=np.zeros(len(customer_ids), dtype=np.int16),
        policy=POLICY,
        as_of=as_of,
    )


def test_recency_counts_days_since_the_last_positive_interaction() -> None:
    assert profiles_of(HISTORY).recency_days.tolist() == [0.0, 3.5, 1.0, 0.0]


def test_frequency_counts_positive_interactions() -> None:
    assert profiles_of(HISTORY).frequency.tolist() == [4, 2, 1, 0]


def test_monetary_value_sums_the_values_of_positive_interactions() -> None:
    assert profiles_of(HISTORY).monetary_value.tolist() == [12.75, 15.0, 0.0, 0.0]


def test_affinity_is_the_share_of_decayed_strength_by_category() -> None:
    affinity = profiles_of(HISTORY).category_affinity
    assert affinity[0] == pytest.approx([2 / 6, 4 / 6])
    assert affinity[1:].tolist() == [[0, 0]] * 3


def test_channel_share_is_the_share_of_decayed_strength_by_channel() -> None:
    share = profiles_of(HISTORY).channel_share
    assert dict(zip(CHANNELS, share[0].tolist(), strict=True)) == pytest.approx(
        {**dict.fromkeys(CHANNELS, 0.0), "branch": 4 / 6, "web": 2 / 6}
    )
    assert share[1].tolist() == [float(channel == "mobile") for channel in CHANNELS]


def test_what_is_old_weighs_no_less_than_the_floor() -> None:
    table = table_of(did("view", "i1", days_ago=3000), did("view", "i2", days_ago=0))
    assert profiles_of(table, ("c1",)).category_affinity[0] == pytest.approx([1 / 1.05, 0.05 / 1.05])


def test_affinities_and_shares_sum_to_one_or_to_nothing() -> None:
    found = profiles_of(busy_history(), tuple(f"c{one:03}" for one in range(200)))
    for shares in (found.category_affinity, found.channel_share):
        totals = shares.sum(axis=1)
        assert (np.isclose(totals, 1, atol=1e-6) | (totals == 0)).all()
    assert np.isclose(found.channel_share.sum(axis=1), 1, atol=1e-6).all()


def test_without_times_nothing_is_old() -> None:
    found = profiles_of(without_times(HISTORY), as_of=None)
    assert found.recency_days.tolist() == [0.0] * 4
    assert found.category_affinity[0] == pytest.approx([3 / 11, 8 / 11])


def test_an_interaction_without_a_time_among_others_counts_as_fresh() -> None:
    untimed = without_times(table_of(did("like", "i2"))).compact
    table = InteractionTable(table_of(did("purchase", "i1", days_ago=30)).compact.vstack(untimed))
    assert profiles_of(table, ("c1",)).category_affinity[0] == pytest.approx([3 / 7, 4 / 7])


def test_without_categories_there_are_no_affinities() -> None:
    found = build_profiles(
        HISTORY,
        CUSTOMERS,
        category_of={},
        categories=(),
        segment_rows=np.zeros(4, dtype=np.int16),
        policy=POLICY,
        as_of=AS_OF,
    )
    assert found.category_affinity.shape == (4, 0)


def test_rows_are_in_the_order_that_was_asked_for_and_shuffling_changes_no_bit() -> None:
    ids = tuple(f"c{one:03}" for one in reversed(range(200)))
    first, second = profiles_of(busy_history(), ids), profiles_of(shuffled(busy_history()), ids)
    for name, array in first.arrays().items():
        assert array.tobytes() == second.arrays()[name].tobytes(), name
    ordered = profiles_of(busy_history(), ids[::-1])
    assert ordered.frequency[::-1].tolist() == first.frequency.tolist()


def recorded(customer_id: str, **attributes: str | int | float | bool) -> Customer:
    return Customer(customer_id, attributes=attributes)


PEOPLE = [recorded("c1", age=29), recorded("c2", age=30), recorded("c3", age=60), recorded("c4", age="old")]


def test_a_segment_is_the_first_rule_that_fits() -> None:
    names = [rule.name for rule in POLICY.segments]
    rows = segment_rows(("c1", "c2", "c3", "c4", "unheard-of"), PEOPLE, POLICY)
    assert [names[row] for row in rows] == ["young", "everyone", "senior", "everyone", "everyone"]


def popularity_by_segment(segments: NDArray[np.int16], table: InteractionTable) -> tuple[Any, Any]:
    matrix = build_matrix(table, POLICY, as_of=AS_OF)
    return segment_popularity(table, matrix, segments, POLICY, AS_OF), matrix


def test_popularity_of_the_segments_adds_up_to_all_popularity() -> None:
    table = busy_history()
    n_customers = len(build_matrix(table, POLICY, as_of=AS_OF).customer_ids)
    segments = np.random.default_rng(1).integers(0, 2, n_customers).astype(np.int16)
    found, matrix = popularity_by_segment(segments, table)
    assert found.shape == (3, len(matrix.item_ids))
    assert found.sum(axis=0) == pytest.approx(matrix.popularity, rel=1e-5)
    assert found[2].tolist() == [0.0] * len(matrix.item_ids)


def test_popularity_within_a_segment_is_that_of_its_members_and_halves_in_a_half_life() -> None:
    half_life = POLICY.decay.popularity_half_life_days
    table = table_of(
        did("view", "i1", customer_id="c1", days_ago=half_life),
        did("view", "i1", customer_id="c2"),
        did("view", "i2", customer_id="c2", days_ago=2 * half_life),
    )
    found, _ = popularity_by_segment(np.array([1, 0], dtype=np.int16), table)
    assert found.tolist() == [[1.0, 0.25], [0.5, 0.0], [0.0, 0.0]]
