"""Lists that belong to nobody: what is like an item, and what everybody takes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.items import Channel, Item, ItemKind, ItemStatus
from recsvc.domain.offer_terms import Budget, Cap, Disclosure, OfferTerms, TargetMarket
from recsvc.domain.slates import Source
from recsvc.errors import NotFoundError
from recsvc.policy_offers import BanPolicy
from recsvc.sample_bank import SampleBank
from recsvc.serving.answers import ItemList
from recsvc.serving.browsing import Browser

from ..small_bank import CONTENT, OFFER, World, publish_without_live


def similar(world: World, item_id: str, limit: int = 10, channel: Channel = Channel.WEB) -> ItemList:
    return world.browser.similar(item_id, limit=limit, channel=channel, locale=None)


def trending(world: World, kind: ItemKind = CONTENT, **wanted: Any) -> ItemList:
    asked: dict[str, Any] = {"limit": 10, "channel": Channel.WEB, "locale": None, "categories": (), **wanted}
    return world.browser.trending(kind=kind, **asked)


def shown(found: ItemList) -> list[str]:
    return [item.item_id for item in found.items]


def test_similar_items_are_of_the_same_kind_and_not_the_item_itself(world: World) -> None:
    for item in world.items.items():
        if item.status is ItemStatus.LIVE:
            found = similar(world, item.item_id, limit=20)
            assert item.item_id not in shown(found)
            assert len(set(shown(found))) == len(found.items)
            assert {world.catalogue.view.items[one].kind for one in shown(found)} <= {item.kind}


def test_an_item_that_the_model_never_met_is_like_those_of_its_category(world: World) -> None:
    world.put(Item("brand-new", category="saving"))
    found = similar(world, "brand-new", limit=5)
    assert {item.category for item in found.items} == {"saving"}
    assert found.source is Source.POPULAR


def test_an_item_of_no_category_that_nobody_used_is_like_nothing(world: World) -> None:
    world.put(Item("odd"))
    assert similar(world, "odd").items == ()


@pytest.mark.parametrize("status", [None, ItemStatus.DRAFT, ItemStatus.PAUSED, ItemStatus.RETIRED])
def test_nothing_is_like_an_item_that_is_not_live(world: World, status: ItemStatus | None) -> None:
    if status:
        world.put(Item("hidden", status=status))
    with pytest.raises(NotFoundError, match="not live"):
        similar(world, "hidden")


def test_what_everybody_takes_comes_most_popular_first(world: World) -> None:
    found = trending(world)
    scores = [item.score for item in found.items]
    assert (found.source, len(scores)) == (Source.POPULAR, 10)
    assert scores == sorted(scores, reverse=True)
    assert {item.category for item in trending(world, categories=("travel",)).items} == {"travel"}


def test_lists_hold_only_what_anybody_may_see_now(world: World) -> None:
    soon, ago = world.now + timedelta(hours=1), world.now - timedelta(hours=1)
    world.put(
        Item("upcoming", OFFER, category="saving", valid_from=soon),
        Item("expired", OFFER, category="saving", valid_to=world.now),
        Item("risky", OFFER, category="saving", terms=OfferTerms(risk_class=1)),
        Item("by-mail", OFFER, category="saving", channels=(Channel.EMAIL,)),
        Item("untold", OFFER, category="saving", terms=OfferTerms(disclosures=(Disclosure("d", 1, {}),))),
        *(
            Item(name, OFFER, category="saving", terms=terms)
            for name, terms in {
                "chinese": OfferTerms(disclosures=(Disclosure("d", 1, {"zh": "说明"}),)),
                "targeted": OfferTerms(target_market=TargetMarket(client_types=("retail",))),
                "not-for-experts": OfferTerms(negative_target_market=TargetMarket(knowledge=("expert",))),
                "for-adults": OfferTerms(eligibility={"field": "attributes.age", "op": "above", "value": 17}),
                "capped": OfferTerms(caps=(Cap(3, 24.0),)),
                "paid-for": OfferTerms(budget=Budget(Decimal(100), Decimal(1))),
                "few": OfferTerms(inventory=5),
                "bound": OfferTerms(jurisdictions=("DE",)),
                "placed": OfferTerms(placements=("home",)),
            }.items()
        ),
        Item("open", OFFER, category="saving", valid_from=ago, valid_to=soon),
        Item("asked-about", OFFER, category="saving"),
    )
    hidden = {"upcoming", "expired", "risky", "by-mail", "untold", "chinese", "targeted", "not-for-experts"}
    hidden |= {"for-adults", "capped", "paid-for", "few", "bound", "placed"}
    for found in (trending(world, OFFER, limit=100), similar(world, "asked-about", limit=100)):
        assert "open" in shown(found)
        assert hidden.isdisjoint(shown(found))
        kept = (world.catalogue.view.items[item_id] for item_id in shown(found))
        assert {item.offer_terms.risk_class for item in kept} == {0}
    assert "by-mail" in shown(trending(world, OFFER, limit=100, channel=Channel.EMAIL))


def test_what_a_ban_could_forbid_somebody_is_on_nobodys_list(world: World) -> None:
    banned = BanPolicy("no saving in AT", countries=("AT",), categories=("saving",))
    policy = replace(world.policy, offers=msgspec.structs.replace(world.policy.offers, bans=(banned,)))
    browser = Browser(world.catalogue, policy, clock=lambda: world.now)
    asked = {"limit": 100, "channel": Channel.WEB, "locale": None, "categories": ()}
    assert "saving" in {one.category for one in trending(world, OFFER, limit=100).items}
    assert "saving" not in {one.category for one in browser.trending(kind=OFFER, **asked).items}


def test_without_a_model_lists_are_made_of_the_catalogue(bank_in_small: SampleBank, tmp_path: Path) -> None:
    world = World(tmp_path, items=bank_in_small.items)
    found = trending(world)
    assert (found.source, found.model_version, len(found.items)) == (Source.EDITORIAL, None, 10)
    first = found.items[0]
    assert {item.category for item in similar(world, first.item_id).items} == {first.category}


@pytest.fixture(params=["no live parts", "no model"])
def unweighed(
    request: pytest.FixtureRequest, bank_in_small: SampleBank, shelf: tuple[Path, Path], tmp_path: Path
) -> World:
    """Nothing says what the live state counts beside a model: it has no live parts, or there is none."""
    if request.param == "no live parts":
        folder = tmp_path / "without"
        shutil.copytree(shelf[0].parent, folder)
        Registry(folder).promote(publish_without_live(folder / shelf[0].name).name)
    else:
        folder = tmp_path / "empty"
    return World(folder, items=bank_in_small.items, customers=bank_in_small.customers)


def test_what_is_popular_now_needs_no_live_parts(unweighed: World) -> None:
    *_, second, first = shown(trending(unweighed, limit=100))
    personal = unweighed.slate(CONTENT, "c0001")
    for n in range(50):
        unweighed.did(f"reader-{n}", "view", first, *([second] if n < 10 else []))
    unweighed.feed.refresh()
    found, slate = trending(unweighed), unweighed.slate(CONTENT, "nobody")
    assert (shown(found)[:2], found.source) == ([first, second], Source.POPULAR)
    assert (slate.items[0].item_id, slate.source) == (first, Source.POPULAR)
    if unweighed.bundles.model:
        assert personal.source is Source.PERSONALISED
        assert unweighed.slate(CONTENT, "c0001").items == personal.items


def test_without_anything_lists_are_empty(tmp_path: Path) -> None:
    found = trending(World(tmp_path))
    assert (found.items, found.source) == ((), Source.EDITORIAL)


def test_titles_are_in_the_language_that_was_asked_for(world: World) -> None:
    for locale, language in (("zh", "zh"), (None, "en")):
        for item in trending(world, locale=locale).items:
            assert item.title == world.catalogue.view.items[item.item_id].title[language]
