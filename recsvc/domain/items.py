"""Items: content worth reading and offers worth making, with validity and terms.

Field names follow schema.org where it has one. `msgspec` reads and writes these values as JSON in
files, in the store and in bundles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from recsvc.domain.identifiers import check_identifier
from recsvc.domain.offer_terms import OfferTerms

AttributeValue = str | int | float | bool | None


class ItemKind(StrEnum):
    """What an item is: something to read, or something to accept."""

    CONTENT = "content"
    OFFER = "offer"


class ItemStatus(StrEnum):
    """Where an item stands in its life. Only a live one is served; an offer is approved before it is."""

    DRAFT = "draft"
    APPROVED = "approved"
    LIVE = "live"
    PAUSED = "paused"
    RETIRED = "retired"


class Channel(StrEnum):
    """Where a customer meets us."""

    WEB = "web"
    MOBILE = "mobile"
    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    CALL_CENTRE = "call_centre"
    BRANCH = "branch"


_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Item:
    """Anything that can be recommended.

    `title` and `summary` map a locale to a text. Empty `channels` means every channel. An item is
    valid from `valid_from` (inclusive) to `valid_to` (exclusive); an absent end is open.
    """

    item_id: str
    kind: ItemKind = ItemKind.CONTENT
    title: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, str] = field(default_factory=dict)
    category: str | None = None
    tags: tuple[str, ...] = ()
    url: str | None = None
    published_at: datetime | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    channels: tuple[Channel, ...] = ()
    status: ItemStatus = ItemStatus.LIVE
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    terms: OfferTerms | None = None

    def __post_init__(self) -> None:
        check_identifier(self.item_id, "item_id")
        for name in ("title", "summary", "attributes"):
            if not getattr(
                self, name
            ):  # A catalogue is held by every worker, and most of it says nothing here.
                object.__setattr__(self, name, _NOTHING)
        for name in ("published_at", "valid_from", "valid_to"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name} must carry an offset from UTC, for example 2026-01-31T09:00:00Z")
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            raise ValueError("valid_from must be before valid_to")
        if self.terms is not None and self.kind is not ItemKind.OFFER:
            raise ValueError("only an offer has terms")

    @property
    def offer_terms(self) -> OfferTerms:
        """The terms of an offer; the plainest ones where none were given."""
        return self.terms or _PLAIN_TERMS

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether the moment lies in the validity window."""
        return (self.valid_from is None or self.valid_from <= moment) and (
            self.valid_to is None or moment < self.valid_to
        )


_PLAIN_TERMS = OfferTerms()


def text_in(texts: Mapping[str, str], locale: str) -> str | None:
    """The text in the locale, else in ever wider ones, else in English, else in any (RFC 4647, 3.4)."""
    if locale in texts:
        return texts[locale]
    by_tag = {tag.lower(): text for tag, text in texts.items()}
    parts = locale.lower().split("-")
    wanted = [*("-".join(parts[:n]) for n in range(len(parts), 0, -1)), "en", *by_tag]
    return next((by_tag[tag] for tag in wanted if tag in by_tag), None)
