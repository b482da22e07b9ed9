"""Lists know today's news, and drop yesterday's, without a training: measured where the tastes are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from recsvc.domain.customers import Consents, Customer
from recsvc.domain.items import Item
from recsvc.domain.slates import Source
from recsvc.sample_bank import CATEGORIES, SampleBank

from ..small_bank import CONTENT, END, World, ids, who

N_CUSTOMERS = 150
N_DAYS = 14


@pytest.fixture
def demo(demo_bank: SampleBank, demo_shelf: Path) -> World:
    """The bank of the demo, trained as the demo trains it; this test may change it."""
    return World(demo_shelf, items=demo_bank.items, customers=demo_bank.customers)


@pytest.fixture(scope="module")
def customers(demo_bank: SampleBank) -> list[str]:
    return [one for one in who(demo_bank.customers) if one in demo_bank.truth.top_categories][:N_CUSTOMERS]


def just_published(demo_bank: SampleBank, category: str, number: int) -> Item:
    """What the magazine wrote last about something, under another name."""
    (*_, like) = [item for item in demo_bank.items if item.kind is CONTENT and item.category == category]
    names = {"item_id": f"just-in-{category}-{number}", "title": {"en": f"News {number} of {category}"}}
    return replace(like, **names, url=None, published_at=END)


@pytest.mark.parametrize("category", CATEGORIES[:2])
def test_an_article_published_a_moment_ago_reaches_those_whose_tastes_it_fits(
    demo_bank: SampleBank, demo: World, customers: list[str], category: str
) -> None:
    fitting = [one for one in customers if category in demo_bank.truth.top_categories[one]]
    demo.put(just_published(demo_bank, category, 1))
    reached = mean(f"just-in-{category}-1" in ids(demo.slate(CONTENT, one)) for one in fitting)
    print(f"{reached:.2f} of the {len(fitting)} who like {category} have it among their ten")
    assert len(fitting) > 15 and reached >= 0.8


def test_of_a_new_edition_everybody_gets_what_fits_their_tastes(
    demo_bank: SampleBank, demo: World, customers: list[str]
) -> None:
    edition = [just_published(demo_bank, category, number) for category in CATEGORIES for number in (1, 2)]
    demo.put(*edition)
    listed: dict[bool, list[bool]] = {True: [], False: []}
    for one in customers:
        shown, tops = set(ids(demo.slate(CONTENT, one))), demo_bank.truth.top_categories[one]
        for item in edition:
            listed[item.category in tops].append(item.item_id in shown)
    fitting, others = mean(listed[True]), mean(listed[False])
    figure = (
        f"of {len(edition)} articles that nobody has met {fitting:.2f} reach the first ten of a customer "
        f"whose tastes they fit, {others:.2f} those of others"
    )
    print(figure)
    assert fitting >= 2 * others and fitting >= 0.6, figure


def test_an_article_gone_stale_leaves_the_lists_without_a_training(
    demo_bank: SampleBank, demo: World, customers: list[str]
) -> None:
    hot = ids(demo.slate(CONTENT, "nobody"))[0]

    def share() -> float:
        return mean(hot in ids(demo.slate(CONTENT, one)) for one in customers)

    before, version = share(), demo.slate(CONTENT, "nobody").model_version
    others = [item.item_id for item in demo_bank.items if item.kind is CONTENT and item.item_id != hot]
    rng = np.random.default_rng(3)
    for _ in range(N_DAYS):
        demo.now += timedelta(days=1)
        for reader in range(20):
            demo.did(f"reader{reader}", "view", *rng.choice(others[-60:], 2, replace=False).tolist())
    demo.feed.catch_up()
    after = share()
    figure = f"{hot} is on {before:.2f} of the lists, and on {after:.2f} after {N_DAYS} days without a reader"
    print(figure)
    assert before > 0.1 and after < before / 5, figure
    popular = demo.slate(CONTENT, "nobody")
    assert hot not in ids(popular)
    assert popular.model_version == version


def test_what_everybody_reads_now_is_popular_and_trending_at_once(demo_bank: SampleBank, demo: World) -> None:
    (*_, old) = demo.slate(CONTENT, "nobody", limit=100).items
    for reader in range(60):
        demo.did(f"reader{reader}", "view", old.item_id)
    demo.feed.catch_up()
    slate = demo.slate(CONTENT, "nobody")
    assert (slate.source, ids(slate)[0]) == (Source.POPULAR, old.item_id)
    trending = demo.browser.trending(
        kind=CONTENT, limit=10, channel=slate.channel, locale=None, categories=()
    )
    assert [item.item_id for item in trending.items] == ids(slate)
    assert old.category
    of_category = demo.browser.trending(
        kind=CONTENT, limit=10, channel=slate.channel, locale=None, categories=(old.category,)
    )
    assert of_category.items[0].item_id == old.item_id
    assert {item.category for item in of_category.items} == {old.category}


def test_without_consent_and_after_an_erasure_nothing_live_is_read_of_a_customer(
    demo_bank: SampleBank, demo: World, customers: list[str]
) -> None:
    asked: list[str] = []
    (follower,) = [kept.follower for kept in demo.feed._kept.values()]
    customer_row = follower.state.customer_row

    def heard(customer_id: str) -> int | None:
        asked.append(customer_id)
        return customer_row(customer_id)

    follower.state.customer_row = heard  # type: ignore[method-assign]
    withdrawn, erased, known = customers[:3]
    demo.record(Customer(withdrawn, consents=Consents(personalisation=False)))
    demo.customers.erase(erased, demo.now)
    for one in (withdrawn, erased, known):
        demo.slate(CONTENT, one)
    assert set(asked) == {known}
