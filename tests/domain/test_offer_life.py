"""The life of an offer: who may bring it where, and what is served meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.offer_life import Change, bring_in, move_version, needs_approval, put_offer, retire_offer
from recsvc.domain.offer_terms import Cap, Disclosure, OfferTerms, TargetMarket
from recsvc.domain.offer_versions import IMPORT, NOBODY, Move, OfferRecord
from recsvc.errors import ConflictError, NotFoundError, OwnApprovalError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = Disclosure("risk", 1, {"en": "You may lose money."})
FUND = Item("o1", ItemKind.OFFER, {"en": "A fund"}, terms=OfferTerms(risk_class=4, disclosures=(TEXT,)))
CARD = Item("o1", ItemKind.OFFER, {"en": "A card"})
DRAFT, APPROVED, LIVE, PAUSED, RETIRED = ItemStatus


class Shelf:
    """One offer as a store would keep it."""

    def __init__(self, item: Item | None = None) -> None:
        self.record = OfferRecord("o1", item, ())
        self.now = NOW

    def does(self, decide: Callable[..., Change], *given: object, **more: object) -> Change:
        self.now += timedelta(minutes=1)
        change = decide(self.record, *given, at=self.now, **more)
        item = self.record.item if change.item is None or not change.steps else change.item
        gone = item is None or item.status is RETIRED
        self.record = OfferRecord("o1", None if gone else item, (*self.record.kept, *change.steps))
        return change

    def put(self, item: Item, by: str = "author") -> Change:
        return self.does(put_offer, item, by=by, approval="required")

    def move(self, number: int, move: Move, by: str = "approver") -> Change:
        return self.does(move_version, number, move, by=by)

    def at(self, minute: int) -> datetime:
        return NOW + timedelta(minutes=minute)

    @property
    def served(self) -> Item | None:
        return self.record.item

    @property
    def statuses(self) -> dict[int, ItemStatus]:
        return {version.version: version.status for version in self.record.versions()}


def live_fund() -> Shelf:
    shelf = Shelf()
    shelf.put(FUND)
    shelf.move(1, Move.APPROVE)
    shelf.move(1, Move.PUBLISH, by="author")
    return shelf


def with_terms(item: Item, **terms: object) -> Item:
    return replace(item, terms=replace(item.offer_terms, **terms))  # type: ignore[arg-type]


RISKIER = with_terms(FUND, risk_class=6)


def test_an_offer_that_compliance_answers_for_begins_as_a_draft_whatever_its_status_says() -> None:
    for status in (DRAFT, APPROVED, LIVE, PAUSED):
        shelf = Shelf()
        shelf.put(replace(FUND, status=status))
        assert shelf.served == replace(FUND, status=DRAFT)


@pytest.mark.parametrize(
    ("terms", "answers"),
    [
        (OfferTerms(), False),
        (OfferTerms(caps=(Cap(1, 24),), eligibility={"field": "segment"}), False),
        (OfferTerms(risk_class=1), True),
        (OfferTerms(disclosures=(TEXT,)), True),
        (OfferTerms(target_market=TargetMarket()), True),
        (OfferTerms(negative_target_market=TargetMarket()), True),
    ],
)
def test_compliance_answers_for_risk_target_markets_and_disclosures(terms: OfferTerms, answers: bool) -> None:
    assert needs_approval(replace(CARD, terms=terms)) is answers


def test_an_offer_that_nobody_has_to_approve_is_live_at_once_and_changes_at_once() -> None:
    shelf = Shelf()
    shelf.put(CARD)
    assert shelf.served == CARD
    shelf.put(replace(CARD, status=PAUSED, title={"en": "A better card"}))
    assert shelf.served == replace(CARD, status=PAUSED, title={"en": "A better card"})
    (version,) = shelf.record.versions()
    assert (version.version, version.approved_by, len(version.history)) == (1, None, 2)


def test_an_approved_draft_goes_live_and_its_history_says_who_did_what_when() -> None:
    shelf = live_fund()
    assert shelf.served == FUND
    (version,) = shelf.record.versions()
    assert (version.written_by, version.approved_by) == ("author", "approver")
    assert (version.written_at, version.approved_at) == (
        NOW + timedelta(minutes=1),
        NOW + timedelta(minutes=2),
    )
    assert [(passed.status, passed.by) for passed in version.history] == [
        (DRAFT, "author"),
        (APPROVED, "approver"),
        (LIVE, "author"),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        RISKIER,
        with_terms(FUND, risk_class=0),
        with_terms(FUND, disclosures=()),
        with_terms(FUND, disclosures=(Disclosure("risk", 1, {"en": "Nothing can go wrong."}),)),
        with_terms(FUND, target_market=TargetMarket(client_types=("retail",))),
        with_terms(FUND, negative_target_market=TargetMarket(min_horizon_years=3)),
    ],
)
def test_a_change_that_compliance_answers_for_waits_while_the_live_version_goes_on(changed: Item) -> None:
    shelf = live_fund()
    before = shelf.served
    change = shelf.put(changed)
    assert shelf.served is before
    assert change.draft is not None and (change.draft.version, change.draft.written_by) == (2, "author")
    assert change.draft.item == with_terms(replace(changed, status=DRAFT), version=2)
    assert shelf.statuses == {1: LIVE, 2: DRAFT}


def test_any_other_change_holds_for_the_live_version_at_once() -> None:
    shelf = live_fund()
    for changed in (
        replace(FUND, title={"en": "A finer fund"}),
        with_terms(FUND, priority=9, caps=(Cap(2, 24),)),
        replace(FUND, status=PAUSED),
        replace(FUND, status=LIVE),
    ):
        shelf.put(changed, by="somebody")
        assert shelf.served == changed
        assert shelf.statuses == {1: changed.status}


def test_the_same_again_is_no_step() -> None:
    shelf = live_fund()
    before = shelf.record
    assert shelf.put(FUND).item == FUND
    assert shelf.record == before


def test_a_new_version_goes_live_whole_and_the_old_one_is_retired() -> None:
    shelf = live_fund()
    shelf.put(RISKIER)
    shelf.move(2, Move.APPROVE)
    assert shelf.served == FUND
    shelf.move(2, Move.PUBLISH)
    assert shelf.served == with_terms(RISKIER, version=2)
    assert shelf.statuses == {1: RETIRED, 2: LIVE}


def test_nobody_approves_what_they_wrote_and_nobody_without_a_name_approves_anything() -> None:
    shelf = Shelf()
    shelf.put(FUND)
    shelf.put(replace(FUND, title={"en": "A fund with another title"}), by="second author")
    for by in ("author", "second author", NOBODY):
        with pytest.raises(OwnApprovalError):
            shelf.move(1, Move.APPROVE, by=by)
    assert shelf.statuses == {1: DRAFT}
    shelf.move(1, Move.APPROVE, by="third")
    assert shelf.statuses == {1: APPROVED}


def test_a_draft_does_not_go_live_by_a_put_of_its_writer() -> None:
    shelf = Shelf()
    shelf.put(FUND)
    shelf.put(replace(FUND, status=LIVE, summary={"en": "Buy it."}))
    assert shelf.statuses == {1: DRAFT}
    shelf.put(RISKIER)
    assert shelf.served == with_terms(replace(RISKIER, status=DRAFT), version=2)
    assert shelf.statuses == {1: DRAFT, 2: DRAFT}


def test_what_was_withdrawn_to_a_draft_needs_a_new_approval() -> None:
    shelf = live_fund()
    shelf.put(replace(FUND, status=DRAFT))
    shelf.put(replace(FUND, status=LIVE))
    assert shelf.statuses == {1: DRAFT}


@pytest.mark.parametrize(
    ("by_way_of", "refused"),
    [
        ([], [Move.PUBLISH, Move.PAUSE, Move.RESUME]),
        ([Move.APPROVE], [Move.APPROVE, Move.PAUSE, Move.RESUME]),
        ([Move.APPROVE, Move.PUBLISH], [Move.APPROVE, Move.PUBLISH, Move.RESUME]),
        ([Move.APPROVE, Move.PUBLISH, Move.PAUSE], [Move.APPROVE, Move.PUBLISH, Move.PAUSE]),
        ([Move.RETIRE], list(Move)),
    ],
)
def test_a_status_allows_some_moves_and_no_others(by_way_of: list[Move], refused: list[Move]) -> None:
    shelf = Shelf()
    shelf.put(FUND)
    for move in by_way_of:
        shelf.move(1, move)
    for move in refused:
        with pytest.raises(ConflictError, match="version 1 is"):
            shelf.move(1, move)


def test_a_paused_version_is_resumed_and_a_retired_one_never_comes_back() -> None:
    shelf = live_fund()
    shelf.move(1, Move.PAUSE)
    assert shelf.served == replace(FUND, status=PAUSED)
    shelf.move(1, Move.RESUME)
    assert shelf.served == FUND
    shelf.does(retire_offer, by="author")
    assert shelf.served is None
    shelf.put(FUND)
    assert shelf.statuses == {1: RETIRED, 2: DRAFT}


def test_an_older_version_never_takes_the_place_of_a_newer_one() -> None:
    shelf = live_fund()
    for _ in range(2):
        shelf.put(RISKIER)
    for number in (2, 3):
        shelf.move(number, Move.APPROVE)
    shelf.move(3, Move.PUBLISH)
    with pytest.raises(ConflictError, match="version 3 is newer and served"):
        shelf.move(2, Move.PUBLISH)
    assert shelf.statuses == {1: RETIRED, 2: APPROVED, 3: LIVE}


def test_a_draft_that_is_retired_leaves_what_is_served_alone() -> None:
    shelf = live_fund()
    shelf.put(RISKIER)
    shelf.move(2, Move.RETIRE)
    assert (shelf.served, shelf.statuses) == (FUND, {1: LIVE, 2: RETIRED})


def test_where_the_policy_asks_for_no_approval_a_change_is_a_version_and_live_at_once() -> None:
    shelf = Shelf()
    put = partial(shelf.does, put_offer, by="author", approval="none")
    put(FUND)
    put(RISKIER)
    assert shelf.served == with_terms(RISKIER, version=2)
    assert shelf.statuses == {1: RETIRED, 2: LIVE}


def test_an_offer_from_a_file_counts_as_approved_and_a_riskier_one_is_its_next_version() -> None:
    shelf = Shelf()
    shelf.does(bring_in, FUND)
    shelf.does(bring_in, replace(FUND, title={"en": "A finer fund"}))
    assert shelf.statuses == {1: LIVE}
    shelf.does(bring_in, RISKIER)
    assert shelf.served == with_terms(RISKIER, version=2)
    assert shelf.statuses == {1: RETIRED, 2: LIVE}
    assert {(version.written_by, version.approved_by) for version in shelf.record.versions()} == {
        (IMPORT, IMPORT)
    }


def test_an_offer_that_was_served_before_versions_were_kept_becomes_its_first_one() -> None:
    shelf = Shelf(FUND)
    (version,) = shelf.record.versions()
    assert (version.version, version.status, version.approved_by, version.written_at) == (
        1,
        LIVE,
        IMPORT,
        None,
    )
    shelf.put(RISKIER)
    assert shelf.statuses == {1: LIVE, 2: DRAFT}
    assert [step.number for step in shelf.record.kept] == [1, 2, 3]


def test_what_is_not_there_cannot_be_moved() -> None:
    with pytest.raises(NotFoundError):
        live_fund().move(2, Move.APPROVE)
    with pytest.raises(NotFoundError):
        Shelf().does(retire_offer, by="author")
