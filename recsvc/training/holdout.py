"""What is held out to judge by. In: a history. Out: a part to learn from, a part to be judged on.

With times, the last tenth of the history is the test, as it will be in service. Without times, or where
too few customers took anything new in that tenth, a fifth of every customer's items is, which ranks the
families as a real test does; a share of all interactions at random does not. Items that may be had again
(`goals`) are held out by time where they were taken up, whether the customer had them before or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.domain.items import ItemKind
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.history.times import EPOCH
from recsvc.policy import Policy
from recsvc.training.chance import lots, seeds_of
from recsvc.training.evaluation import HeldOut
from recsvc.training.goals import GOAL_STRENGTH, goals_of, may_repeat, recounted

TEST_SHARE_OF_TIME = 0.1
TEST_SHARE_OF_ITEMS = 0.2
MIN_CUSTOMERS = 20  # Fewer cannot tell one family from another.
MIN_CUSTOMERS_BY_TIME = 100  # Fewer came back: everybody's own items tell more, though not of a later time.


@dataclass(frozen=True, slots=True)
class Split:
    """A matrix to learn from, and what it is judged on; None when too few customers are left.

    `cut` is the moment from which on everything is held out; None where the two are not parted by time.
    """

    train: InteractionMatrix
    held_out: HeldOut | None
    cut: datetime | None

    @property
    def is_by_time(self) -> bool:
        """Whether what is held out came after what is learned from."""
        return self.cut is not None


def split(table: InteractionTable, policy: Policy, kind: ItemKind = ItemKind.CONTENT, *, seed: int) -> Split:
    """Hold out by time where that leaves enough customers to judge by, else by customer.

    Args:
        kind: what the items are; the policy says whether such may be had again.
    """
    by_time = _split_by_time(table, policy, kind) if table.has_times else None
    if by_time and by_time.held_out:
        return by_time
    return _split_by_customer(build_matrix(table, policy, as_of=None), seed)


def held_out_later(
    train: InteractionMatrix,
    later: InteractionTable,
    policy: Policy,
    kind: ItemKind,
    when: str,
    *,
    min_customers: int = MIN_CUSTOMERS,
) -> HeldOut | None:
    """What the customers of `train` are to find of what came `later`; None for too few customers.

    Where items of the kind may be had again, that is what they took up, or where too few took up anything,
    all that they took; else what they took for the first time. `when` ends the description.
    """
    whole = build_matrix(later, policy, as_of=None)
    if not may_repeat(kind, policy):
        first = held_out_from(train, whole, f"first-time interactions {when}")
        return first if first and first.n_customers >= min_customers else None
    goals = build_matrix(goals_of(later, policy), policy, as_of=None)
    for test, what in (
        (goals, f"interactions of strength {GOAL_STRENGTH:g} or more"),
        (whole, "interactions"),
    ):
        description = f"{what}, first-time or not, nothing masked, {when}"
        customers, items = _known_pairs(train, test)
        held_out = _held_out(train, customers, items, description)
        if held_out and held_out.n_customers >= min_customers:
            return replace(held_out, may_repeat=True)
    return None


def held_out_from(train: InteractionMatrix, test: InteractionMatrix, description: str) -> HeldOut | None:
    """What the customers of `train` took for the first time in `test`; None for too few of them.

    Items that `train` does not know stay in the count of what could have been found.
    """
    customers, items = _known_pairs(train, test)
    is_first = (items < 0) | ~_contains(train.strengths, customers, np.maximum(items, 0))
    return _held_out(train, customers[is_first], items[is_first], description)


def _known_pairs(
    train: InteractionMatrix, test: InteractionMatrix
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows in `train` of whoever it knows and of what they took, -1 for an item that it does not know."""
    item_rows = rows_in(train.item_ids, test.item_ids)
    customer_rows = rows_in(train.customer_ids, test.customer_ids)
    pairs = test.strengths.tocoo()
    customers, items = customer_rows[pairs.row], item_rows[pairs.col]
    is_known = customers >= 0
    return customers[is_known], items[is_known]


def _held_out(
    train: InteractionMatrix, customers: NDArray[np.int64], items: NDArray[np.int64], description: str
) -> HeldOut | None:
    judged, n_relevant = np.unique(customers, return_counts=True)
    if len(judged) < MIN_CUSTOMERS:
        return None
    findable = items >= 0
    relevant = csr_matrix(
        (
            np.ones(int(findable.sum()), dtype=np.float32),
            (np.searchsorted(judged, customers[findable]), items[findable]),
        ),
        shape=(len(judged), len(train.item_ids)),
    )
    return HeldOut(judged, relevant, n_relevant, description)


def _split_by_time(table: InteractionTable, policy: Policy, kind: ItemKind) -> Split | None:
    # As a number: polars would look the zone up in the system's time zone files, which may be absent.
    micros = table.compact["occurred_at"].dt.epoch("us").quantile(1 - TEST_SHARE_OF_TIME, "lower")
    assert micros is not None  # A table with times has a first and a last one.
    cut = EPOCH + timedelta(microseconds=int(micros))
    before, after = table.between(None, cut), table.between(cut, None)
    train = build_matrix(before, policy, as_of=cut)
    if not train.strengths.nnz:
        return None
    train = recounted(train, kind, before, policy, as_of=cut)
    when = f"from {cut:%Y-%m-%d %H:%M} on"
    held_out = held_out_later(train, after, policy, kind, when, min_customers=MIN_CUSTOMERS_BY_TIME)
    return Split(train, held_out, cut)


def _split_by_customer(matrix: InteractionMatrix, seed: int) -> Split:
    pairs = matrix.strengths
    n_items = np.diff(pairs.indptr)
    customers = np.repeat(np.arange(len(n_items)), n_items)
    n_held = np.floor(n_items * TEST_SHARE_OF_ITEMS).astype(np.int64)
    of_customers, of_items = seeds_of(pairs)
    lottery = lots(of_customers[customers], of_items[pairs.indices], seed=seed)
    order = np.lexsort((lottery, customers))
    place = np.arange(len(order)) - np.repeat(pairs.indptr[:-1], n_items)
    is_test = np.zeros(len(order), dtype=bool)
    is_test[order] = place < np.repeat(n_held, n_items)
    train = _with_pairs(matrix, ~is_test)
    description = f"{TEST_SHARE_OF_ITEMS:.0%} of every customer's items, drawn at random"
    held_out = held_out_from(train, _with_pairs(matrix, is_test), description)
    return Split(train, held_out, cut=None)


def _with_pairs(matrix: InteractionMatrix, kept: NDArray[np.bool_]) -> InteractionMatrix:
    """The matrix with some of its pairs only; popularity is counted anew from those."""
    pairs = matrix.strengths.tocoo()
    strengths = csr_matrix(
        (pairs.data[kept], (pairs.row[kept], pairs.col[kept])), shape=matrix.strengths.shape
    )
    popularity = np.bincount(pairs.col[kept], minlength=len(matrix.item_ids)).astype(np.float32)
    return replace(matrix, strengths=strengths, popularity=popularity)


def rows_in(ids: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int64]:
    """The row of each wanted id; -1 for one that is not there."""
    rows = {identifier: row for row, identifier in enumerate(ids)}
    return np.fromiter((rows.get(one, -1) for one in wanted), dtype=np.int64, count=len(wanted))


def _contains(matrix: csr_matrix, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each (row, column) is an entry of the matrix, all of whose entries are above 0."""
    return np.asarray(matrix[rows, columns] > 0).ravel() if len(rows) else np.zeros(0, dtype=np.bool_)
