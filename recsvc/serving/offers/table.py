"""Offers as columns, so that a gate judges hundreds at once. In: offers. Out: one frozen `OfferTable`.

It is made once for each state of the catalogue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from recsvc.domain.conditions import Condition, FieldType
from recsvc.domain.contacts import is_counted
from recsvc.domain.items import Channel, Item, ItemKind, ItemStatus
from recsvc.domain.moments import FIRST_MICROS, LAST_MICROS, window_in_micros
from recsvc.domain.offer_terms import OfferTerms
from recsvc.domain.slates import ShownDisclosure
from recsvc.serving.offers.eligibility import rule_of
from recsvc.serving.offers.sameness import places_of

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]
Micros = NDArray[np.int64]
T = TypeVar("T")

MAX_KEPT = 256
"""So many judgements on its offers a table remembers."""

_BITS = {channel: 1 << number for number, channel in enumerate(Channel)}
_ALL_CHANNELS = (1 << len(_BITS)) - 1


class Told(NamedTuple):
    """What offers say in a locale: whether all that must be said can be, and the disclosures.

    Both are (n_offers,).
    """

    is_told: Bools
    disclosures: tuple[tuple[ShownDisclosure, ...], ...]


@dataclass(frozen=True)
class OfferTable:
    """Offers by id. Every array is (n_offers,); `keys` are 64 bits that are an offer's own.

    `valid_from` and `valid_to` are in microseconds since 1970, `weights` in percent. `currency_of` is
    the place of the offer's own among `currencies`, which are each named once. `by_category`,
    `by_placement` and `by_jurisdiction` lead to rows; `open_placement` and `open_jurisdiction` are those that
    name none. `eligibility` leads from rows to rules; None is a rule that cannot be read. Rows of one
    rule, and those of one market, for which an offer stands, are judged at once. `places` are what no two
    offers of a list may share, and `by_place` leads from there to the rows.
    """

    items: tuple[Item, ...]
    ids: tuple[str, ...]
    row_of: Mapping[str, int]
    keys: NDArray[np.uint64]
    risk_class: NDArray[np.int64]
    is_live: Bools
    valid_from: Micros
    valid_to: Micros
    channels: NDArray[np.int64]
    value: NDArray[np.float64]
    weights: NDArray[np.float64]
    currencies: tuple[str, ...]
    currency_of: Rows
    open_placement: Bools
    open_jurisdiction: Bools
    by_category: Mapping[str | None, Rows]
    by_placement: Mapping[str, Rows]
    by_jurisdiction: Mapping[str, Rows]
    with_market: Bools
    with_counts: Bools
    eligibility: Mapping[int, Condition | None]
    rows_by_rule: tuple[tuple[Condition | None, Rows], ...]
    rows_by_market: tuple[tuple[Item, Rows], ...]
    places: tuple[frozenset[object], ...]
    by_place: Mapping[object, Rows]
    versions: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def told(self) -> dict[tuple[str, bool], Told]:
        """The texts of offers, by locale and whether another may stand in; filled on asking."""
        return {}

    @cached_property
    def asked_fields(self) -> frozenset[str]:
        """What the rules ask of customers."""
        return frozenset().union(*(rule.fields() for rule in self.eligibility.values() if rule is not None))

    @cached_property
    def rule_numbers(self) -> Rows:
        """The number of each offer's rule among `rows_by_rule`, -1 for none."""
        return self._numbered(rows for _, rows in self.rows_by_rule)

    @cached_property
    def market_numbers(self) -> Rows:
        """The number of each offer's market among `rows_by_market`, -1 for none."""
        return self._numbered(rows for _, rows in self.rows_by_market)

    def _numbered(self, kinds: Iterable[Rows]) -> Rows:
        numbers = np.full(len(self.items), -1)
        for number, rows in enumerate(kinds):
            numbers[rows] = number
        return numbers

    @cached_property
    def all_valid(self) -> tuple[int, int]:
        """From when, and until before when, every offer is valid."""
        return int(self.valid_from.max(initial=FIRST_MICROS)), int(self.valid_to.min(initial=LAST_MICROS))

    def kept(self, judge: Callable[[OfferTable, T], Bools], value: T) -> Bools | None:
        """Which offers are judged so for a value; None where none is. Found once for each value."""
        key = (judge, value)
        try:
            return self._kept[key]
        except KeyError:
            found = judge(self, value)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        mask = self._kept[key] = found if found.any() else None
        return mask

    @cached_property
    def _kept(self) -> dict[tuple[object, object], Bools | None]:
        return {}

    def rows_of(self, offer_ids: Iterable[str]) -> Rows:
        """The rows of those of the offers that there are."""
        found = [self.row_of[offer_id] for offer_id in offer_ids if offer_id in self.row_of]
        return np.array(found, dtype=np.int64)

    def mask_of(self, offer_ids: Iterable[str]) -> Bools:
        """Which rows are of these offers."""
        return self.mask_at(self.rows_of(offer_ids))

    def mask_at(self, rows: Rows | None) -> Bools:
        """Which rows are among these."""
        mask = np.zeros(len(self.items), dtype=np.bool_)
        if rows is not None and len(rows):
            mask[rows] = True
        return mask


