"""Weigh interactions into a matrix. In: an `InteractionTable` and the policy. Out: an `InteractionMatrix`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_matrix

from recsvc.history.interactions import InteractionTable
from recsvc.history.weighing import Codes, Floats, GroupSums, Weighed, rows_where, sum_by, weigh
from recsvc.policy import Policy

FloatArray = npt.NDArray[np.float32]
_Rows = npt.NDArray[np.int64]
_Ints = npt.NDArray[np.int32]
_Numbers = npt.NDArray[np.integer[Any]]
# The interactions that are sorted at once, which bounds the memory; each block means one more look at all.
_BLOCK_ROWS = 2**18
_MAX_BLOCKS = 32


@dataclass(frozen=True, slots=True)
class InteractionMatrix:
    """Who did how much with what. Only customers and items of at least one positive pair are in it.

    Both id tuples are sorted bytewise; the place of an id is its `customer_row` or `item_row`.
    """

    customer_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    strengths: csr_matrix  # (n_customers, n_items) float32, > 0, columns sorted within a row
    popularity: FloatArray  # (n_items,) decayed count of positive interactions
    refused: csr_matrix  # (n_customers, n_items) bool, the pairs whose last word is negative


@dataclass(frozen=True, slots=True)
class _Axis:
    """The ids of one side of a matrix. `rows`: (n_codes,) int32, by code of a category, -1 for none."""

    ids: tuple[str, ...]
    rows: _Ints

    @classmethod
    def of(cls, table: InteractionTable, column: str, n_by_code: _Rows) -> _Axis:
        """The ids of which there is at least one interaction, sorted bytewise."""
        codes = np.flatnonzero(n_by_code)
        ids = table.texts(column, codes).sort()
        # To look the codes of sorted ids up again is quicker than to sort places.
        ordered = ids.cast(table.compact.schema[column]).to_physical().to_numpy()
        rows = np.full(len(n_by_code), -1, np.int32)
        rows[ordered] = np.arange(len(codes), dtype=np.int32)
        return cls(tuple(ids.to_list()), rows)


def build_matrix(table: InteractionTable, policy: Policy, *, as_of: datetime | None) -> InteractionMatrix:
    """The matrix of positive, decayed strengths. The order of the table's rows changes nothing.

    A pair's strength is the sum over its positive interactions of the type's strength times what is left
    of it after its age, at least the policy's floor. A pair whose last word is negative is left out; at the
    same moment the negative word is the last. Without times nothing fades, and one negative word is enough.

    Args:
        as_of: the moment that ages count to; None means the latest time in the table. Later interactions
            count in full.
    """
    weighed = weigh(table, policy)
    moment = weighed.moment(as_of)
    n_by_customer, n_by_item = _count_codes(weighed)
    customers = _Axis.of(table, "customer_id", n_by_customer)
    items = _Axis.of(table, "item_id", n_by_item)
    return InteractionMatrix(
        customer_ids=customers.ids,
        item_ids=items.ids,
        strengths=_strengths(weighed, customers, items, moment, n_by_customer),
        popularity=_popularity(weighed, items, moment),
        refused=_refused(weighed, customers, items),
    )


def popularity_by_segment(
    table: InteractionTable,
    matrix: InteractionMatrix,
    segments: _Numbers,
    n_segments: int,
    policy: Policy,
    *,
    as_of: datetime | None,
) -> FloatArray:
    """The popularity that a matrix of each segment's customers alone would have: (n_segments, n_items).

    Args:
        matrix: that of the whole table.
        segments: of each of its customers, from 0 to below `n_segments`: (n_customers,).
        as_of: as in `build_matrix`; None means the latest time of each segment.
    """
    weighed = weigh(table, policy)
    n_items = len(matrix.item_ids)
    segment_of = _spread(table, "customer_id", matrix.customer_ids, segments)
    item_of = _spread(table, "item_id", matrix.item_ids, np.arange(n_items))
    popularity = np.zeros((n_segments, n_items), dtype=np.float32)
    for segment in range(n_segments):
        is_inside = (segment_of == segment)[weighed.customers]
        moment = weighed.moment(as_of, is_inside)
        sums = GroupSums(n_items)
        for take in (sums.expect, sums.add):
            for rows in rows_where(weighed.counts & is_inside):
                take(item_of[weighed.items[rows]], weighed.recency(rows, moment))
        popularity[segment] = sums.totals()
    return popularity


def _spread(table: InteractionTable, column: str, ids: tuple[str, ...], values: _Numbers) -> _Rows:
    """The value of each of the ids, by code of a category, -1 for a code of no such id: (n_codes,)."""
    codes = pl.Series(ids, dtype=pl.String).cast(table.compact.schema[column]).to_physical().to_numpy()
    highest = max(int(codes.max(initial=0)), int(table.codes(column).max(initial=0)))
    spread = np.full(highest + 1, -1, np.int64)
    spread[codes] = values
    return spread


def _count_codes(weighed: Weighed) -> tuple[_Rows, _Rows]:
    """How many interactions count, by code of the customer and by code of the item."""
    customers, items = (np.zeros(_n_codes(codes), np.int64) for codes in (weighed.customers, weighed.items))
    for rows in weighed.counted():
        customers += np.bincount(weighed.customers[rows], minlength=len(customers))
        items += np.bincount(weighed.items[rows], minlength=len(items))
    return customers, items


def _n_codes(codes: Codes) -> int:
    return int(codes.max()) + 1 if len(codes) else 0


def _popularity(weighed: Weighed, items: _Axis, moment: int) -> FloatArray:
    sums = GroupSums(len(items.ids))
    for take in (sums.expect, sums.add):
        for rows in weighed.counted():
            take(items.rows[weighed.items[rows]], weighed.recency(rows, moment))
    return sums.totals().astype(np.float32)


def _strengths(
    weighed: Weighed, customers: _Axis, items: _Axis, moment: int, n_by_customer: _Rows
) -> csr_matrix:
    n_total = int(n_by_customer.sum())
    shape = (len(customers.ids), len(items.ids))
    columns, strengths = np.empty(n_total, np.int32), np.empty(n_total, np.float32)
    starts = np.zeros(shape[0] + 1, np.int32)
    end = 0
    bounds = _blocks(n_by_customer, customers)
    blocks = _block_of_each(weighed, customers, bounds)
    for number, (first, last) in enumerate(pairwise(bounds)):
        rows = np.flatnonzero(blocks == number)
        places = customers.rows[weighed.customers[rows]] - np.int32(first)
        block = _sum_pairs(
            places, items.rows[weighed.items[rows]], weighed.weights(rows, moment), (last - first, shape[1])
        )
        columns[end : end + block.nnz], strengths[end : end + block.nnz] = block.indices, block.data
        starts[first + 1 : last + 1] = end + block.indptr[1:]
        end += block.nnz
    # In place, so that no second copy of them ever exists.
    columns.resize(end, refcheck=False)
    strengths.resize(end, refcheck=False)
    return csr_matrix((strengths, columns, starts), shape=shape)


def _blocks(n_by_customer: _Rows, customers: _Axis) -> list[int]:
    """Where blocks of customer rows begin and the last ends, each with about `_BLOCK_ROWS` interactions."""
    has_row = customers.rows >= 0
    n_by_row = np.zeros(len(customers.ids), np.int64)
    n_by_row[customers.rows[has_row]] = n_by_customer[has_row]
    until = np.cumsum(n_by_row)
    n_total = int(n_by_row.sum())
    size = max(_BLOCK_ROWS, n_total // _MAX_BLOCKS)
    inner = np.searchsorted(until, np.arange(size, n_total, size)) + 1
    return [int(bound) for bound in np.unique([0, *inner, len(until)])]


def _block_of_each(weighed: Weighed, customers: _Axis, bounds: list[int]) -> npt.NDArray[np.int8]:
    """The number of the block that each interaction belongs to, -1 where it does not count: (n_rows,)."""
    numbers = np.repeat(np.arange(len(bounds) - 1, dtype=np.int8), np.diff(bounds))
    number_by_code = np.full(len(customers.rows), -1, np.int8)
    has_row = customers.rows >= 0
    number_by_code[has_row] = numbers[customers.rows[has_row]]
    blocks = np.full(len(weighed.counts), -1, np.int8)
    for rows in weighed.counted():
        blocks[rows] = number_by_code[weighed.customers[rows]]
    return blocks


def _sum_pairs(customers: _Ints, items: _Ints, weights: Floats, shape: tuple[int, int]) -> csr_matrix:
    """The sum of weights of each pair: (n_customers, n_items) float32."""
    n = len(weights)
    # To turn a sparse matrix is to sort by counting: by item first, then by customer, which keeps the items.
    by_item = csr_matrix((customers, items, np.arange(n + 1, dtype=np.int32)), shape=(n, shape[1])).tocsc()
    turned = csr_matrix((by_item.indices, by_item.data, by_item.indptr), shape=shape[::-1])
    del by_item
    ordered = turned.tocsc()
    del turned
    is_first = np.empty(n, np.bool_)
    is_first[1:] = ordered.indices[1:] != ordered.indices[:-1]
    is_first[ordered.indptr[:-1]] = True
    n_pairs = np.concatenate([[0], np.cumsum(is_first)])
    sums = sum_by(n_pairs[1:] - 1, weights[ordered.data], int(n_pairs[-1]))
    return csr_matrix(
        (sums.astype(np.float32), ordered.indices[is_first], n_pairs[ordered.indptr].astype(np.int32)),
        shape=shape,
    )


def _refused(weighed: Weighed, customers: _Axis, items: _Axis) -> csr_matrix:
    """The refused pairs of known customers and items as a matrix of booleans: (n_customers, n_items)."""
    rows, columns = customers.rows[weighed.refused[:, 0]], items.rows[weighed.refused[:, 1]]
    is_known = (rows >= 0) & (columns >= 0)
    rows, columns = rows[is_known], columns[is_known]
    order = np.lexsort((columns, rows))
    ones = np.ones(len(rows), dtype=np.bool_)
    return csr_matrix((ones, (rows[order], columns[order])), shape=(len(customers.ids), len(items.ids)))
