"""Which interactions count for their items, and how much. In: a table and the policy. Out: `Weighed`.

Everything is counted on the codes of categories, a slice of rows at a time: no text is touched, and beside
the table it takes one byte an interaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.history.interactions import InteractionTable
from recsvc.history.times import EPOCH
from recsvc.policy import Policy

SLICE_ROWS = 2**18
Codes = NDArray[np.unsignedinteger[Any]]
Numbers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
_MICROSECONDS_A_DAY = 86_400_000_000.0
_NEVER = np.iinfo(np.int64).min

LEAST_LEFT = 1e-6
"""Of a strength, however old: what was once taken stays above 0 in single precision."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The interactions of a table, row for row, as codes of its categories.

    `customers`, `items`, `types`, `micros` (since 1970, `int64.min` for none) and `counts`: (n_rows,);
    `strengths` by code of a type; `refused`: the codes of customer and item, (n_pairs, 2) int64, of the
    pairs whose last word is negative. A row counts when it is positive and its pair is not refused.
    """

    customers: Codes
    items: Codes
    types: Codes
    micros: NDArray[np.int64]
    counts: NDArray[np.bool_]
    strengths: Floats
    refused: NDArray[np.int64]
    policy: Policy

    def weights(self, rows: slice | NDArray[np.int64], moment: int) -> Floats:
        """What each of the rows weighs at a moment: the strength of its type, faded down to the floor."""
        decay = self.policy.decay
        faded = _fade(self.micros[rows], moment, decay.half_life_days)
        weights: Floats = self.strengths[self.types[rows]] * np.maximum(faded, max(decay.floor, LEAST_LEFT))
        return weights

    def recency(self, rows: slice | NDArray[np.int64], moment: int) -> Floats:
        """What each of the rows adds to the popularity of its item at a moment."""
        return _fade(self.micros[rows], moment, self.policy.decay.popularity_half_life_days)

    def moment(self, as_of: datetime | None, is_asked: NDArray[np.bool_] | None = None) -> int:
        """The moment that ages count to, in microseconds: `as_of`, or the latest time of rows asked for."""
        if as_of is not None:
            return (as_of - EPOCH) // timedelta(microseconds=1)
        micros = self.micros if is_asked is None else self.micros[is_asked]
        latest = int(micros.max(initial=_NEVER))
        return 0 if latest == _NEVER else latest

    def counted(self) -> Iterator[NDArray[np.int64]]:
        """The rows that count, in order, slice by slice."""
        return rows_where(self.counts)


def weigh(table: InteractionTable, policy: Policy) -> Weighed:
    """Find the interactions that count: positive ones with an item, of pairs that were not refused."""
    types = table.codes("type")
    customers, items = table.codes("customer_id"), table.codes("item_id")
    has_item = table.compact["item_id"].is_not_null().to_numpy()
    strengths = _strengths_by_code(table, types, policy)
    micros = _micros(table.compact["occurred_at"])
    counts = (strengths > 0)[types] & has_item
    refusals = np.flatnonzero((strengths < 0)[types] & has_item)
    refused = np.empty((0, 2), np.int64)
    if len(refusals):
        refused, taken_back = _last_words(customers, items, micros, counts, refusals)
        counts[taken_back] = False
    return Weighed(customers, items, types, micros, counts, strengths, refused, policy)


def rows_where(is_asked: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """The rows of which something holds, in order, slice by slice."""
    for start in range(0, len(is_asked), SLICE_ROWS):
        yield np.flatnonzero(is_asked[start : start + SLICE_ROWS]) + start


def sum_by(groups: Numbers, values: Floats, n_groups: int) -> Floats:
    """The sum of each group's values, none below 0, the same to the bit in any order: (n_groups,)."""
    sums = GroupSums(n_groups)
    sums.expect(groups, values)
    sums.add(groups, values)
    return sums.totals()


