"""What a run learns from. In: a history, items, customers. Out: a matrix of those who agreed to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.bundles.manifest import DataWindow, RowCounts
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.errors import TrainingError
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.history.times import EPOCH
from recsvc.policy import Policy
from recsvc.training.bundling import category_rows, complete_catalogue
from recsvc.training.goals import recounted

MIN_CUSTOMERS = 2
MIN_ITEMS = 2


@dataclass(frozen=True, slots=True)
class Source:
    """What there is to train on. `kind` is taken for items of which nothing but the id is known."""

    table: InteractionTable
    items: Sequence[Item] = ()
    customers: Sequence[Customer] = ()
    kind: ItemKind = ItemKind.CONTENT


@dataclass(frozen=True, slots=True)
class Material:
    """The part of a source that may be learned from. `categories` are those of its items, in order.

    `kind` is that of all items with interactions; content where there are several kinds.
    """

    source: Source
    table: InteractionTable
    kind: ItemKind
    matrix: InteractionMatrix
    window: DataWindow
    categories: tuple[str, ...]

    @property
    def rows(self) -> RowCounts:
        """How much there is of everything."""
        return RowCounts(
            customers=len(self.matrix.customer_ids),
            items=len(self.matrix.item_ids),
            interactions=len(self.table),
            pairs=int(self.matrix.strengths.nnz),
        )

    def catalogue(self, item_ids: Sequence[str]) -> tuple[Item, ...]:
        """An item for each of the ids, then those that are not among them."""
        return complete_catalogue(item_ids, self.source.items, self.source.kind)

    def categories_of(self, matrix: InteractionMatrix) -> NDArray[np.int64] | None:
        """The row of each item's category, -1 for none: (n_items,). None where no item has one."""
        return category_rows(self.catalogue(matrix.item_ids), self.categories) if self.categories else None


def gather(source: Source, policy: Policy) -> Material:
    """Leave out who did not agree to be learned from, and weigh the rest into a matrix.

    Raises:
        TrainingError: there is too little to learn from.
    """
    table = _with_consent(source, policy)
    matrix = build_matrix(table, policy, as_of=None)
    _demand_enough(matrix)
    kind = _kind_of(matrix, source)
    matrix = recounted(matrix, kind, table, policy, as_of=None)
    categories = tuple(sorted({item.category for item in source.items if item.category}))
    return Material(source, table, kind, matrix, _window(table), categories)


def _kind_of(matrix: InteractionMatrix, source: Source) -> ItemKind:
    known = {item.item_id: item.kind for item in source.items}
    kinds = {known.get(item_id, source.kind) for item_id in matrix.item_ids}
    return kinds.pop() if len(kinds) == 1 else ItemKind.CONTENT


def _with_consent(source: Source, policy: Policy) -> InteractionTable:
    """The history of who agreed to personalisation; whoever was never asked, as the policy says."""
    asked = {c.customer_id: c.consents.personalisation for c in source.customers if c.consents}
    if not policy.consent_without_record.personalisation:
        return source.table.of_customers([one for one, agreed in asked.items() if agreed])
    refused = [one for one, agreed in asked.items() if not agreed]
    return source.table.without_customers(refused) if refused else source.table


def _demand_enough(matrix: InteractionMatrix) -> None:
    n_customers, n_items = matrix.strengths.shape
    if n_customers < MIN_CUSTOMERS or n_items < MIN_ITEMS:
        raise TrainingError(
            f"there is too little to learn from: {n_customers} customers and {n_items} items with a positive "
            f"interaction, at least {MIN_CUSTOMERS} and {MIN_ITEMS} are needed; give more events, or check "
            "the types in the mapping"
        )


def _window(table: InteractionTable) -> DataWindow:
    if not table.has_times:
        return DataWindow(None, None)
    # As numbers: polars would look the zone up in the system's time zone files, which may be absent.
    micros = pl.col("occurred_at").dt.epoch("us")
    bounds = table.compact.select(since=micros.min(), until=micros.max()).row(0)
    since, until = (EPOCH + timedelta(microseconds=bound) for bound in bounds)
    return DataWindow(since, until)