def _rows_by_rule(
    offers: Sequence[Item], eligibility: Mapping[int, Condition | None]
) -> tuple[tuple[Condition | None, Rows], ...]:
    """Each distinct rule with the rows that it is on."""
    found: dict[bytes, list[int]] = {}
    for row in eligibility:
        found.setdefault(msgspec.json.encode(offers[row].offer_terms.eligibility), []).append(row)
    return tuple((eligibility[rows[0]], np.array(rows, dtype=np.int64)) for rows in found.values())


def _rows_by_market(offers: Sequence[Item]) -> tuple[tuple[Item, Rows], ...]:
    """An offer of each distinct pair of target markets, and the rows that have them."""
    found: dict[object, list[int]] = {}
    for row, offer in enumerate(offers):
        terms = offer.offer_terms
        if _has_market(terms):
            found.setdefault((terms.target_market, terms.negative_target_market), []).append(row)
    return tuple((offers[rows[0]], np.array(rows, dtype=np.int64)) for rows in found.values())


def make_table(items: Iterable[Item], fields: Mapping[str, FieldType]) -> OfferTable:
    """The offers among the items, whatever their status. `fields` are those that rules may ask for."""
    offers = sorted((one for one in items if one.kind is ItemKind.OFFER), key=lambda one: one.item_id)
    terms = [one.offer_terms for one in offers]
    ids = tuple(one.item_id for one in offers)
    places = tuple(frozenset(places_of(one)) for one in offers)
    currencies = tuple(sorted({one.currency for one in terms}))
    eligibility = {
        row: rule_of(one, fields) for row, one in enumerate(offers) if one.offer_terms.eligibility is not None
    }
    windows = [window_in_micros(one.valid_from, one.valid_to) for one in offers]
    valid_from, valid_to = np.array(windows, dtype=np.int64).reshape(len(offers), 2).T.copy()
    return OfferTable(
        items=tuple(offers),
        ids=ids,
        row_of={offer_id: row for row, offer_id in enumerate(ids)},
        keys=np.array([_key_of(offer_id) for offer_id in ids], dtype=np.uint64),
        risk_class=np.array([one.risk_class for one in terms], dtype=np.int64),
        is_live=np.array([one.status is ItemStatus.LIVE for one in offers], dtype=np.bool_),
        valid_from=valid_from,
        valid_to=valid_to,
        channels=np.array([_bits_of(one.channels) for one in offers], dtype=np.int64),
        value=np.array([float(one.value) for one in terms]),
        weights=np.array([one.priority + 100 * (one.weight - 1) for one in terms]),
        currencies=currencies,
        currency_of=np.array([currencies.index(one.currency) for one in terms], dtype=np.int64),
        open_placement=np.array([not one.placements for one in terms], dtype=np.bool_),
        open_jurisdiction=np.array([not one.jurisdictions for one in terms], dtype=np.bool_),
        by_category=_rows_by([(one.category,) for one in offers]),
        by_placement=_rows_by([one.placements for one in terms]),
        by_jurisdiction=_rows_by([tuple(name.upper() for name in one.jurisdictions) for one in terms]),
        with_market=np.array([_has_market(one) for one in terms], dtype=np.bool_),
        with_counts=np.array([is_counted(one) for one in offers], dtype=np.bool_),
        eligibility=eligibility,
        rows_by_rule=_rows_by_rule(offers, eligibility),
        rows_by_market=_rows_by_market(offers),
        places=places,
        by_place=_rows_by(places),
        versions=tuple(one.version for one in terms),
    )


def bit_of(channel: Channel) -> int:
    """The bit of a channel in `OfferTable.channels`."""
    return _BITS[channel]


def _bits_of(channels: Sequence[Channel]) -> int:
    return sum(_BITS[channel] for channel in set(channels)) if channels else _ALL_CHANNELS


def _has_market(terms: OfferTerms) -> bool:
    return terms.target_market is not None or terms.negative_target_market is not None


def _rows_by(names: Iterable[Iterable[T]]) -> Mapping[T, Rows]:
    found: dict[T, list[int]] = {}
    for row, of_row in enumerate(names):
        for name in of_row:
            found.setdefault(name, []).append(row)
    return {name: np.array(rows, dtype=np.int64) for name, rows in found.items()}


def _key_of(offer_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(offer_id.encode(), digest_size=8).digest(), "big")
