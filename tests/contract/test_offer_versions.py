"""What every store of offers' versions does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import pytest

from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.offer_life import Change, PutMany, bring_in, move_version, put_offer, retire_offer
from recsvc.domain.offer_terms import OfferTerms
from recsvc.domain.offer_versions import Move, OfferRecord
from recsvc.errors import (
    ConflictError,
    NotFoundError,
    PreconditionFailedError,
    PreconditionRequiredError,
    StoreError,
)
from recsvc.serving.offers.desk import OfferDesk, bring_items_in
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.memory import MemoryCatalogue
from recsvc.stores.memory_offer_versions import MemoryOfferVersions
from recsvc.stores.offer_versions import SqlOfferVersions
from tests.contract.test_catalogue import EVERYTHING_OFFER

Catalogue = MemoryCatalogue | SqlCatalogue
Offers = MemoryOfferVersions | SqlOfferVersions

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
FUND = Item("o1", ItemKind.OFFER, {"en": "A fund"}, terms=OfferTerms(risk_class=4))
RISKIER = replace(FUND, terms=OfferTerms(risk_class=6))


def desk_over(offers: Offers, standing: Item | None = None) -> OfferDesk:
    return OfferDesk(offers, standing=lambda _: standing, approval="required", clock=lambda: NOW)


@pytest.fixture
def desk(offers: Offers) -> OfferDesk:
    return desk_over(offers)


def lead(desk: OfferDesk, number: int, *moves: Move) -> None:
    for move in moves:
        etag = desk.version("o1", number).etag
        desk.move("o1", number, move, expected=etag, by="approver")


def test_a_version_comes_out_as_it_went_in_with_who_and_when(desk: OfferDesk, catalogue: Catalogue) -> None:
    put = desk.put(EVERYTHING_OFFER, expected=None, by="author")
    assert put.written.created and put.draft is None
    (version,) = desk.versions(EVERYTHING_OFFER.item_id)
    assert version.item == replace(EVERYTHING_OFFER, status=ItemStatus.DRAFT)
    assert (version.written_by, version.written_at) == ("author", NOW)
    found = catalogue.get(EVERYTHING_OFFER.item_id)
    assert found and (found.value, found.etag) == (put.item, put.written.etag)


def test_a_draft_beside_a_live_version_leaves_the_item_as_it_is(
    desk: OfferDesk, catalogue: Catalogue
) -> None:
    desk.put(FUND, expected=None, by="author")
    lead(desk, 1, Move.APPROVE, Move.PUBLISH)
    live = catalogue.get("o1")
    assert live and live.value == FUND
    put = desk.put(RISKIER, expected=live.etag, by="author")
    assert (put.draft, put.written.etag, catalogue.get("o1")) == (2, live.etag, live)
    lead(desk, 2, Move.APPROVE, Move.PUBLISH)
    assert catalogue.items() == (replace(RISKIER, terms=OfferTerms(risk_class=6, version=2)),)
    assert [one.status for one in desk.versions("o1")] == [ItemStatus.RETIRED, ItemStatus.LIVE]


def test_every_change_moves_the_revision_so_that_workers_look_again(
    desk: OfferDesk, catalogue: Catalogue
) -> None:
    seen = [catalogue.revision()]
    desk.put(FUND, expected=None, by="author")
    seen.append(catalogue.revision())
    for move in (Move.APPROVE, Move.PUBLISH, Move.PAUSE):
        lead(desk, 1, move)
        seen.append(catalogue.revision())
    assert len(set(seen)) == len(seen) and sorted(seen) == seen


def test_a_careful_writer_must_know_the_item_and_an_approver_the_version(desk: OfferDesk) -> None:
    desk.put(FUND, expected=None, by="author")
    with pytest.raises(PreconditionRequiredError):
        desk.put(RISKIER, expected=None, by="author")
    with pytest.raises(PreconditionFailedError):
        desk.put(RISKIER, expected="another", by="author")
    read = desk.version("o1", 1)
    with pytest.raises(PreconditionRequiredError):
        desk.move("o1", 1, Move.APPROVE, expected=None, by="approver")
    desk.put(replace(FUND, title={"en": "A finer fund"}), expected="*", by="author")
    with pytest.raises(PreconditionFailedError):
        desk.move("o1", 1, Move.APPROVE, expected=read.etag, by="approver")
    assert desk.version("o1", 1).value.status is ItemStatus.DRAFT


def test_what_is_refused_changes_nothing(desk: OfferDesk, catalogue: Catalogue) -> None:
    desk.put(FUND, expected=None, by="author")
    before = desk.versions("o1"), catalogue.items(), catalogue.revision()
    with pytest.raises(ConflictError):
        desk.move("o1", 1, Move.PUBLISH, expected=desk.version("o1", 1).etag, by="approver")
    with pytest.raises(NotFoundError):
        desk.move("o1", 2, Move.APPROVE, expected="*", by="approver")
    assert (desk.versions("o1"), catalogue.items(), catalogue.revision()) == before


def test_a_batch_is_stored_whole_and_says_how_many_wait(desk: OfferDesk, catalogue: Catalogue) -> None:
    desk.put(FUND, expected=None, by="author")
    lead(desk, 1, Move.APPROVE, Move.PUBLISH)
    revision = catalogue.revision()
    card = Item("o2", ItemKind.OFFER)
    put = desk.put_many([Item("a1"), RISKIER, Item("a1", category="saving"), card], by="author")
    assert put == PutMany(3, 1)
    assert catalogue.items() == (Item("a1", category="saving"), FUND, card)
    assert catalogue.revision() == revision + 1
    assert desk.put_many([], by="author") == PutMany(0)


def test_offers_from_a_file_are_live_at_once_and_the_same_file_again_adds_nothing(
    offers: Offers, desk: OfferDesk, catalogue: Catalogue
) -> None:
    for _ in range(2):
        assert bring_items_in(offers, [FUND, Item("a1")], at=NOW) == PutMany(2)
    (version,) = desk.versions("o1")
    assert (version.status, version.approved_by, len(version.history)) == (ItemStatus.LIVE, "import", 2)
    assert catalogue.items() == (Item("a1"), FUND)


def test_an_offer_that_only_a_bundle_knows_is_its_own_first_version(
    offers: Offers, catalogue: Catalogue
) -> None:
    desk = desk_over(offers, standing=FUND)
    assert [one.version for one in desk.versions("o1")] == [1]
    assert desk.put(RISKIER, expected="*", by="author").draft == 2
    assert catalogue.items() == ()
    assert [one.status for one in desk.versions("o1")] == [ItemStatus.LIVE, ItemStatus.DRAFT]


def test_an_offer_that_was_retired_is_gone_and_its_versions_stay(
    desk: OfferDesk, catalogue: Catalogue
) -> None:
    desk.put(FUND, expected=None, by="author")
    desk.retire("o1", expected="*", by="author")
    assert catalogue.get("o1") is None
    assert [one.status for one in desk.versions("o1")] == [ItemStatus.RETIRED]
    assert desk.put(FUND, expected=None, by="author").written.created
    assert [one.version for one in desk.versions("o1")] == [1, 2]


def test_of_many_who_publish_one_version_at_once_one_does(desk: OfferDesk) -> None:
    desk.put(FUND, expected=None, by="author")
    lead(desk, 1, Move.APPROVE)
    etag = desk.version("o1", 1).etag

    def publish(_: int) -> bool:
        try:
            desk.move("o1", 1, Move.PUBLISH, expected=etag, by="author")
        except (PreconditionFailedError, ConflictError):
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(publish, range(8))) == [False] * 7 + [True]


def test_what_json_cannot_hold_is_refused_and_nothing_is_stored(
    desk: OfferDesk, catalogue: Catalogue
) -> None:
    with pytest.raises(StoreError):
        desk.put(replace(FUND, title={"en": "\ud800"}), expected=None, by="author")
    assert (desk.versions("o1"), catalogue.items()) == ((), ())


def test_no_step_that_was_kept_is_ever_changed(offers: Offers) -> None:
    seen: list[OfferRecord] = []
    decisions = [
        partial(put_offer, sent=FUND, by="author", at=NOW, approval="required"),
        partial(move_version, number=1, move=Move.APPROVE, by="approver", at=NOW),
        partial(move_version, number=1, move=Move.PUBLISH, by="author", at=NOW),
        partial(put_offer, sent=RISKIER, by="author", at=NOW, approval="required"),
        partial(bring_in, sent=RISKIER, at=NOW),
        partial(retire_offer, by="author", at=NOW),
    ]

    def noted(record: OfferRecord) -> Change:
        seen.append(record)
        return decisions[len(seen) - 1](record)

    for number in range(len(decisions)):
        offers.change("o1", noted, expected="*" if number else None)
    seen.append(offers.record("o1"))
    for earlier, later in pairwise(seen):
        assert later.kept[: len(earlier.kept)] == earlier.kept
        assert len(later.kept) > len(earlier.kept)
    assert [step.number for step in seen[-1].kept] == list(range(1, len(seen[-1].kept) + 1))
