"""Stock the offers. In: offers.toml, the window. Out: items with terms, and what the generator needs of them.

The forty are written by hand. Asked for more, the stock is repeated under new ids.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np

from recsvc.domain.items import Channel, Item, ItemKind, ItemStatus
from recsvc.domain.offer_terms import Budget, Cap, Disclosure, OfferTerms, TargetMarket
from recsvc.sample_bank.articles import SITE
from recsvc.sample_bank.timeline import DAY_MS, FloatArray, IntArray, Window, moment
from recsvc.sample_bank.words import CATEGORIES, LOCALES

_LAUNCHED_DAYS_BEFORE = 200
_DECLINE_LABEL = {"en": "Not now", "zh": "暂不需要"}
_FOREVER_MS = np.iinfo(np.int64).max


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    en: str
    zh: str


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    category: str
    title: dict[str, str]
    summary: dict[str, str]
    value: int
    priority: int
    amount: int
    disclosures: tuple[str, ...]
    risk_class: int = 0
    group: str | None = None
    days: tuple[int, int] | None = None
    jurisdictions: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    status: ItemStatus = ItemStatus.LIVE
    target_market: TargetMarket | None = None
    negative_target_market: TargetMarket | None = None
    eligibility: dict[str, Any] | None = None
    caps: tuple[Cap, ...] = ()
    budget: Budget | None = None
    inventory: int | None = None


class _Stock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    disclosures: dict[str, _Text]
    offers: tuple[_Entry, ...]


@dataclass(frozen=True, slots=True)
class Stock:
    """The offers. The arrays run along them; `usual_amount` is in euros."""

    items: tuple[Item, ...]
    first_row: int  # where the offers start among all items
    category: IntArray  # row in CATEGORIES
    valid_from_ms: IntArray
    valid_to_ms: IntArray
    usual_amount: FloatArray

    @property
    def terms(self) -> list[OfferTerms]:
        """The terms of each offer."""
        return [item.offer_terms for item in self.items]


@cache
def _load_stock() -> _Stock:
    raw = files("recsvc.sample_bank").joinpath("offers.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(raw), type=_Stock)


def stock_offers(n_offers: int, window: Window, *, first_row: int) -> Stock:
    """The first `n_offers` of the stock, spread over its categories, dated around the end of the window."""
    written = _load_stock()
    entries = [written.offers[row] for row in _spread_rows(n_offers, len(written.offers))]
    items = tuple(_offer(row, entry, written.disclosures, window) for row, entry in enumerate(entries))
    return Stock(
        items=items,
        first_row=first_row,
        category=np.array([CATEGORIES.index(entry.category) for entry in entries], np.int64),
        valid_from_ms=np.array([_valid_ms(entry, window)[0] for entry in entries], np.int64),
        valid_to_ms=np.array([_valid_ms(entry, window)[1] for entry in entries], np.int64),
        usual_amount=np.array([entry.amount for entry in entries], np.float64),
    )


def _spread_rows(n_offers: int, n_written: int) -> list[int]:
    """Rows of the written offers: evenly picked when fewer are wanted, repeated when more are."""
    if n_offers < 1:
        raise ValueError("n_offers must be at least 1")
    if n_offers >= n_written:
        return [row % n_written for row in range(n_offers)]
    return [row * n_written // n_offers for row in range(n_offers)]


def _valid_ms(entry: _Entry, window: Window) -> tuple[int, int]:
    if entry.days is None:
        return window.end_ms - _LAUNCHED_DAYS_BEFORE * DAY_MS, int(_FOREVER_MS)
    first, last = entry.days
    return window.end_ms + first * DAY_MS, window.end_ms + last * DAY_MS


def _offer(row: int, entry: _Entry, texts: dict[str, _Text], window: Window) -> Item:
    item_id = f"o{row + 1:02d}"
    valid_from, valid_to = _valid_ms(entry, window)
    return Item(
        item_id=item_id,
        kind=ItemKind.OFFER,
        title=entry.title,
        summary=entry.summary,
        category=entry.category,
        tags=(entry.category, "investment" if entry.risk_class else "banking"),
        url=f"{SITE}/offers/{item_id}",
        published_at=moment(min(valid_from, window.end_ms)),
        valid_from=moment(valid_from),
        valid_to=None if entry.days is None else moment(valid_to),
        channels=entry.channels,
        status=entry.status,
        attributes={"usual_amount": entry.amount, "synthetic": True},
        terms=OfferTerms(
            value=Decimal(entry.value),
            currency="EUR",
            priority=entry.priority,
            risk_class=entry.risk_class,
            jurisdictions=entry.jurisdictions,
            exclusive_group=entry.group,
            disclosures=tuple(_disclosure(name, texts[name]) for name in entry.disclosures),
            target_market=entry.target_market,
            negative_target_market=entry.negative_target_market,
            eligibility=entry.eligibility,
            caps=entry.caps,
            budget=entry.budget,
            inventory=entry.inventory,
            decline_label=_DECLINE_LABEL,
        ),
    )


def _disclosure(name: str, text: _Text) -> Disclosure:
    return Disclosure(
        id=name, version=text.version, text={locale: getattr(text, locale) for locale in LOCALES}
    )
