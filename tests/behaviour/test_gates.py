"""What may not be shown is not shown: not to this customer, not now, not on this channel."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.items import Channel, Item, ItemKind, ItemStatus
from recsvc.domain.offer_terms import Disclosure, OfferTerms

from ..small_bank import CONTENT, END, OFFER, World, categories, ids

WILLING = Consents(personalisation=True, marketing=tuple(Channel))
DAY = timedelta(days=1)

moments = st.datetimes(
    min_value=(END - 60 * DAY).replace(tzinfo=None), max_value=(END + 60 * DAY).replace(tzinfo=None)
).map(lambda moment: moment.replace(tzinfo=END.tzinfo))

windows = st.tuples(st.none() | moments, st.none() | moments).filter(
    lambda window: None in window or window[0] < window[1]  # type: ignore[operator]
)


def risk_classes(world: World, customer_id: str, channel: Channel = Channel.WEB) -> set[int]:
    shown = ids(world.slate(OFFER, customer_id, limit=100, channel=channel))
    return {world.catalogue.view.items[item_id].offer_terms.risk_class for item_id in shown}


@pytest.fixture
def risky(world: World) -> World:
    """Beside the bank's own offers, one of each risk class, open to all."""
    world.put(
        *(Item(f"risk-{risk}", OFFER, terms=OfferTerms(risk_class=risk)) for risk in range(8)),
    )
    return world


@pytest.mark.parametrize(
    "suitability",
    [
        None,
        Suitability(max_risk_class=7, expires_at=END - timedelta(seconds=1)),
        Suitability(max_risk_class=7, expires_at=END),
    ],
    ids=["unknown", "expired", "expires_now"],
)
def test_without_a_valid_assessment_no_offer_carries_risk(
    risky: World, suitability: Suitability | None
) -> None:
    risky.record(Customer("c0001", consents=WILLING, suitability=suitability))
    assert risk_classes(risky, "c0001") == {0}


@pytest.mark.parametrize("limit", range(8))
def test_no_offer_carries_more_risk_than_the_customer_may_take(risky: World, limit: int) -> None:
    assessed = Suitability(max_risk_class=limit, expires_at=END + DAY)
    risky.record(Customer("c0001", consents=WILLING, suitability=assessed))
    assert risk_classes(risky, "c0001") == set(range(limit + 1))


def test_somebody_unknown_is_offered_nothing_that_carries_risk(risky: World) -> None:
    assert risk_classes(risky, "nobody") == {0}


def test_offers_come_only_on_channels_that_the_customer_agreed_to(risky: World) -> None:
    risky.record(Customer("c0001", consents=Consents(personalisation=True, marketing=(Channel.EMAIL,))))
    assert risk_classes(risky, "c0001", Channel.EMAIL)
    for channel in set(Channel) - {Channel.EMAIL}:
        slate = risky.slate(OFFER, "c0001", channel=channel)
        assert slate.items == ()
        assert slate.degraded == ()
        assert risky.slate(CONTENT, "c0001", channel=channel).items


def test_who_was_never_asked_meets_offers_only_where_they_come_to_us(risky: World) -> None:
    met = {channel for channel in Channel if risky.slate(OFFER, "nobody", channel=channel).items}
    assert met == {Channel.WEB, Channel.MOBILE, Channel.BRANCH, Channel.CALL_CENTRE}


@pytest.mark.parametrize("kind", list(ItemKind))
@pytest.mark.parametrize("customer_id", ["c0001", "nobody"])
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(now=moments, data=st.data())
def test_at_no_moment_is_an_item_shown_that_is_not_valid_then(
    world: World, kind: ItemKind, customer_id: str, now: datetime, data: st.DataObject
) -> None:
    """Every item of the catalogue is given a validity and a status of its own."""
    drawn = [
        replace(
            item,
            valid_from=window[0],
            valid_to=window[1],
            status=data.draw(st.sampled_from(ItemStatus), label="status"),
        )
        for item in world.items.items()[:: 6 if kind is CONTENT else 2]
        for window in [data.draw(windows, label="validity")]
    ]
    world.put(*drawn)
    world.now = now
    slate = world.slate(kind, customer_id, limit=100)
    known = {item.item_id: item for item in world.items.items()}
    for item_id in ids(slate):
        item = known[item_id]
        assert item.status is ItemStatus.LIVE
        assert item.kind is kind
        assert item.valid_from is None or item.valid_from <= now
        assert item.valid_to is None or now < item.valid_to
    changes = [
        moment
        for item in known.values()
        if item.status is ItemStatus.LIVE
        for moment in (item.valid_from, item.valid_to)
        if moment and moment > now
    ]
    assert now < slate.expires_at <= min([now + timedelta(seconds=60), *changes])


