"""What holds for a bank of any seed, any end and any size."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsvc.domain.identifiers import is_identifier
from recsvc.policy import ItemRule, load_policy
from recsvc.sample_bank import SampleBank, make_sample_bank

END = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def a_small_bank(**changes: object) -> SampleBank:
    arguments: dict[str, object] = {"end": END, "n_customers": 60, "n_articles": 60, "n_events": 2000}
    return make_sample_bank(**{**arguments, **changes})  # type: ignore[arg-type]


@given(
    seed=st.integers(0, 2**63 - 1),
    end=st.datetimes(datetime(2015, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    n_customers=st.integers(10, 150),
    n_articles=st.integers(24, 800),
    n_offers=st.integers(1, 60),
    n_days=st.integers(7, 200),
    events_each=st.integers(10, 60),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_asked_for_the_bank_is_sound(
    seed: int, end: datetime, n_customers: int, n_articles: int, n_offers: int, n_days: int, events_each: int
) -> None:
    n_events = n_customers * events_each
    bank = make_sample_bank(
        seed=seed,
        end=end,
        n_customers=n_customers,
        n_articles=n_articles,
        n_offers=n_offers,
        n_days=n_days,
        n_events=n_events,
    )
    assert len(bank.customers) == n_customers
    assert len(bank.items) == n_articles + n_offers
    assert len(bank.events) <= 1.2 * n_events
    if n_articles >= 4 * events_each:  # With fewer, customers run out of something new to read.
        assert len(bank.events) >= 0.8 * n_events
    check_references(bank)
    check_times(bank, end, n_days)
    check_types(bank)
    check_those_shown_around(bank)


def check_those_shown_around(bank: SampleBank) -> None:
    """Each of them is made offers, whatever the moment at which the bank ends."""
    shown = bank.events.filter(pl.col("customer_id").is_in(bank.show_customers))
    assert {"complaint", "unsubscribe"}.isdisjoint(shown["type"])


def check_references(bank: SampleBank) -> None:
    customer_ids = [customer.customer_id for customer in bank.customers]
    item_ids = [item.item_id for item in bank.items]
    assert len(set(customer_ids)) == len(customer_ids)
    assert len(set(item_ids)) == len(item_ids)
    assert all(map(is_identifier, customer_ids + item_ids))
    assert set(bank.events["customer_id"]) <= set(customer_ids)
    assert set(bank.events["item_id"].drop_nulls()) <= set(item_ids)
    assert bank.events["event_id"].is_unique().all()
    assert set(bank.show_customers) <= set(bank.events["customer_id"])
    for by_customer in (bank.truth.top_categories, bank.truth.tastes, bank.truth.lifecycle):
        assert list(by_customer) == customer_ids


def check_times(bank: SampleBank, end: datetime, n_days: int) -> None:
    occurred = bank.events["occurred_at"]
    assert occurred.is_sorted()
    assert occurred[0] >= end - timedelta(days=n_days, milliseconds=1)
    assert end - timedelta(hours=4) <= occurred[-1] <= end
    newest = max(item.published_at for item in bank.items if item.published_at)
    assert end - timedelta(days=1) <= newest <= end
    published = pl.DataFrame(
        {
            "item_id": [item.item_id for item in bank.items],
            "published_at": [item.published_at for item in bank.items],
        }
    )
    met = bank.events.join(published, on="item_id")
    assert met.filter(pl.col("occurred_at") < pl.col("published_at")).is_empty()


def check_types(bank: SampleBank) -> None:
    """Every type is the policy's, and names an item when the policy says so."""
    types = load_policy().interaction_types
    found = bank.events.group_by("type").agg(named=pl.col("item_id").count(), n=pl.len())
    for name, named, n in found.iter_rows():
        rule = types[name].item
        assert rule is ItemRule.OPTIONAL or named == (n if rule is ItemRule.REQUIRED else 0)


def test_the_same_seed_and_end_make_the_same_bank() -> None:
    one, other = a_small_bank(seed=3), a_small_bank(seed=3)
    assert one.items == other.items
    assert one.customers == other.customers
    assert one.truth == other.truth
    assert_frame_equal(one.events, other.events)


def test_another_seed_makes_another_bank() -> None:
    one, other = a_small_bank(seed=3), a_small_bank(seed=4)
    assert one.truth.top_categories != other.truth.top_categories
    assert not one.events.equals(other.events)


def test_the_end_is_a_moment_and_not_a_wall_clock() -> None:
    east = timezone(timedelta(hours=8))
    assert a_small_bank(end=END).items == a_small_bank(end=END.astimezone(east)).items
    assert_frame_equal(a_small_bank(end=END).events, a_small_bank(end=END.astimezone(east)).events)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"end": datetime(2026, 3, 1)}, "end"),
        ({"n_customers": 4}, "n_customers"),
        ({"n_articles": 12}, "n_articles"),
        ({"n_articles": 50_000}, "n_articles"),
        ({"n_offers": 0}, "n_offers"),
        ({"n_days": 1}, "n_days"),
        ({"n_events": 100}, "n_events"),
    ],
)
def test_a_bank_that_cannot_be_made_is_refused_by_the_name_of_what_is_wrong(
    changes: dict[str, object], named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named} "):
        a_small_bank(**changes)