class GroupSums:
    """Adds up values by group, slice by slice, so that the order of the values changes no bit.

    A float sum depends on its order because every step rounds. So each value is parted at a place that is
    the same for its whole group, into a high and a low part with so few digits that no step rounds. For
    this every value is shown twice: first all to `expect`, then all to `add`.
    """

    def __init__(self, n_groups: int) -> None:
        self._n = n_groups
        self._counts = np.zeros(n_groups)
        self._largest = np.zeros(n_groups)
        self._highs, self._lows = np.zeros(n_groups), np.zeros(n_groups)
        self._places: tuple[Floats, Floats] | None = None

    def expect(self, groups: Numbers, values: Floats) -> None:
        """Take note of how many values a group has, and how large they are."""
        self._counts += np.bincount(groups, minlength=self._n)
        np.maximum.at(self._largest, groups, values)

    def add(self, groups: Numbers, values: Floats) -> None:
        """Add the values to their groups."""
        high_place, low_place = self._places = self._places or self._find_places()
        high = _cut(values, high_place[groups])
        low = _cut(values - high, low_place[groups])
        self._highs += np.bincount(groups, weights=high, minlength=self._n)
        self._lows += np.bincount(groups, weights=low, minlength=self._n)

    def totals(self) -> Floats:
        """The sums: (n_groups,)."""
        return self._highs + self._lows

    def _find_places(self) -> tuple[Floats, Floats]:
        """Powers of two that no sum reaches: of the values, and of what the first cut leaves of them."""
        n_digits = np.frexp(self._counts)[1]
        high = np.frexp(self._largest)[1] + n_digits
        return np.ldexp(1.0, high), np.ldexp(1.0, high + n_digits - 53)


def _cut(values: Floats, places: Floats) -> Floats:
    """The values to the last digit that a number as large as their place has."""
    cut: Floats = (values + places) - places
    return cut


def _strengths_by_code(table: InteractionTable, types: Codes, policy: Policy) -> Floats:
    present = np.flatnonzero(np.bincount(types, minlength=1))
    strengths = np.zeros(len(present) and int(present[-1]) + 1)
    for code, name in zip(present, table.texts("type", present), strict=True):
        rule = policy.interaction_types.get(name)
        strengths[code] = rule.strength if rule else 0.0
    return strengths


def _micros(times: pl.Series) -> NDArray[np.int64]:
    counts = times.to_physical()
    return (counts.fill_null(_NEVER) if counts.null_count() else counts).to_numpy()


def _last_words(
    customers: Codes,
    items: Codes,
    micros: NDArray[np.int64],
    is_yes: NDArray[np.bool_],
    refusals: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs whose last word is among the refusals, and the rows of a yes that this takes back."""
    pairs, groups = np.unique(_pair_keys(customers, items, refusals), return_inverse=True)
    last_no = np.full(len(pairs), _NEVER)
    np.maximum.at(last_no, groups, micros[refusals])
    contested, places = _rows_of_pairs(customers, items, is_yes, pairs)
    last_yes = np.full(len(pairs), _NEVER)
    np.maximum.at(last_yes, places, micros[contested])
    # A pair without times has no "later": one no is enough.
    is_refused = (last_yes <= last_no) | (last_no == _NEVER)
    refused = pairs[is_refused]
    return np.stack([refused >> 32, refused & 0xFFFF_FFFF], axis=1), contested[is_refused[places]]


def _rows_of_pairs(
    customers: Codes, items: Codes, is_asked: NDArray[np.bool_], pairs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows asked for whose pair is one of these (sorted), and its place among them."""
    # Most pairs were never refused: short hashes tell which rows are worth a closer look.
    shift = np.uint32(32 - min(len(pairs).bit_length() + 4, 24))
    is_likely = np.zeros(2 ** (32 - int(shift)), np.bool_)
    is_likely[_pair_hashes(pairs >> 32, pairs & 0xFFFF_FFFF, shift)] = True
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for rows in rows_where(is_asked):
        rows = rows[is_likely[_pair_hashes(customers[rows], items[rows], shift)]]
        keys = _pair_keys(customers, items, rows)
        places = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
        is_one = pairs[places] == keys
        found.append((rows[is_one], places[is_one]))
    rows, places = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, places


def _pair_hashes(customers: Numbers, items: Numbers, shift: np.uint32) -> NDArray[np.uint32]:
    mixed = customers.astype(np.uint32) * np.uint32(0x9E3779B1) + items.astype(np.uint32)
    return (mixed * np.uint32(0x85EBCA6B)) >> shift


def _pair_keys(customers: Codes, items: Codes, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return (customers[rows].astype(np.int64) << 32) | items[rows]


def _fade(micros: NDArray[np.int64], moment: int, half_life_days: float) -> Floats:
    """`domain.interactions.decay_weight` of many times at once; 1 for none, and for later ones."""
    ages = np.where(micros == _NEVER, 0, np.maximum(moment - micros, 0))
    left: Floats = np.exp2(ages / (-_MICROSECONDS_A_DAY * half_life_days))
    return left
