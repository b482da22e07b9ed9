"""A page tells one story: what one placement shows, no later one shows again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.policy_lists import PagePlacement, PagePolicy
from recsvc.sample_bank import SampleBank
from recsvc.serving.reranking import requests_of_page

from ..small_bank import CONTENT, OFFER, POLICY, World, ids

HOT = "c0001"
HOME = PagePolicy(
    "home",
    (
        PagePlacement("hero", 1),
        PagePlacement("teaser", 2, kind="offer"),
        PagePlacement("list", 10),
        PagePlacement("foot", 3),
    ),
)


@pytest.fixture
def pages(world: World) -> World:
    """The same world under a policy with a page."""
    return World(
        world.registry.folder,
        items=world.items.items(),
        customers=world.customers.each(),
        policy=replace(POLICY, pages=(HOME,)),
    )


def shown(world: World, placement: str, **wanted: object) -> list[str]:
    return ids(world.slate(CONTENT, HOT, placement=placement, **wanted))


def test_no_item_stands_on_a_page_twice_whatever_is_asked_first(pages: World) -> None:
    forwards = {name: shown(pages, name) for name in ("hero", "list", "foot")}
    backwards = {name: shown(pages, name) for name in ("foot", "list", "hero")}
    assert forwards == backwards
    together = [one for items in forwards.values() for one in items]
    assert len(together) == len(set(together)) == 1 + 10 + 3


def test_the_first_placement_shows_the_best_and_the_next_what_follows(pages: World) -> None:
    whole = shown(pages, "elsewhere", limit=11)
    assert shown(pages, "hero") == whole[:1]
    assert shown(pages, "list")[0] in whole[1:3]


def test_a_placement_gets_no_more_than_its_number_and_may_ask_for_less(pages: World) -> None:
    assert len(shown(pages, "hero", limit=10)) == 1
    assert len(shown(pages, "foot", limit=2)) == 2
    assert len(shown(pages, "elsewhere", limit=20)) == 20


def test_a_placement_of_another_kind_takes_nothing_away(pages: World) -> None:
    offers = ids(pages.slate(OFFER, HOT, placement="teaser", limit=2))
    assert offers and not set(offers) & set(shown(pages, "list"))
    asked = requests_of_page(SlateRequest(CONTENT, HOT, placement="foot"), (HOME,))
    assert [(one.placement, one.limit) for one in asked] == [("hero", 1), ("list", 10), ("foot", 3)]


def test_a_click_between_two_placements_repeats_nothing(pages: World) -> None:
    hero = shown(pages, "hero")
    pages.did(HOT, "click", *hero)
    after = shown(pages, "list")
    assert not set(hero) & set(after)
    assert not set(shown(pages, "hero")) & set(after)


@pytest.mark.parametrize("kind", [CONTENT, OFFER])
@pytest.mark.parametrize("order", [("hero", "list"), ("list", "hero")])
def test_an_impression_between_two_placements_repeats_nothing(
    pages: World, bank_in_small: SampleBank, kind: ItemKind, order: tuple[str, str]
) -> None:
    open_to_all = Consents(personalisation=True, marketing=tuple(Channel))
    for who in (one.customer_id for one in bank_in_small.customers[:20]):
        pages.record(Customer(who, consents=open_to_all, suitability=Suitability(max_risk_class=7)))
        whole = {name: ids(pages.slate(kind, who, placement=name)) for name in order}
        found = []
        for name in order:
            found += (one := ids(pages.slate(kind, who, placement=name)))
            assert one == whole[name]
            pages.did(who, "impression", *one)
        assert len(found) == len(set(found)) > 1


def test_a_series_and_a_duplicate_stand_on_a_page_once(pages: World) -> None:
    def of_series(world: World) -> list[str]:
        whole = [one for name in ("hero", "list", "foot") for one in shown(world, name)]
        return [
            one for one in whole if world.catalogue.view.items[one].attributes.get("series") == "pensions"
        ]

    whole = shown(pages, "elsewhere", limit=20)
    items = pages.catalogue.view.items
    pages.put(*(replace(items[one], attributes={"series": "pensions"}) for one in whole[:4]))
    assert of_series(pages) == shown(pages, "hero") == whole[:1]
    pages.put(*(replace(items[one], title={"en": "The same"}) for one in whole[4:8]))
    again = [one for name in ("hero", "list", "foot") for one in shown(pages, name)]
    assert len(set(again) & set(whole[4:8])) == 1
    assert len(again) == len(set(again)) == 1 + 10 + 3


def test_what_is_pinned_on_one_placement_keeps_its_series_off_the_next(pages: World) -> None:
    items, whole = pages.catalogue.view.items, shown(pages, "elsewhere", limit=5)
    pages.put(*(replace(items[one], attributes={"series": "pensions"}) for one in (whole[1], whole[4])))
    pages.rule("pin", item_id=whole[4], placements=("hero",))
    assert shown(pages, "hero") == [whole[4]]
    assert whole[1] not in shown(pages, "list")


def test_a_page_keeps_to_what_the_request_excludes_and_wishes(pages: World) -> None:
    wanted = {"exclude": tuple(shown(pages, "hero")), "diversity": 0.5, "channel": Channel.MOBILE}
    together = [one for name in ("hero", "list", "foot") for one in shown(pages, name, **wanted)]
    assert len(together) == len(set(together))
    assert not set(wanted["exclude"]) & set(together)


def test_a_placement_of_no_page_is_asked_alone() -> None:
    request = SlateRequest(CONTENT, HOT, placement="elsewhere")
    assert requests_of_page(request, (HOME,)) == (request,)
    assert requests_of_page(request, ()) == (request,)
