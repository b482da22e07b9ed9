"""What is held out: later interactions, or a fifth of everybody's items, and nothing of it leaks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import floor

import numpy as np
import polars as pl
import pytest

from recsvc.domain.interactions import Interaction
from recsvc.history.matrix import build_matrix
from recsvc.training.evaluation import HeldOut
from recsvc.training.holdout import Split, held_out_from, split
from tests.training.examples import AS_OF, POLICY, busy_history, did, shuffled, table_of, without_times


def split_of(table: object, seed: int = 1) -> Split:
    return split(table, POLICY, seed=seed)  # type: ignore[arg-type]


def held_pairs(parts: Split) -> set[tuple[str, str]]:
    """Who is to take what, by id."""
    assert parts.held_out
    train, entries = parts.train, parts.held_out.relevant.tocoo()
    customer_rows = parts.held_out.customer_rows[entries.row]
    return {
        (train.customer_ids[customer], train.item_ids[item])
        for customer, item in zip(customer_rows, entries.col, strict=True)
    }


def same(first: Split, second: Split) -> bool:
    assert first.held_out and second.held_out
    return (
        (first.train.strengths != second.train.strengths).nnz == 0
        and first.train.popularity.tobytes() == second.train.popularity.tobytes()
        and first.held_out.customer_rows.tolist() == second.held_out.customer_rows.tolist()
        and (first.held_out.relevant != second.held_out.relevant).nnz == 0
        and first.held_out.n_relevant.tolist() == second.held_out.n_relevant.tolist()
    )


def first_and_later(n_customers: int = 360) -> list[Interaction]:
    """Everybody viewed eight of i1 to i9 long ago; a third of them come back in the end."""
    past = [
        did("view", f"i{item}", customer_id=f"c{one}", days_ago=20 + item)
        for one in range(n_customers)
        for item in range(1, 10)
        if item != one % 9 + 1
    ]
    late = [
        did("purchase", item, customer_id=f"c{one}", days_ago=0.5)
        for one in range(n_customers)
        for item in (f"i{one % 9 + 1}", "brand-new", f"i{(one + 1) % 9 + 1}")
    ]
    return past + late[:n_customers]


def test_by_time_nothing_from_after_the_cut_is_learned_from() -> None:
    interactions = first_and_later()
    parts = split_of(table_of(*interactions))
    assert parts.is_by_time
    before = [one for one in interactions if one.occurred_at < AS_OF - timedelta(days=10)]
    alone = build_matrix(table_of(*before), POLICY, as_of=AS_OF - timedelta(days=0.5))
    assert parts.train.item_ids == alone.item_ids and "brand-new" not in parts.train.item_ids
    assert parts.train.customer_ids == alone.customer_ids
    assert parts.train.popularity.tobytes() == alone.popularity.tobytes()
    assert (parts.train.strengths != alone.strengths).nnz == 0


def test_by_time_only_what_is_taken_for_the_first_time_is_to_be_found() -> None:
    parts = split_of(table_of(*first_and_later()))
    # Each took one of the old items for the first time, one again, and one that training never saw.
    assert held_pairs(parts) == {(f"c{one}", f"i{one % 9 + 1}") for one in range(120)}


def test_what_training_never_saw_counts_among_what_could_be_found() -> None:
    held_out = split_of(table_of(*first_and_later())).held_out
    assert held_out and held_out.n_relevant.tolist() == [2] * held_out.n_customers
    assert np.diff(held_out.relevant.indptr).tolist() == [1] * held_out.n_customers
    assert "2026-11-22" in held_out.description


def test_by_time_the_test_is_the_last_tenth() -> None:
    table = busy_history(n=6000)
    parts = split_of(table)
    assert parts.is_by_time and parts.held_out
    cut = table.frame["occurred_at"].sort()[floor(0.9 * (len(table) - 1))]
    assert f"{cut:%Y-%m-%d %H:%M}" in parts.held_out.description
    earlier = table.frame.filter(pl.col("occurred_at") < cut)
    assert set(parts.train.customer_ids) <= set(earlier["customer_id"])


def by_customer(table: object = None, seed: int = 1) -> Split:
    parts = split_of(without_times(busy_history()) if table is None else table, seed)
    assert not parts.is_by_time
    return parts


def test_by_customer_a_fifth_of_each_ones_items_is_held_out_rounded_down() -> None:
    parts = by_customer()
    assert parts.held_out
    whole = np.diff(build_matrix(without_times(busy_history()), POLICY, as_of=None).strengths.indptr)
    held = np.zeros_like(whole)
    held[parts.held_out.customer_rows] = parts.held_out.n_relevant
    assert held.tolist() == [floor(0.2 * n) for n in whole]
    assert np.diff(parts.train.strengths.indptr).tolist() == (whole - held).tolist()


def test_by_customer_the_two_parts_make_the_whole_and_share_nothing() -> None:
    table = without_times(busy_history())
    parts, whole = by_customer(table), build_matrix(table, POLICY, as_of=None)
    learned = parts.train.strengths.tocoo()
    train = {
        (parts.train.customer_ids[row], parts.train.item_ids[column])
        for row, column in zip(learned.row, learned.col, strict=True)
    }
    assert train & held_pairs(parts) == set()
    assert len(train) + len(held_pairs(parts)) == whole.strengths.nnz
    assert parts.train.popularity.tolist() == np.bincount(learned.col, minlength=40).tolist()


def test_by_customer_every_item_has_the_same_chance_to_be_held_out() -> None:
    times = {f"i{item:03}": 0 for item in range(40)}
    for seed in range(20):
        for _, item_id in held_pairs(by_customer(seed=seed)):
            times[item_id] += 1
    whole = build_matrix(without_times(busy_history()), POLICY, as_of=None)
    shares = np.array([times[item_id] for item_id in whole.item_ids]) / (20 * whole.popularity.clip(1))
    assert shares.max() < 2 * shares.min()


def test_the_same_chance_holds_out_the_same() -> None:
    assert same(by_customer(seed=4), by_customer(seed=4))
    assert held_pairs(by_customer(seed=4)) != held_pairs(by_customer(seed=5))


@pytest.mark.parametrize("has_times", [True, False])
def test_the_order_of_rows_changes_nothing(has_times: bool) -> None:
    table = busy_history(n=6000)
    table = table if has_times else without_times(table)
    first, second = split_of(table), split_of(shuffled(table))
    assert first.is_by_time == second.is_by_time == has_times and same(first, second)


def few(n_customers: int) -> Sequence[Interaction]:
    return [
        did("view", f"i{item}", customer_id=f"c{one}", days_ago=item + 1)
        for one in range(n_customers)
        for item in range(6)
    ]


def test_too_few_customers_cannot_be_judged_by() -> None:
    enough, too_few = split_of(table_of(*few(20))), split_of(table_of(*few(19)))
    assert enough.held_out and enough.held_out.n_customers == 20
    assert too_few.held_out is None


def test_where_few_came_back_the_split_is_by_customer() -> None:
    came_back = [did("view", "new", customer_id=f"c{one}", days_ago=0) for one in range(99)]
    parts = split_of(table_of(*few(140), *came_back, did("view", "i9"), did("view", "i10")))
    assert not parts.is_by_time and parts.held_out and parts.held_out.n_customers == 140


def test_a_history_of_one_moment_is_split_by_customer() -> None:
    table = table_of(
        *(did("view", f"i{item}", customer_id=f"c{one}") for one in range(30) for item in range(5))
    )
    parts = split_of(table)
    assert not parts.is_by_time and parts.held_out


def held_out_between(train: Sequence[Interaction], test: Sequence[Interaction]) -> HeldOut | None:
    learned, asked = (build_matrix(table_of(*part), POLICY, as_of=AS_OF) for part in (train, test))
    return held_out_from(learned, asked, "the test file")


def test_a_test_file_of_strangers_measures_nothing() -> None:
    strangers = [did("view", "i1", customer_id=f"stranger{one}") for one in range(50)]
    assert held_out_between(few(50), strangers) is None


def test_a_test_file_of_what_was_learned_from_measures_nothing() -> None:
    assert held_out_between(few(50), few(50)) is None
