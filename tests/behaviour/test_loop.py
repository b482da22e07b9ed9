"""What customers do and say comes back in their very next list."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recsvc.domain.customers import Consents, Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.domain.slates import Source

from ..small_bank import CONTENT, OFFER, World, categories, ids

HOT = "c0001"
A_LONG_TIME = timedelta(days=40)


def says(world: World, customer_id: str, type: str, channel: Channel | None = None) -> None:
    """A word of the customer that is about no item."""
    event = Interaction(f"w{world.events.count()}", type, customer_id, None, world.now, channel=channel)
    world.events.append([event], received_at=world.now)


@pytest.fixture
def agreed(world: World) -> str:
    """A customer who agreed to everything, and is recorded so before the clock moves on."""
    world.record(Customer("agreed", consents=Consents(True, tuple(Channel))))
    world.now += timedelta(minutes=1)
    return "agreed"


def test_a_dismissed_item_is_gone_at_once_and_stays_away(world: World) -> None:
    first = ids(world.slate(CONTENT, HOT))[0]
    world.did(HOT, "dismiss", first)
    assert first not in ids(world.slate(CONTENT, HOT, limit=100))
    world.now += A_LONG_TIME
    assert first not in ids(world.slate(CONTENT, HOT, limit=100))


def test_not_interested_holds_the_whole_category_back_for_a_time(world: World) -> None:
    first = world.slate(CONTENT, HOT).items[0]
    world.did(HOT, "not_interested", first.item_id)
    assert first.category not in categories(world.slate(CONTENT, HOT, limit=100))
    world.now += A_LONG_TIME
    later = world.slate(CONTENT, HOT, limit=100)
    assert first.category in categories(later) and first.item_id not in ids(later)


def test_an_unsubscription_stops_offers_on_its_channel_only(world: World, agreed: str) -> None:
    says(world, agreed, "unsubscribe", Channel.EMAIL)
    assert not world.slate(OFFER, agreed, channel=Channel.EMAIL).items
    assert world.slate(OFFER, agreed, channel=Channel.WEB).items


def test_an_unsubscription_without_a_channel_stops_offers_everywhere(world: World, agreed: str) -> None:
    says(world, agreed, "unsubscribe")
    assert not any(world.slate(OFFER, agreed, channel=channel).items for channel in Channel)
    assert world.slate(CONTENT, agreed).items


def test_consent_that_is_given_anew_outweighs_an_older_unsubscription(world: World, agreed: str) -> None:
    says(world, agreed, "unsubscribe")
    world.now += timedelta(minutes=1)
    world.record(Customer(agreed, consents=Consents(True, (Channel.WEB,))))
    assert world.slate(OFFER, agreed, channel=Channel.WEB).items


def test_a_complaint_stops_offers_everywhere_for_a_time(world: World, agreed: str) -> None:
    says(world, agreed, "complaint", Channel.BRANCH)
    assert not any(world.slate(OFFER, agreed, channel=channel).items for channel in Channel)
    world.now += A_LONG_TIME
    assert world.slate(OFFER, agreed, channel=Channel.WEB).items


def test_without_consent_nothing_is_personal_and_a_no_still_holds(world: World) -> None:
    world.record(Customer(HOT, consents=Consents(False, (Channel.WEB,))))
    before = world.slate(CONTENT, HOT)
    assert before.source is Source.POPULAR
    world.did(HOT, "like", *ids(before)[1:4])
    world.did(HOT, "dismiss", ids(before)[0])
    after = world.slate(CONTENT, HOT)
    assert after.source is Source.POPULAR
    assert ids(after)[:9] == ids(before)[1:]


def test_without_consent_a_no_that_only_the_model_knows_holds_too(world: World) -> None:
    model = world.bundles.model
    assert model
    bundle = model.bundle
    row = next(row for row in range(len(bundle.customers)) if len(bundle.refused_by(row)))
    refuser, refused = bundle.customers.id_of(row), bundle.items.ids_of(bundle.refused_by(row).tolist())
    world.record(Customer(refuser, consents=Consents(False, tuple(Channel))))
    shown = {*ids(world.slate(CONTENT, refuser, limit=100)), *ids(world.slate(OFFER, refuser, limit=100))}
    assert shown and shown.isdisjoint(refused)


def test_a_no_from_before_the_training_that_was_taken_back_stays_taken_back(world: World) -> None:
    model = world.bundles.model
    assert model
    bundle = model.bundle
    liked = bundle.items.id_of(int(bundle.history_of(bundle.customers.row_of(HOT) or 0).item_rows[0]))
    before = world.slate(CONTENT, HOT)
    until = bundle.manifest.data_window.until
    assert until
    old = Interaction("old-no", "dismiss", HOT, liked, until - timedelta(days=1))
    world.events.append([old], received_at=until)
    after = world.slate(CONTENT, HOT)
    assert (after.source, ids(after)) == (before.source, ids(before))


def test_a_late_event_of_a_pair_that_was_trained_on_does_not_count_twice(world: World) -> None:
    model = world.bundles.model
    assert model
    bundle = model.bundle
    liked = bundle.items.id_of(int(bundle.history_of(bundle.customers.row_of(HOT) or 0).item_rows[0]))
    before = world.slate(CONTENT, HOT)
    until = bundle.manifest.data_window.until
    assert until
    late = Interaction("late", "view", HOT, liked, until - timedelta(days=1))
    world.events.append([late], received_at=world.now + timedelta(days=1))
    after = world.slate(CONTENT, HOT)
    assert (after.source, ids(after)) == (before.source, ids(before))