def test_a_slate_ends_with_the_assessment_that_it_rests_on(world: World) -> None:
    end = END + timedelta(seconds=7)
    world.record(
        Customer("c0001", consents=WILLING, suitability=Suitability(max_risk_class=5, expires_at=end))
    )
    assert world.slate(OFFER, "c0001").expires_at == end
    world.now = end
    assert world.slate(OFFER, "c0001").expires_at == end + timedelta(seconds=60)


@pytest.mark.parametrize("status", [s for s in ItemStatus if s is not ItemStatus.LIVE])
def test_what_the_store_says_of_an_item_wins_over_the_model(world: World, status: ItemStatus) -> None:
    first = ids(world.slate(CONTENT, "c0001"))[0]
    item = world.catalogue.view.items[first]
    world.put(replace(item, status=status))
    assert first not in ids(world.slate(CONTENT, "c0001", limit=100))
    world.put(item)
    assert ids(world.slate(CONTENT, "c0001"))[0] == first


@pytest.mark.parametrize("diversity", [0.0, 0.6])
def test_what_is_excluded_by_id_stays_away(world: World, diversity: float) -> None:
    for kind in ItemKind:
        all_of_it = ids(world.slate(kind, "c0001", limit=100, diversity=diversity))
        excluded = tuple(all_of_it[:5])
        rest = ids(world.slate(kind, "c0001", limit=100, diversity=diversity, exclude=excluded))
        assert set(rest) == set(all_of_it) - set(excluded)


def test_only_the_wanted_categories_are_shown(world: World) -> None:
    for wanted in (("saving",), ("travel", "cards")):
        slate = world.slate(CONTENT, "nobody", limit=100, categories=wanted)
        assert set(categories(slate)) == set(wanted)
    assert world.slate(CONTENT, "c0001", categories=("unheard of",)).items == ()


def test_an_item_is_shown_on_its_channels_only(world: World) -> None:
    first = ids(world.slate(CONTENT, "c0001"))[0]
    world.put(replace(world.catalogue.view.items[first], channels=(Channel.EMAIL, Channel.BRANCH)))
    shown_on = {c for c in Channel if first in ids(world.slate(CONTENT, "c0001", limit=100, channel=c))}
    assert shown_on == {Channel.EMAIL, Channel.BRANCH}


def test_an_offer_comes_with_its_disclosures_in_the_locale(world: World) -> None:
    for locale in ("en", "zh", "zh-HK", "de"):
        for item in world.slate(OFFER, "c0001", limit=100, locale=locale).items:
            offer = world.catalogue.view.items[item.item_id]
            texts = {one.id: one.text for one in offer.offer_terms.disclosures}
            shown = {one.id: one.text for one in item.disclosures}  # type: ignore[attr-defined]
            language = "zh" if locale.startswith("zh") else "en"
            assert shown == {id: text[language] for id, text in texts.items()}


def test_an_offer_whose_disclosure_has_no_text_is_not_shown(world: World) -> None:
    world.put(Item("mute", OFFER, terms=OfferTerms(disclosures=(Disclosure("d", 1, {}),))))
    assert "mute" not in ids(world.slate(OFFER, "c0001", limit=100))


def test_content_never_comes_among_offers_nor_offers_among_content(world: World) -> None:
    for kind in ItemKind:
        shown = ids(world.slate(kind, "c0001", limit=100))
        assert shown
        assert {world.catalogue.view.items[item_id].kind for item_id in shown} == {kind}
