"""Recommendations find what customers truly like: measured where the truth is known."""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path
from statistics import mean

import pytest

from recsvc.domain.slates import Slate, Source
from recsvc.sample_bank import CATEGORIES, SampleBank

from ..small_bank import CONTENT, World, categories, ids, who

N_CUSTOMERS = 500
AT_LEAST = 3.0


@pytest.fixture(scope="module")
def demo(demo_bank: SampleBank, demo_shelf: Path) -> World:
    """The bank of the demo; no test here changes it."""
    return World(demo_shelf, items=demo_bank.items, customers=demo_bank.customers)


def share_in(tops: tuple[str, ...], slate: Slate) -> float:
    return mean(category in tops for category in categories(slate))


def test_customers_of_different_tastes_get_different_lists(demo_bank: SampleBank, demo: World) -> None:
    slates = {one: demo.slate(CONTENT, one) for one in demo_bank.show_customers}
    tops = demo_bank.truth.top_categories
    assert {slate.source for slate in slates.values()} == {Source.PERSONALISED}
    for one, other in combinations(slates, 2):
        assert len(set(ids(slates[one])) & set(ids(slates[other]))) <= 6, (one, other)
    own = mean(share_in(tops[one], slates[one]) for one in slates)
    others = mean(share_in(tops[one], slates[other]) for one, other in permutations(slates, 2))
    assert own >= 2 * others, f"{own:.2f} of the own tastes, {others:.2f} of the others'"


def test_lists_hold_three_times_as_much_of_the_true_tastes_as_the_popular_list(
    demo_bank: SampleBank, demo: World
) -> None:
    consenting = set(who(demo_bank.customers)) & set(demo_bank.truth.top_categories)
    some = [c.customer_id for c in demo_bank.customers if c.customer_id in consenting][:N_CUSTOMERS]
    popular = demo.slate(CONTENT, "nobody")
    assert (len(some), popular.source) == (N_CUSTOMERS, Source.POPULAR)
    tops = demo_bank.truth.top_categories
    personal_share = mean(share_in(tops[one], demo.slate(CONTENT, one)) for one in some)
    popular_share = mean(share_in(tops[one], popular) for one in some)
    figure = (
        f"share of recommended articles in the true top categories of {N_CUSTOMERS} customers: "
        f"{personal_share:.3f}; of the popular list: {popular_share:.3f}; "
        f"ratio {personal_share / popular_share:.2f}"
    )
    print(figure)
    assert personal_share >= AT_LEAST * popular_share, figure


def test_reading_about_something_brings_more_of_it_at_once(demo_bank: SampleBank, demo: World) -> None:
    """Somebody who was never here before reads three articles about one thing."""
    before, after = 0, 0
    for category in CATEGORIES:
        about_it = [i.item_id for i in demo_bank.items if i.kind is CONTENT and i.category == category]
        before += categories(demo.slate(CONTENT, f"fan-of-{category}")).count(category)
        demo.did(f"fan-of-{category}", "like", *about_it[-6:-3])
        slate = demo.slate(CONTENT, f"fan-of-{category}")
        assert slate.source is Source.FOLDED_IN
        after += categories(slate).count(category)
    assert after >= 2 * before, f"{before} of the category before, {after} after"
