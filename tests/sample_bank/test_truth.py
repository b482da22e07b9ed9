"""The true tastes and stages are there to be found, by whoever looks at the right events."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import polars as pl
import pytest

from recsvc.domain.items import Item
from recsvc.sample_bank import CATEGORIES, SampleBank, Stage

from .conftest import END


def favourites(reads: pl.DataFrame, *, at_least: int) -> dict[str, list[str]]:
    """Categories by number of reads, for customers with at least so many reads."""
    counts = (
        reads.group_by("customer_id", "category")
        .len()
        .filter(pl.col("len").sum().over("customer_id") >= at_least)
        .sort("len", "category", descending=[True, False])
        .group_by("customer_id", maintain_order=True)
        .agg("category")
    )
    return dict(counts.iter_rows())


def hit_share(found: dict[str, list[str]], truth: dict[str, tuple[str, ...]]) -> float:
    """The mean share of true top categories among as many of the found ones."""
    shares = [
        len(set(found[customer_id][: len(tops)]) & set(tops)) / len(tops)
        for customer_id, tops in truth.items()
        if customer_id in found
    ]
    return sum(shares) / len(shares)


@pytest.fixture(scope="module")
def steady(bank: SampleBank) -> dict[str, tuple[str, ...]]:
    """The top categories of active customers whose tastes did not move."""
    truth = bank.truth
    return {
        customer_id: tops
        for customer_id, tops in truth.top_categories.items()
        if truth.lifecycle[customer_id] == Stage.ACTIVE and customer_id not in set(truth.drifting)
    }


def test_tastes_are_distributions_with_two_or_three_clear_tops(bank: SampleBank) -> None:
    for customer_id, taste in bank.truth.tastes.items():
        tops = bank.truth.top_categories[customer_id]
        assert tuple(taste) == CATEGORIES
        assert len(tops) in (2, 3)
        assert sum(taste.values()) == pytest.approx(1, abs=0.002)
        assert 0.79 <= sum(taste[category] for category in tops) <= 0.91
        assert list(tops) == sorted(tops, key=lambda category: -taste[category])
        assert min(taste[category] for category in tops) > max(
            share for category, share in taste.items() if category not in tops
        )


def test_the_tastes_of_active_customers_show_in_what_they_read(
    reads: pl.DataFrame, steady: dict[str, tuple[str, ...]]
) -> None:
    found = favourites(reads, at_least=20)
    looked_at = [customer_id for customer_id in steady if customer_id in found]
    assert len(looked_at) >= 500
    assert sum(found[one][0] in steady[one] for one in looked_at) >= 0.97 * len(looked_at)
    assert hit_share(found, steady) >= 0.9


def test_drifting_tastes_move_from_the_old_to_the_new(bank: SampleBank, reads: pl.DataFrame) -> None:
    truth = bank.truth
    assert 0.1 <= len(truth.drifting) / len(bank.customers) <= 0.25
    early = reads.filter(pl.col("occurred_at") < END - timedelta(days=65))
    late = reads.filter(pl.col("occurred_at") >= END - timedelta(days=25))
    joined = {
        one: [name for name in truth.top_categories[one] if truth.tastes_at_start[one][name] < 0.1]
        for one in truth.drifting
    }
    assert all(len(categories) == 1 for categories in joined.values())

    def share_of_joined(events: pl.DataFrame) -> float:
        drifting = events.filter(pl.col("customer_id").is_in(truth.drifting))
        pairs = drifting.select("customer_id", "category").iter_rows()
        return sum(category in joined[one] for one, category in pairs) / len(drifting)

    assert share_of_joined(early) <= 0.08
    assert share_of_joined(late) >= 0.2


def test_what_is_popular_with_everybody_fits_a_customer_by_chance_only(
    bank: SampleBank, items: dict[str, Item], reads: pl.DataFrame
) -> None:
    age_days = (END - pl.col("occurred_at")).dt.total_seconds() / 86_400
    weighed = reads.with_columns(weight=0.5 ** (age_days / 7)).group_by("item_id").agg(pl.col("weight").sum())
    popular = weighed.sort("weight", descending=True)["item_id"].head(10)
    categories = [items[item_id].category for item_id in popular]
    fitting = [category in tops for tops in bank.truth.top_categories.values() for category in categories]
    share = sum(fitting) / len(fitting)
    print(f"share of the popularity list in the customers' true top categories: {share:.3f}")
    assert 0.17 <= share <= 0.25


def test_no_category_is_a_top_of_more_than_every_third_customer(bank: SampleBank) -> None:
    counts = Counter(category for tops in bank.truth.top_categories.values() for category in tops)
    assert set(counts) == set(CATEGORIES)
    assert max(counts.values()) <= len(bank.customers) / 3.5
    assert min(counts.values()) >= len(bank.customers) / 8


def test_lifecycle_stages_show_in_the_rhythm_of_events(bank: SampleBank) -> None:
    rhythm = bank.events.group_by("customer_id").agg(
        first=pl.col("occurred_at").min(),
        last=pl.col("occurred_at").max(),
        n_days=pl.col("occurred_at").dt.date().n_unique(),
    )
    found = {row[0]: stage_of(*row[1:]) for row in rhythm.iter_rows()}
    meant = bank.truth.lifecycle
    assert set(meant.values()) == {stage.value for stage in Stage}
    assert sum(found.get(one) == stage for one, stage in meant.items()) >= 0.96 * len(meant)


def stage_of(first: datetime, last: datetime, n_days: int) -> Stage:
    """The stage by recency and own rhythm: a rule of thumb that knows nothing of the generator."""
    silent = (END - last) / timedelta(days=1)
    gap = (last - first) / timedelta(days=1) / max(n_days - 1, 1)
    if END - first <= timedelta(days=26):
        return Stage.NEW
    if silent >= 58:
        return Stage.CHURNED
    if silent >= 30:
        return Stage.DORMANT
    return Stage.AT_RISK if n_days > 2 and silent >= max(2.2 * gap, 8) else Stage.ACTIVE
