"""What customers do: how much, where, of which kind, and never where it was not allowed."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from recsvc.domain.customers import Customer
from recsvc.domain.items import Channel, Item, ItemStatus
from recsvc.sample_bank import SampleBank

from .conftest import END

CONTENT_TYPES = {
    *("impression", "view", "dwell", "click", "like", "bookmark", "share", "comment"),
    *("dismiss", "not_interested"),
}
OFFER_TYPES = {"impression", "view", "click", "accept", "redeem", "convert", "dismiss"}
OTHER_TYPES = {"transaction", "nps", "csat", "ces", "complaint", "unsubscribe"}


def test_there_are_200_000_events_of_5_000_customers(bank: SampleBank) -> None:
    assert len(bank.events) == 200_000
    assert len(bank.customers) == 5_000
    assert bank.events["customer_id"].n_unique() >= 4_950


def test_events_come_over_all_seven_channels(bank: SampleBank) -> None:
    counts = dict(bank.events["channel"].value_counts().iter_rows())
    assert set(counts) == {channel.value for channel in Channel}
    assert min(counts.values()) >= 500


def test_content_and_offers_get_the_events_that_belong_to_them(
    bank: SampleBank, item_events: pl.DataFrame
) -> None:
    by_kind = dict(item_events.group_by("kind").agg(pl.col("type").unique()).iter_rows())
    assert set(by_kind["content"]) == CONTENT_TYPES
    assert set(by_kind["offer"]) == OFFER_TYPES
    assert set(bank.events["type"]) == CONTENT_TYPES | OFFER_TYPES | OTHER_TYPES


def test_a_few_articles_draw_most_readers_but_no_category_does(reads: pl.DataFrame) -> None:
    counts = reads["item_id"].value_counts(sort=True)["count"]
    assert counts.head(60).sum() >= 0.33 * len(reads)
    assert counts.max() >= 8 * counts.median()
    assert reads["category"].value_counts(normalize=True)["proportion"].max() <= 0.12


def test_a_few_customers_do_much_and_most_do_little(bank: SampleBank) -> None:
    counts = bank.events["customer_id"].value_counts(sort=True)["count"]
    assert counts.head(500).sum() >= 0.28 * 200_000
    assert counts.max() >= 10 * counts.median()


def test_articles_fade_within_days(reads: pl.DataFrame) -> None:
    age_days = (reads["occurred_at"] - reads["published_at"]).dt.total_minutes() / 1440
    assert 1 <= age_days.median() <= 5
    assert age_days.quantile(0.9) <= 25


def test_a_customer_seldom_opens_the_same_article_twice(reads: pl.DataFrame) -> None:
    opened = reads.filter(pl.col("type").is_in(["click", "view"])).select(
        "customer_id", "item_id", "slate_id"
    )
    visits = opened.unique().drop_nulls().group_by("customer_id", "item_id").len()
    assert 0 < (visits["len"] > 1).mean() <= 0.08  # type: ignore[operator]


def test_every_day_has_its_events(bank: SampleBank) -> None:
    days = bank.events.group_by(pl.col("occurred_at").dt.date()).len()
    assert len(days) >= 90
    assert days.sort("occurred_at")["len"][1:-1].min() >= 1_000


def test_what_is_shown_together_is_numbered_once(bank: SampleBank) -> None:
    impressions = bank.events.filter(pl.col("slate_id").str.ends_with("c") & (pl.col("type") == "impression"))
    assert impressions.select("slate_id", "position").is_unique().all()
    assert impressions.select("slate_id", "item_id").is_unique().all()
    assert impressions["position"].min() == 1
    seen_by = bank.events.drop_nulls("slate_id").group_by("slate_id").agg(pl.col("customer_id").n_unique())
    assert set(seen_by["customer_id"]) == {1}


def test_money_is_decimal_text_in_euros_and_only_where_money_moved(bank: SampleBank) -> None:
    paid = bank.events.filter(pl.col("value").is_not_null())
    assert set(paid["type"]) == {"transaction", "redeem", "convert"}
    assert set(paid["currency"]) == {"EUR"}
    assert all(Decimal(value).as_tuple().exponent == -2 for value in paid["value"])
    assert bank.events["currency"].null_count() == len(bank.events) - len(paid)


def test_survey_scores_lie_on_their_scale(bank: SampleBank) -> None:
    lowest = {"nps": 0, "csat": 1, "ces": 1}
    scales = {"nps": 10, "csat": 5, "ces": 7}
    surveys = bank.events.filter(pl.col("score").is_not_null())
    assert set(surveys["type"]) == set(scales)
    for (name,), group in surveys.group_by("type"):
        assert set(group["scale"]) == {scales[str(name)]}
        assert group["score"].min() >= lowest[str(name)]  # type: ignore[operator]
        assert group["score"].max() == scales[str(name)]


def test_those_on_their_way_out_are_less_content(bank: SampleBank) -> None:
    nps = bank.events.filter(pl.col("type") == "nps")
    stage = pl.Series([bank.truth.lifecycle[customer_id] for customer_id in nps["customer_id"]])
    mean = dict(nps.with_columns(stage=stage).group_by("stage").agg(pl.col("score").mean()).iter_rows())
    assert mean["active"] > mean["at_risk"] > mean["churned"]


def test_no_offer_met_a_customer_whom_it_was_not_allowed_to_meet(
    bank: SampleBank, items: dict[str, Item], item_events: pl.DataFrame
) -> None:
    customers = {customer.customer_id: customer for customer in bank.customers}
    met = item_events.filter(pl.col("kind") == "offer")
    for row in met.select("item_id", "customer_id", "channel", "occurred_at").iter_rows():
        offer, customer = items[row[0]], customers[row[1]]
        assert offer.status is ItemStatus.LIVE
        assert offer.is_valid_at(row[3])
        assert not offer.channels or row[2] in offer.channels
        assert may_meet(offer, customer, row)


def may_meet(offer: Item, customer: Customer, row: tuple[object, ...]) -> bool:
    terms = offer.offer_terms
    limit = customer.suitability.limit_at(row[3]) if customer.suitability else None  # type: ignore[arg-type]
    country = customer.attributes["country"]
    asked = {"web", "mobile", "branch", "call_centre"}
    agreed = set(customer.consents.marketing) if customer.consents else asked
    return (
        terms.risk_class <= (limit or 0)
        and (not terms.jurisdictions or country in terms.jurisdictions)
        and row[2] in agreed
    )


def test_an_unsubscribed_channel_is_no_longer_agreed_to(bank: SampleBank) -> None:
    customers = {customer.customer_id: customer for customer in bank.customers}
    left = bank.events.filter(pl.col("type") == "unsubscribe")
    assert len(left) >= 50
    for customer_id, channel in left.select("customer_id", "channel").iter_rows():
        consents = customers[customer_id].consents
        assert consents is None or channel not in consents.marketing


def test_the_newest_day_is_alive(bank: SampleBank) -> None:
    assert (END - bank.events["occurred_at"][-1]).total_seconds() <= 3 * 3600
    last = (
        bank.events.filter(pl.col("customer_id").is_in(bank.show_customers))
        .group_by("customer_id")
        .agg(pl.col("occurred_at").max())
    )
    assert all((END - moment).total_seconds() <= 4 * 3600 for moment in last["occurred_at"])
