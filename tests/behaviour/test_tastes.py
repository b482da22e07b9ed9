"""Recommendations find what customers truly like: measured where the truth is known."""

from __future__ import annotations

from itertools import combinations, permutations
from statistics import mean

import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.slates import Slate, Source
from recsvc.sample_bank import CATEGORIES, SampleBank, make_sample_bank

from ..small_bank import CONTENT, END, World, categories, ids, train_on, who

N_CUSTOMERS = 500
AT_LEAST = 3.0


@pytest.fixture(scope="module")
def bank() -> SampleBank:
    return make_sample_bank(end=END)


@pytest.fixture(scope="module")
def demo(bank: SampleBank, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The bank of the demo, trained as the demo trains it."""
    folder = tmp_path_factory.mktemp("demo")
    Registry(folder).promote(train_on(bank, folder))
    return World(folder, items=bank.items, customers=bank.customers)


def share_in(tops: tuple[str, ...], slate: Slate) -> float:
    return mean(category in tops for category in categories(slate))


def test_customers_of_different_tastes_get_different_lists(bank: SampleBank, demo: World) -> None:
    slates = {one: demo.slate(CONTENT, one) for one in bank.show_customers}
    tops = bank.truth.top_categories
    assert {slate.source for slate in slates.values()} == {Source.PERSONALISED}
    for one, other in combinations(slates, 2):
        assert len(set(ids(slates[one])) & set(ids(slates[other]))) <= 6, (one, other)
    own = mean(share_in(tops[one], slates[one]) for one in slates)
    others = mean(share_in(tops[one], slates[other]) for one, other in permutations(slates, 2))
    assert own >= 2 * others, f"{own:.2f} of the own tastes, {others:.2f} of the others'"


def test_lists_hold_three_times_as_much_of_the_true_tastes_as_the_popular_list(
    bank: SampleBank, demo: World
) -> None:
    consenting = set(who(bank.customers)) & set(bank.truth.top_categories)
    some = [c.customer_id for c in bank.customers if c.customer_id in consenting][:N_CUSTOMERS]
    popular = demo.slate(CONTENT, "nobody")
    assert (len(some), popular.source) == (N_CUSTOMERS, Source.POPULAR)
    tops = bank.truth.top_categories
    personal_share = mean(share_in(tops[one], demo.slate(CONTENT, one)) for one in some)
    popular_share = mean(share_in(tops[one], popular) for one in some)
    figure = (
        f"share of recommended articles in the true top categories of {N_CUSTOMERS} customers: "
        f"{personal_share:.3f}; of the popular list: {popular_share:.3f}; "
        f"ratio {personal_share / popular_share:.2f}"
    )
    print(figure)
    assert personal_share >= AT_LEAST * popular_share, figure


def test_reading_about_something_brings_more_of_it_at_once(bank: SampleBank, demo: World) -> None:
    """Somebody who was never here before reads three articles about one thing."""
    before, after = 0, 0
    for category in CATEGORIES:
        about_it = [i.item_id for i in bank.items if i.kind is CONTENT and i.category == category]
        before += categories(demo.slate(CONTENT, f"fan-of-{category}")).count(category)
        demo.did(f"fan-of-{category}", "like", *about_it[-6:-3])
        slate = demo.slate(CONTENT, f"fan-of-{category}")
        assert slate.source is Source.FOLDED_IN
        after += categories(slate).count(category)
    assert after >= 2 * before, f"{before} of the category before, {after} after"
