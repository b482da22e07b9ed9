"""The life of an offer's versions. In: what is stored, who wants what. Out: the change to store.

    draft → approved → live ⇄ paused → retired

A change of what compliance answers for (risk class, target market, negative target market, disclosures) makes
the next version, in draft, and what is live goes on being served; any other change holds for the stored
version at once. Whoever wrote a version cannot approve it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.offer_terms import OfferTerms
from recsvc.domain.offer_versions import (
    IMPORT,
    NOBODY,
    Move,
    OfferRecord,
    OfferVersion,
    Step,
    brought_in,
    version_of,
)
from recsvc.domain.records import Written
from recsvc.errors import ConflictError, NotFoundError, OwnApprovalError

Approval = Literal["required", "none"]
"""What the policy asks of an offer that compliance answers for."""

_SERVED = (ItemStatus.LIVE, ItemStatus.PAUSED)


_MOVES: Mapping[Move, tuple[tuple[ItemStatus, ...], ItemStatus]] = {
    Move.APPROVE: ((ItemStatus.DRAFT,), ItemStatus.APPROVED),
    Move.PUBLISH: ((ItemStatus.APPROVED,), ItemStatus.LIVE),
    Move.PAUSE: ((ItemStatus.LIVE,), ItemStatus.PAUSED),
    Move.RESUME: ((ItemStatus.PAUSED,), ItemStatus.LIVE),
    Move.RETIRE: (tuple(one for one in ItemStatus if one is not ItemStatus.RETIRED), ItemStatus.RETIRED),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be stored: the item as it is served from now on, if that changes, and the steps.

    `draft` is the version that waits for approval while something else is served.
    """

    item: Item | None = None
    steps: tuple[Step, ...] = ()
    draft: OfferVersion | None = None


@dataclass(frozen=True, slots=True)
class PutOffer:
    """What a put came to: the item as it is stored now, and how.

    `draft` is the number of the version that was made of it and waits for approval, while what `written` is
    about goes on being served; None where the item itself is stored.
    """

    item: Item
    written: Written
    draft: int | None = None


@dataclass(frozen=True, slots=True)
class PutMany:
    """How many items were put, and of how many offers a version waits beside what is served."""

    n_stored: int
    n_drafts: int = 0


def needs_approval(item: Item) -> bool:
    """Whether compliance answers for the offer: it bears risk, names a target market or must be disclosed."""
    return _answered_for(item) != _answered_for(Item(item.item_id, ItemKind.OFFER))


def put_offer(record: OfferRecord, sent: Item, *, by: str, at: datetime, approval: Approval) -> Change:
    """Create the offer, or replace it whole."""
    stored = record.stored
    is_held = approval == "required" and needs_approval(sent)
    if stored is None:
        status = ItemStatus.DRAFT if is_held and sent.status is not ItemStatus.RETIRED else sent.status
        item = _as_version(sent, record.newest + 1, status)
        return Change(item, record.next_steps((record.newest + 1, item, by, at)))
    if _answered_for(sent) != _answered_for(stored):
        return _next_version(record, stored, sent, by=by, at=at, approval=approval)
    status = _status_after(stored.status, sent.status) if is_held else sent.status
    item = _as_version(sent, stored.offer_terms.version, status)
    if item == stored:
        return Change(item)
    return Change(item, record.next_steps((item.offer_terms.version, item, by, at)))


def bring_in(record: OfferRecord, sent: Item, *, at: datetime) -> Change:
    """Take the offer as an operator brings it from a file: it counts as approved."""
    stored = record.stored
    if stored is not None and _answered_for(sent) == _answered_for(stored):
        version = stored.offer_terms.version
    else:
        version = record.newest + 1
    item = _as_version(sent, version, sent.status)
    if item == stored:
        return Change(item)
    if version <= record.newest and record.version(version).approved_by is not None:
        return Change(item, record.next_steps((version, item, IMPORT, at)))
    ended = record.next_steps(*_ended(record, version, IMPORT, at))
    return Change(item, (*ended, *brought_in(item, len(record.kept) + len(ended), at=at)))


def retire_offer(record: OfferRecord, *, by: str, at: datetime) -> Change:
    """Take what is served out of service for good. The record must hold an offer."""
    stored = record.stored
    if stored is None:
        raise NotFoundError("there is no such offer")
    item = replace(stored, status=ItemStatus.RETIRED)
    return Change(item, record.next_steps((stored.offer_terms.version, item, by, at)))


def move_version(record: OfferRecord, number: int, move: Move, *, by: str, at: datetime) -> Change:
    """Lead the version to its next status.

    Raises:
        NotFoundError: there is no such version.
        ConflictError: its status does not allow it, or a newer version is served.
        OwnApprovalError: whoever wrote the version would approve it.
    """
    version = record.version(number)
    allowed, status = _MOVES[move]
    if version.status not in allowed:
        names = " or ".join(allowed)
        found = version.status.value
        raise ConflictError(f"version {number} is {found}, and to {move.value} it, it must be {names}")
    if move is Move.APPROVE and by in {NOBODY, *record.writers(number)}:
        raise OwnApprovalError()
    item = _as_version(version.item, number, status)
    is_stored = record.stored is not None and record.stored.offer_terms.version == number
    if move is not Move.PUBLISH:
        return Change(item if is_stored else None, record.next_steps((number, item, by, at)))
    _check_newest_served(record, number)
    return Change(item, record.next_steps((number, item, by, at), *_ended(record, number, by, at)))


def _next_version(
    record: OfferRecord, stored: Item, sent: Item, *, by: str, at: datetime, approval: Approval
) -> Change:
    number = record.newest + 1
    if approval == "none":
        item = _as_version(sent, number, sent.status)
        return Change(item, record.next_steps((number, item, by, at), *_ended(record, number, by, at)))
    draft = _as_version(sent, number, ItemStatus.DRAFT)
    steps = record.next_steps((number, draft, by, at))
    if stored.status in _SERVED:
        return Change(None, steps, version_of([steps[-1]]))
    return Change(draft, steps)


def _check_newest_served(record: OfferRecord, number: int) -> None:
    newer = [one.version for one in record.versions() if one.status in _SERVED and one.version > number]
    if newer:
        raise ConflictError(f"version {newer[0]} is newer and served: retire it, or write a new one")


def _ended(
    record: OfferRecord, but: int, by: str, at: datetime
) -> tuple[tuple[int, Item, str, datetime], ...]:
    """The end of every version that is served, but for one: an offer is served in one version."""
    return tuple(
        (one.version, replace(one.item, status=ItemStatus.RETIRED), by, at)
        for one in record.versions()
        if one.status in _SERVED and one.version != but
    )


def _answered_for(item: Item) -> tuple[object, ...]:
    terms = item.offer_terms
    return (terms.risk_class, terms.target_market, terms.negative_target_market, terms.disclosures)


def _status_after(stored: ItemStatus, sent: ItemStatus) -> ItemStatus:
    """What a writer may make of the status alone: pause, resume and withdraw what is served, and retire."""
    if sent is ItemStatus.RETIRED or (stored in _SERVED and sent is not ItemStatus.APPROVED):
        return sent
    return stored


def _as_version(item: Item, version: int, status: ItemStatus) -> Item:
    terms = item.terms
    if item.offer_terms.version != version:
        terms = replace(item.terms or OfferTerms(), version=version)
    return replace(item, status=status, terms=terms)
