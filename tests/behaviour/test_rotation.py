"""What was shown and left alone sinks for a day; what is like something that was turned down, for a week."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from recsvc.domain.customers import Consents, Customer
from recsvc.domain.items import Channel, Item
from recsvc.domain.slates import Source
from recsvc.policy import Policy
from recsvc.serving.customers import MAX_RECENT, MAX_SHOWN, SubjectReader
from recsvc.serving.past import Past

from ..small_bank import CONTENT, OFFER, POLICY, World, alike_in_worth, ids

HOT = "c0001"
HOURS = timedelta(hours=1)
SEEN = timedelta(minutes=6)
"""So long ago that the page is done with."""


def policy_with(**lists: float) -> Policy:
    return replace(POLICY, lists=msgspec.structs.replace(POLICY.lists, **lists))


def world_like(world: World, policy: Policy) -> World:
    return World(
        world.registry.folder, items=world.items.items(), customers=world.customers.each(), policy=policy
    )


def past_of(world: World, customer_id: str) -> Past:
    """What lists know of the customer."""
    model, view = world.catalogue.model_and_view()
    reader = SubjectReader(world.customers, world.events, world.policy)
    return reader.read(customer_id, channel=Channel.WEB, model=model, items=view.items, now=world.now).past


@pytest.fixture
def plain(world: World) -> World:
    """Nothing but scores and rotation orders its lists."""
    return alike_in_worth(world_like(world, policy_with(calibration=0, most_of_a_category=1)))


def test_what_was_shown_and_left_alone_sinks(plain: World) -> None:
    first, second = ids(plain.slate(CONTENT, HOT)), ids(plain.slate(CONTENT, HOT, limit=100))[10:20]
    plain.did(HOT, "impression", *first, after=-SEEN)
    after = ids(plain.slate(CONTENT, HOT))
    assert after[:5] == second[:5]
    assert [one for one in after if one in first] == first[
        : 10 - len([one for one in after if one in second])
    ]


def test_it_comes_back_after_a_day(plain: World) -> None:
    before = ids(plain.slate(CONTENT, HOT))
    plain.did(HOT, "impression", *before, after=-SEEN)
    plain.now += 25 * HOURS
    assert ids(plain.slate(CONTENT, HOT)) == before


def test_an_impression_counts_once_the_page_is_done_with(plain: World) -> None:
    before = ids(plain.slate(CONTENT, HOT))
    plain.did(HOT, "impression", *before)
    assert ids(plain.slate(CONTENT, HOT)) == before
    plain.now += timedelta(minutes=plain.policy.lists.page_minutes, seconds=1)
    assert ids(plain.slate(CONTENT, HOT)) != before
    at_once = world_like(plain, policy_with(page_minutes=0))
    at_once.did(HOT, "impression", *before)
    assert ids(at_once.slate(CONTENT, HOT)) != before


def test_impressions_are_found_though_the_training_saw_them(plain: World) -> None:
    before = ids(plain.slate(CONTENT, HOT))
    plain.did(HOT, "impression", *before, after=-2 * HOURS)
    assert ids(plain.slate(CONTENT, HOT)) != before


def test_an_item_that_was_touched_does_not_sink(plain: World) -> None:
    """Offers may be shown again after they were used."""
    who = "c0002"
    before = ids(plain.slate(OFFER, who, limit=3))
    plain.did(who, "impression", *before, after=-SEEN)
    plain.did(who, "click", before[0])
    after = ids(plain.slate(OFFER, who, limit=3))
    assert after[0] == before[0] and after != before


def test_a_day_of_many_lists_and_of_much_that_was_done_forgets_nothing(plain: World) -> None:
    best, *others = ids(plain.slate(CONTENT, HOT, limit=20))
    plain.did(HOT, "impression", best, after=-4 * HOURS)
    plain.did(HOT, "impression", *(others * MAX_SHOWN)[: MAX_SHOWN - 1], after=-3 * HOURS)
    plain.did(HOT, "transaction", *["elsewhere"] * MAX_SHOWN, after=-2 * HOURS)
    assert past_of(plain, HOT).shown[best] == 1
    plain.did(HOT, "impression", "one-more", after=-1 * HOURS)
    assert best not in past_of(plain, HOT).shown  # The bound that the policy states.


def test_many_impressions_do_not_push_out_what_was_done(plain: World) -> None:
    plain.did(HOT, "impression", "a0001", after=-4 * HOURS)
    plain.did(HOT, "click", "a0001", after=-3 * HOURS)
    plain.did(HOT, "impression", *["a0002"] * 2 * MAX_RECENT, after=-2 * HOURS)
    assert past_of(plain, HOT).shown == {"a0002": 2 * MAX_RECENT}


def test_the_policy_may_leave_it_out(world: World) -> None:
    still = world_like(world, policy_with(rotation_hours=0))
    before = ids(still.slate(CONTENT, HOT))
    still.did(HOT, "impression", *before, after=-SEEN)
    assert ids(still.slate(CONTENT, HOT)) == before


def test_without_consent_nothing_rotates(world: World) -> None:
    world.record(Customer("nobody-knows", consents=Consents(False, tuple(Channel))))
    before = ids(world.slate(CONTENT, "nobody-knows"))
    world.did("nobody-knows", "impression", *before, after=-SEEN)
    assert ids(world.slate(CONTENT, "nobody-knows")) == before


def test_somebody_elses_impressions_change_nothing(world: World) -> None:
    before = ids(world.slate(CONTENT, HOT))
    world.did("c0002", "impression", *before, after=-SEEN)
    assert ids(world.slate(CONTENT, HOT)) == before


def test_impressions_change_nothing_of_the_history_and_push_nothing_out_of_it(plain: World) -> None:
    scores = {one.item_id: one.score for one in plain.slate(CONTENT, HOT, limit=100).items}
    plain.did(HOT, "impression", *list(scores)[:20], after=-SEEN)
    after = plain.slate(CONTENT, HOT, limit=100)
    assert after.source is Source.PERSONALISED
    assert {one.item_id: one.score for one in after.items} == scores
    read = ids(plain.slate(CONTENT, HOT))[0]
    plain.did(HOT, "like", read)
    plain.did(HOT, "impression", *["a0001"] * (MAX_RECENT + 50), after=timedelta(minutes=1))
    assert read not in ids(plain.slate(CONTENT, HOT, limit=100))


def test_items_like_one_that_was_dismissed_sink_for_a_while(plain: World) -> None:
    def article(item_id: str, *tags: str) -> Item:
        return Item(item_id, category="travel", tags=tags, published_at=plain.now)

    plain.put(article("no", "visa", "rail"), article("alike", "visa", "rail"), article("other", "ski"))
    names = ("alike", "no", "other")

    def order() -> list[str]:
        return [one for one in ids(plain.slate(CONTENT, "nobody", limit=100)) if one in names]

    assert order() == ["alike", "no", "other"]
    plain.did("nobody", "dismiss", "no")
    assert order() == ["other", "alike"]
    plain.now += 8 * 24 * HOURS
    assert order() == ["alike", "other"]


def test_a_dismissal_that_was_taken_back_makes_nothing_sink(plain: World) -> None:
    first = ids(plain.slate(CONTENT, "nobody", limit=100))
    plain.did("nobody", "dismiss", first[0])
    assert past_of(plain, "nobody").dismissed == (first[0],)
    plain.did("nobody", "like", first[0], after=timedelta(seconds=1))
    assert past_of(plain, "nobody").dismissed == ()


def test_nor_does_one_that_was_taken_back_before_the_training(plain: World) -> None:
    before = ids(plain.slate(CONTENT, HOT))
    plain.did(HOT, "dismiss", before[0], after=-72 * HOURS)
    plain.did(HOT, "like", before[0], after=-48 * HOURS)
    assert past_of(plain, HOT).dismissed == ()
    assert ids(plain.slate(CONTENT, HOT)) == before
