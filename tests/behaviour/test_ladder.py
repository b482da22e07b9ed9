"""Everybody gets a list: the best that can be made of what may be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recsvc.bundles.manifest import PartFacts
from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Consents, Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Source
from recsvc.sample_bank import SampleBank
from recsvc.serving.customers import SubjectReader

from ..small_bank import (
    CONTENT,
    OFFER,
    POLICY,
    Arrays,
    DownStore,
    World,
    drop_live,
    ids,
    publish_changed,
    publish_without_live,
)

YOUNG = Customer("newcomer", attributes={"age": 22})


@pytest.fixture
def hot(world: World) -> str:
    """A customer whom the model knows and who may be known."""
    return "c0001"


@pytest.fixture
def trained_alone(bank_in_small: SampleBank, shelf: tuple[Path, Path]) -> World:
    """The world under a model that nothing live counts for."""
    plain = publish_without_live(shelf[0])
    Registry(plain.parent).promote(plain.name)
    return World(plain.parent, items=bank_in_small.items, customers=bank_in_small.customers)


def test_a_customer_of_the_training_gets_a_personal_list(trained_alone: World, hot: str) -> None:
    world = trained_alone
    slate = world.slate(CONTENT, hot)
    assert (slate.source, len(slate.items), slate.degraded) == (Source.PERSONALISED, 10, ())
    codes = [item.reason.code for item in slate.items if item.reason]
    assert set(codes) <= {"fits_your_history", "popular"}
    assert codes.count("fits_your_history") > 5


def test_what_happened_since_the_training_is_folded_in(world: World, hot: str) -> None:
    before = world.slate(CONTENT, hot)
    world.did(hot, "like", *ids(before)[:2])
    after = world.slate(CONTENT, hot)
    assert after.source is Source.FOLDED_IN
    assert set(ids(before)[:2]).isdisjoint(ids(after))


def test_a_customer_who_came_after_the_training_is_folded_in(world: World) -> None:
    world.did("newcomer", "like", *ids(world.slate(CONTENT, "newcomer"))[:3])
    assert world.slate(CONTENT, "newcomer").source is Source.FOLDED_IN


def test_taking_back_what_was_liked_changes_the_list(world: World, hot: str) -> None:
    model = world.bundles.model
    assert model
    bundle = model.bundle
    history = bundle.history_of(bundle.customers.row_of(hot) or 0)
    before = world.slate(CONTENT, hot)
    most = history.item_rows[history.strengths.argmax()]
    world.did(hot, "not_interested", bundle.items.id_of(int(most)))
    after = world.slate(CONTENT, hot)
    assert after.source is Source.FOLDED_IN
    assert [item.score for item in after.items] != [item.score for item in before.items]


def test_seeing_is_not_doing(world: World, hot: str) -> None:
    seen = ids(world.slate(CONTENT, hot))
    world.did(hot, "impression", *seen)
    world.did(hot, "view", "unheard-of")
    assert world.slate(CONTENT, hot).source is Source.PERSONALISED
    assert set(seen) <= set(ids(world.slate(CONTENT, hot, limit=100)))


def test_a_newcomer_of_a_segment_gets_what_the_segment_takes(world: World) -> None:
    world.record(YOUNG)
    slate = world.slate(CONTENT, "newcomer")
    assert slate.source is Source.SEGMENT_POPULAR
    assert slate.items[0].reason
    assert slate.items[0].reason.code == "popular_with_people_like_you"


def test_somebody_unknown_gets_what_everybody_takes(world: World) -> None:
    slate = world.slate(CONTENT, "nobody")
    assert (slate.source, len(slate.items), slate.degraded) == (Source.POPULAR, 10, ())
    trending = world.browser.trending(
        kind=CONTENT, limit=10, channel=slate.channel, locale=None, categories=()
    )
    assert ids(slate) == [item.item_id for item in trending.items]


def test_without_a_model_the_newest_of_the_catalogue_is_shown(
    bank_in_small: SampleBank, tmp_path: Path
) -> None:
    world = World(tmp_path, items=bank_in_small.items, customers=bank_in_small.customers)
    slate = world.slate(CONTENT, "c0001")
    assert (slate.source, slate.model_version, slate.degraded) == (Source.EDITORIAL, None, ("model",))
    by_age = sorted(
        (item for item in bank_in_small.items if item.kind is CONTENT),
        key=lambda item: item.published_at or world.now,
        reverse=True,
    )
    assert {item.item_id for item in by_age[:10]} == set(ids(slate))
    assert {item.reason.code for item in slate.items if item.reason} == {"new"}


def test_without_a_model_what_a_customer_read_or_turned_down_stays_away(
    bank_in_small: SampleBank, tmp_path: Path
) -> None:
    world = World(tmp_path, items=bank_in_small.items)
    read, refused, *_ = ids(world.slate(CONTENT, "c0001"))
    world.did("c0001", "view", read)
    world.did("c0001", "dismiss", refused, after=timedelta(seconds=1))
    assert {read, refused}.isdisjoint(ids(world.slate(CONTENT, "c0001", limit=100)))


def test_without_anything_the_list_is_empty_and_says_so(tmp_path: Path) -> None:
    for kind in ItemKind:
        slate = World(tmp_path).slate(kind, "c0001")
        assert (slate.items, slate.source, slate.degraded) == ((), Source.EDITORIAL, ("model",))


def test_a_bundle_alone_can_serve(bank_in_small: SampleBank, world: World) -> None:
    alone = World(world.registry.folder)
    assert alone.slate(CONTENT, "c0001").source is Source.PERSONALISED
    assert alone.slate(CONTENT, "c0001").items == world.slate(CONTENT, "c0001", locale="en").items


def of_one_family(name: str) -> dict[str, object]:
    """The facts of a model that is nothing else, and that was asked nothing at training."""
    return {"parts": (PartFacts(name, 1.0, {}),), "golden_queries": (), "live": None}


def test_a_model_that_is_nobodys_own_says_popular_and_not_personal(shelf: tuple[Path, Path]) -> None:
    plain = publish_changed(shelf[0], drop_live, of_one_family("popularity"))
    Registry(plain.parent).promote(plain.name)
    world = World(plain.parent)
    assert world.slate(CONTENT, "c0001").source is Source.POPULAR


def test_an_item_that_the_history_says_nothing_of_is_left_to_a_lower_rung(shelf: tuple[Path, Path]) -> None:
    """Neighbours of nothing: every personal score is 0."""

    def no_neighbours(arrays: Arrays) -> None:
        drop_live(arrays)
        n_items = len(arrays["popularity"])
        arrays["neighbours_items"] = np.full((n_items, 1), -1, dtype=np.int32)
        arrays["neighbours_scores"] = np.zeros((n_items, 1), dtype=np.float32)

    lonely = publish_changed(shelf[0], no_neighbours, of_one_family("neighbours"))
    Registry(lonely.parent).promote(lonely.name)
    world = World(lonely.parent)
    assert world.slate(CONTENT, "c0001").source is Source.POPULAR


# --- what may be known ----------------------------------------------------------------------------


def test_without_consent_to_personalisation_the_list_is_that_of_everybody(world: World, hot: str) -> None:
    world.did(hot, "like", *ids(world.slate(CONTENT, hot))[:2])
    world.record(Customer(hot, attributes={"age": 22}, consents=Consents(personalisation=False)))
    slate = world.slate(CONTENT, hot, explain=True)
    everybody = world.slate(CONTENT, "nobody")
    assert slate.source is Source.POPULAR
    assert ids(slate) == ids(everybody)
    assert all(item.reason and not item.reason.because for item in slate.items)


def test_when_nobody_was_asked_the_policy_decides(world: World, hot: str) -> None:
    for customer in ([], [Customer(hot)]):
        for may in (True, False):
            default = msgspec.structs.replace(POLICY.consent_without_record, personalisation=may)
            policy = replace(POLICY, consent_without_record=default)
            source = (
                World(world.registry.folder, customers=customer, policy=policy).slate(CONTENT, hot).source
            )
            assert source is (Source.PERSONALISED if may else Source.POPULAR)


@pytest.mark.parametrize("kind", list(ItemKind))
def test_while_the_store_is_down_lists_are_popular_and_offers_stay_away(
    world: World, hot: str, kind: ItemKind
) -> None:
    engines = {
        "directory": world.engine_over(SubjectReader(DownStore(), world.events, POLICY)),
        "events": world.engine_over(SubjectReader(world.customers, DownStore(), POLICY)),
    }
    wanted = world.slate(kind, hot)
    for engine in engines.values():
        world.engine = engine
        slate = world.slate(kind, hot)
        assert slate.degraded == ("store",)
        if kind is OFFER:
            assert wanted.items
            assert slate.items == ()
        else:
            assert slate.source is Source.POPULAR
            assert len(slate.items) == 10


def test_a_catalogue_that_cannot_be_asked_goes_on_as_it_was(world: World, hot: str) -> None:
    before = world.slate(CONTENT, hot)
    world.catalogue._catalogue = DownStore()
    world.refresh()
    after = world.slate(CONTENT, hot)
    assert ids(after) == ids(before)
    assert after.degraded == ("store",)


# --- what stays away ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(ItemKind))
def test_what_a_customer_turned_down_never_comes_back(world: World, hot: str, kind: ItemKind) -> None:
    refused = ids(world.slate(kind, hot, limit=100))[::2]
    assert refused
    world.did(hot, "dismiss", *refused)
    for diversity in (0.0, 0.7):
        assert set(refused).isdisjoint(ids(world.slate(kind, hot, limit=100, diversity=diversity)))


def test_what_was_turned_down_before_the_training_stays_away(world: World) -> None:
    model = world.bundles.model
    assert model
    bundle = model.bundle
    looked_at = 0
    for row in range(len(bundle.customers)):
        refused = set(bundle.items.ids_of(bundle.refused_by(row)))
        if refused:
            customer_id = bundle.customers.id_of(row)
            for kind in ItemKind:
                assert refused.isdisjoint(ids(world.slate(kind, customer_id, limit=100)))
            looked_at += 1
    assert looked_at > 20


def test_a_customer_may_change_their_mind(world: World, hot: str) -> None:
    offer = ids(world.slate(OFFER, hot))[0]
    world.did(hot, "dismiss", offer)
    assert offer not in ids(world.slate(OFFER, hot, limit=100))
    world.did(hot, "click", offer, after=timedelta(seconds=1))
    assert offer in ids(world.slate(OFFER, hot, limit=100))


def test_an_article_that_was_read_is_not_shown_again(world: World) -> None:
    model = world.bundles.model
    assert model
    bundle = model.bundle
    for row in range(len(bundle.customers)):
        read = set(bundle.items.ids_of(bundle.history_of(row).item_rows))
        slate = world.slate(CONTENT, bundle.customers.id_of(row), limit=100)
        if slate.source is Source.PERSONALISED:
            assert read.isdisjoint(ids(slate))


def test_an_article_that_the_model_never_met_is_not_shown_again_either(world: World, hot: str) -> None:
    world.put(Item("brand-new", published_at=world.now))
    assert "brand-new" in ids(world.slate(CONTENT, hot, limit=100))
    world.did(hot, "view", "brand-new")
    assert "brand-new" not in ids(world.slate(CONTENT, hot, limit=100))


def test_a_customer_whom_the_model_left_out_is_still_remembered(world: World) -> None:
    """Their only events are refusals, from before the end of the training."""
    refused = ids(world.slate(CONTENT, "grumpy"))[:3]
    world.did("grumpy", "not_interested", *refused, after=-timedelta(days=5))
    assert set(refused).isdisjoint(ids(world.slate(CONTENT, "grumpy", limit=100)))


def test_every_item_is_shown_once(world: World, hot: str, bank_in_small: SampleBank) -> None:
    for kind in ItemKind:
        for slate in (world.slate(kind, one, limit=100) for one in (hot, "nobody")):
            assert len(set(ids(slate))) == len(slate.items)
            assert [item.position for item in slate.items] == list(range(1, len(slate.items) + 1))


RUNGS: dict[Source, Callable[[World], str]] = {
    Source.PERSONALISED: lambda world: "c0001",
    Source.FOLDED_IN: lambda world: world.did("c0001", "like", "a0070") or "c0001",
    Source.SEGMENT_POPULAR: lambda world: world.record(YOUNG) or "newcomer",
    Source.POPULAR: lambda world: "nobody",
}


@pytest.mark.parametrize("limit", [1, 2, 10, 100])
@pytest.mark.parametrize("rung", RUNGS)
def test_no_rung_gives_more_than_was_asked_for(world: World, rung: Source, limit: int) -> None:
    customer_id = RUNGS[rung](world)
    for diversity in (0.0, 0.5):
        slate = world.slate(CONTENT, customer_id, limit=limit, diversity=diversity)
        assert slate.source is rung
        assert 0 < len(slate.items) <= limit


def test_editorial_lists_keep_to_the_limit(bank_in_small: SampleBank, tmp_path: Path) -> None:
    world = World(tmp_path, items=bank_in_small.items)
    assert len(world.slate(CONTENT, "c0001", limit=3).items) == 3


def test_a_slate_that_one_rung_cannot_fill_is_filled_by_the_next(trained_alone: World, hot: str) -> None:
    world = trained_alone
    world.put(Item("brand-new", published_at=world.now))
    slate = world.slate(CONTENT, hot, limit=100)
    assert slate.source is Source.PERSONALISED
    codes = {item.item_id: item.reason.code for item in slate.items if item.reason}
    assert codes["brand-new"] == "new"
    assert list(codes)[-1] == "brand-new" and codes[slate.items[0].item_id] == "fits_your_history"
