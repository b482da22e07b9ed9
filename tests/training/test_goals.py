"""Items that may be had again: what is taken up is to be found, had before or not, and is what is popular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item, ItemKind
from recsvc.history.matrix import build_matrix
from recsvc.training.blending import blended
from recsvc.training.company import in_company
from recsvc.training.evaluation import HeldOut
from recsvc.training.families import Als, Popularity
from recsvc.training.goals import GOAL_STRENGTH, counted_for, goals_of, may_repeat, recounted
from recsvc.training.holdout import Split, held_out_later, split
from recsvc.training.material import Source, gather
from tests.training.examples import (
    AS_OF,
    POLICY,
    Scripted,
    data_of,
    did,
    held_out_of,
    shuffled,
    table_of,
    without_times,
)

CONTENT, OFFER = ItemKind.CONTENT, ItemKind.OFFER


def with_serving(**rules: bool) -> object:
    return replace(POLICY, serving=msgspec.structs.replace(POLICY.serving, **rules))


def of_everybody(type: str, item_id: str, n: int = 20, days_ago: float = 0.0) -> list[Interaction]:
    return [did(type, item_id, customer_id=f"c{one}", days_ago=days_ago) for one in range(n)]


def to_find(
    past: Sequence[Interaction], later: Sequence[Interaction], kind: ItemKind = OFFER, least: int = 20
) -> HeldOut | None:
    train = build_matrix(table_of(*past), POLICY, as_of=AS_OF)
    return held_out_later(train, table_of(*later), POLICY, kind, "later", min_customers=least)


def names_in(held_out: HeldOut | None, item_ids: Sequence[str]) -> set[str]:
    assert held_out
    return {item_ids[row] for row in held_out.relevant.indices}


PAST = of_everybody("view", "seen", days_ago=9) + of_everybody("redeem", "taken", days_ago=9)
ITEMS = ("seen", "taken")


def test_the_policy_says_which_kind_may_be_had_again() -> None:
    assert may_repeat(OFFER, POLICY) and not may_repeat(CONTENT, POLICY)
    turned = with_serving(repeat_offers=False, repeat_content=True)
    assert may_repeat(CONTENT, turned) and not may_repeat(OFFER, turned)  # type: ignore[arg-type]


@pytest.mark.parametrize("type", ["accept", "redeem", "convert", "purchase"])
def test_an_offer_that_was_had_before_is_to_be_found_where_it_is_taken_up(type: str) -> None:
    held_out = to_find(PAST, of_everybody(type, "taken"))
    assert held_out and held_out.may_repeat and names_in(held_out, ITEMS) == {"taken"}
    assert held_out.n_relevant.tolist() == [1] * 20


def test_what_is_only_looked_at_is_not_to_be_found() -> None:
    later = of_everybody("view", "seen") + of_everybody("share", "seen") + of_everybody("redeem", "taken")
    assert names_in(to_find(PAST, later), ITEMS) == {"taken"}


def test_where_too_few_took_up_anything_all_that_they_took_is_to_be_found() -> None:
    later = of_everybody("view", "seen") + of_everybody("redeem", "taken", n=19)
    held_out = to_find(PAST, later)
    assert names_in(held_out, ITEMS) == {"seen", "taken"}
    assert held_out and held_out.may_repeat and GOAL_STRENGTH == 5
    assert "strength" not in held_out.description
    assert to_find(PAST, later, least=21) is None


def test_who_took_an_offer_up_and_then_refused_it_did_not_take_it_up() -> None:
    later = of_everybody("redeem", "taken", n=30, days_ago=2) + of_everybody(
        "dismiss", "taken", n=8, days_ago=1
    )
    past = PAST + [did("view", "seen", customer_id=f"c{one}", days_ago=9) for one in range(30)]
    held_out = to_find(past, later)
    assert held_out and held_out.n_customers == 22


def test_an_offer_that_training_never_saw_counts_among_what_could_be_found() -> None:
    held_out = to_find(PAST, of_everybody("redeem", "brand-new") + of_everybody("redeem", "taken"))
    assert held_out and held_out.n_relevant.tolist() == [2] * 20 and held_out.relevant.nnz == 20


def test_content_is_judged_by_what_is_taken_for_the_first_time() -> None:
    assert to_find(PAST, of_everybody("redeem", "taken"), CONTENT) is None
    held_out = to_find(PAST, of_everybody("redeem", "seen", 0) + of_everybody("view", "brand-new"), CONTENT)
    assert held_out and not held_out.may_repeat and "first-time interactions later" in held_out.description


def test_the_description_says_what_is_to_be_found_and_that_nothing_is_masked() -> None:
    held_out = to_find(PAST, of_everybody("redeem", "taken"))
    assert held_out and held_out.description == (
        "interactions of strength 5 or more, first-time or not, nothing masked, later"
    )


def test_goals_are_what_takes_up_and_what_takes_back() -> None:
    types = [
        "impression",
        "view",
        "follow",
        "accept",
        "redeem",
        "convert",
        "purchase",
        "transaction",
        "reject",
    ]
    table = table_of(*(did(type, "i1") for type in types), did("transaction", None))
    kept = goals_of(table, POLICY).frame["type"].to_list()
    assert kept == ["accept", "redeem", "convert", "purchase", "reject"]


def looked_at_and_taken_up(n: int = 240) -> list[Interaction]:
    """Everybody looks at `flyer`, over and over; half of them take `cash` up now and then, and now again."""
    looks = [
        did("view", "flyer", customer_id=f"c{one}", days_ago=days)
        for one in range(n)
        for days in (30, 20, 10)
    ]
    taken = [did("redeem", "cash", customer_id=f"c{one}", days_ago=15) for one in range(0, n, 2)]
    late = [did("redeem", "cash", customer_id=f"c{one}", days_ago=one / n) for one in range(0, n, 2)]
    return looks + taken + late


def popularity_of(parts: Split) -> dict[str, float]:
    return dict(zip(parts.train.item_ids, parts.train.popularity.tolist(), strict=True))


def test_offers_are_held_out_by_time_where_they_were_taken_up_again() -> None:
    parts = split(table_of(*looked_at_and_taken_up(n=400)), POLICY, OFFER, seed=1)
    assert parts.is_by_time and parts.held_out and parts.held_out.may_repeat
    assert names_in(parts.held_out, parts.train.item_ids) == {"cash"}
    assert popularity_of(parts)["cash"] > 0 == popularity_of(parts)["flyer"]


def test_the_same_history_of_content_is_not() -> None:
    parts = split(table_of(*looked_at_and_taken_up(n=400)), POLICY, CONTENT, seed=1)
    assert not parts.held_out or not parts.held_out.may_repeat
    assert popularity_of(parts)["flyer"] > popularity_of(parts)["cash"]


def test_without_times_offers_are_held_out_as_everything_else() -> None:
    table = without_times(
        table_of(*(did("redeem", f"i{i}", customer_id=f"c{c}") for c in range(30) for i in range(5)))
    )
    parts = split(table, POLICY, OFFER, seed=1)
    assert not parts.is_by_time and parts.held_out and not parts.held_out.may_repeat


def test_offers_are_popular_by_how_often_they_were_taken_up() -> None:
    table = table_of(*looked_at_and_taken_up())
    plain = build_matrix(table, POLICY, as_of=AS_OF)
    of_offers = recounted(plain, OFFER, table, POLICY, as_of=AS_OF)
    alone = build_matrix(goals_of(table, POLICY), POLICY, as_of=AS_OF)
    assert dict(zip(of_offers.item_ids, of_offers.popularity.tolist(), strict=True)) == {
        "cash": alone.popularity[0],
        "flyer": 0.0,
    }
    assert (of_offers.strengths != plain.strengths).nnz == 0
    assert recounted(plain, CONTENT, table, POLICY, as_of=AS_OF) is plain


def test_ages_count_to_the_latest_time_of_all_where_no_moment_is_given() -> None:
    table = table_of(*of_everybody("redeem", "cash", 100, days_ago=7), did("view", "flyer", days_ago=0))
    matrix = recounted(build_matrix(table, POLICY, as_of=None), OFFER, table, POLICY, as_of=None)
    assert matrix.popularity.tolist() == pytest.approx([50.0, 0.0])


def test_where_too_few_took_up_anything_popularity_counts_all() -> None:
    table = table_of(*of_everybody("redeem", "cash", 99), *of_everybody("view", "flyer", 200))
    assert counted_for(OFFER, table, POLICY) is table
    plain = build_matrix(table, POLICY, as_of=None)
    assert recounted(plain, OFFER, table, POLICY, as_of=None) is plain


def test_the_order_of_rows_changes_nothing() -> None:
    table = table_of(*looked_at_and_taken_up(n=400))
    one, other = (split(each, POLICY, OFFER, seed=1) for each in (table, shuffled(table)))
    assert one.held_out and other.held_out
    assert one.train.popularity.tobytes() == other.train.popularity.tobytes()
    assert one.held_out.customer_rows.tolist() == other.held_out.customer_rows.tolist()
    assert (one.held_out.relevant != other.held_out.relevant).nnz == 0
    assert np.array_equal(one.held_out.n_relevant, other.held_out.n_relevant)


def test_settings_are_tried_behind_what_is_popular_where_items_may_be_had_again() -> None:
    data = data_of(np.eye(6) + np.eye(6, k=1))
    own, popular = Scripted(lambda histories: histories.toarray(), Als()), Popularity().fit(data, seed=1)
    first = held_out_of([[0]] * 6, 6, [0] * 6)
    again = replace(first, may_repeat=True)
    assert in_company(own, data, first) is own
    assert in_company(popular, data, again) is popular
    beside = blended([popular.score(data.strengths), own.score(data.strengths)], [2 / 3, 1 / 3])
    np.testing.assert_array_equal(in_company(own, data, again).score(data.strengths), beside)


@pytest.mark.parametrize(
    ("kinds", "by_default", "expected"),
    [
        ((OFFER, OFFER), CONTENT, OFFER),
        ((OFFER, CONTENT), OFFER, CONTENT),
        ((), OFFER, OFFER),
        ((), CONTENT, CONTENT),
        ((OFFER,), CONTENT, CONTENT),
    ],
)
def test_what_is_trained_on_is_of_a_kind_where_all_of_it_is(
    kinds: Sequence[ItemKind], by_default: ItemKind, expected: ItemKind
) -> None:
    items = tuple(Item(item_id, kind) for item_id, kind in zip(ITEMS, kinds, strict=False))
    table = table_of(*of_everybody("view", "seen"), *of_everybody("redeem", "taken", n=150))
    material = gather(Source(table, items, kind=by_default), POLICY)
    assert material.kind is expected
    assert (material.matrix.popularity[0] == 0) == (expected is OFFER)
