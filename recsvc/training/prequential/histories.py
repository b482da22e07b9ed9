"""What customers had done just before an occasion. In: a table, occasions. Out: histories to fold in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.history.interactions import InteractionTable
from recsvc.history.weighing import Weighed, weigh
from recsvc.live.places import Floats, Rows
from recsvc.policy import Policy

_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Histories:
    """By occasion, sparse: the `strengths` of what the customer had, and whether it was ever `met`.

    Both (n_occasions, n_items). What the last word on was negative was met and is not had.
    """

    strengths: csr_matrix
    met: csr_matrix


def histories_before(
    table: InteractionTable,
    policy: Policy,
    customer_ids: Sequence[str],
    seconds: Floats,
    item_ids: Sequence[str],
) -> Histories:
    """As a matrix of the interactions before each occasion would weigh them, faded until the occasion.

    `customer_ids` and `seconds` are of the occasions, (n_occasions,); `item_ids` are the columns, and other
    items are left out.
    """
    words = _Words.of(table, policy, item_ids)
    customers = _codes_of(table, "customer_id", customer_ids)
    known = [words.before(*one) for one in zip(customers.tolist(), seconds.tolist(), strict=True)]
    shape = (len(known), len(item_ids))
    starts = np.concatenate([[0], np.cumsum([len(items) for items, _ in known])])
    items, strengths = (
        np.concatenate([one[side] for one in known]) if known else np.empty(0) for side in (0, 1)
    )
    met = csr_matrix((np.ones(len(items), np.bool_), items, starts), shape=shape)
    had = csr_matrix((strengths.astype(np.float32), items, starts), shape=shape, copy=True)
    had.eliminate_zeros()
    return Histories(had, met)


@dataclass(frozen=True, slots=True)
class _Words:
    """Interactions for or against items, by code of the customer, then time; at one moment no comes last.

    `rows` of the table, `customers`, `items` (rows of columns), `seconds`, `is_for`: (n_words,).
    """

    weighed: Weighed
    rows: Rows
    customers: Rows
    items: Rows
    seconds: Floats
    is_for: NDArray[np.bool_]

    @classmethod
    def of(cls, table: InteractionTable, policy: Policy, item_ids: Sequence[str]) -> _Words:
        weighed = weigh(table, policy)
        strengths = weighed.strengths[weighed.types]
        items = _rows_by_code(table, "item_id", item_ids)[weighed.items]
        has_item = table.compact["item_id"].is_not_null().to_numpy()
        rows = np.flatnonzero((strengths != 0) & has_item & (items >= 0))
        order = np.lexsort((-strengths[rows], items[rows], weighed.micros[rows], weighed.customers[rows]))
        rows = rows[order]
        return cls(
            weighed,
            rows,
            weighed.customers[rows].astype(np.int64),
            items[rows],
            weighed.micros[rows] / _MICROSECONDS,
            strengths[rows] > 0,
        )

    def before(self, customer: int, at: float) -> tuple[Rows, Floats]:
        """The items that a customer met before a moment, in order, and the strength of each, 0 for a no."""
        first, last = np.searchsorted(self.customers, [customer, customer + 1]).tolist()
        last = first + int(np.searchsorted(self.seconds[first:last], at, side="left"))
        is_for = self.is_for[first:last]
        items, places = np.unique(self.items[first:last], return_inverse=True)
        weights = self.weighed.weights(self.rows[first:last], round(at * _MICROSECONDS))
        strengths = np.bincount(places, weights=np.where(is_for, weights, 0.0), minlength=len(items))
        last_word = np.zeros(len(items), np.bool_)
        last_word[places] = is_for  # Of several words on one item the last one stays.
        is_met = np.bincount(places, weights=is_for, minlength=len(items)) > 0
        return items[is_met], np.where(last_word, strengths, 0.0)[is_met]


def _codes_of(table: InteractionTable, column: str, ids: Sequence[str]) -> Rows:
    """The code of each id among the categories of a column, in which all of them occur: (n_ids,)."""
    codes = pl.Series(ids, dtype=pl.String).cast(table.compact.schema[column]).to_physical().to_numpy()
    return codes.astype(np.int64)


def _rows_by_code(table: InteractionTable, column: str, ids: Sequence[str]) -> Rows:
    """The place of each id, by code of a category, -1 for a code of no such id: (n_codes,)."""
    codes = _codes_of(table, column, ids)
    highest = max(int(codes.max(initial=0)), int(table.codes(column).max(initial=0)))
    rows = np.full(highest + 1, -1, np.int64)
    rows[codes] = np.arange(len(ids))
    return rows
