"""What items that may be had again are for. In: a history, the policy. Out: the part of it that tells.

An offer may be made again, and what counts is whether it is taken up: a look at it is only the way there. So
where items may be had again, that makes them popular, and that is what models are judged by.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from recsvc.domain.items import ItemKind
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.history.times import EPOCH
from recsvc.policy import Policy

GOAL_STRENGTH = 5.0
"""What an interaction type must say at least for its item to be taken up: as much as accepting it."""

_MIN_CUSTOMERS = 100  # Fewer took anything up: what they looked at tells more.


def may_repeat(kind: ItemKind, policy: Policy) -> bool:
    """Whether customers may be shown again what they had."""
    return policy.serving.repeat_offers if kind is ItemKind.OFFER else policy.serving.repeat_content


def goals_of(table: InteractionTable, policy: Policy) -> InteractionTable:
    """The interactions by which an item was taken up; and the refusals, which take that back."""
    types = policy.interaction_types.items()
    telling = [name for name, rule in types if rule.strength >= GOAL_STRENGTH or rule.strength < 0]
    is_telling = pl.col("type").cast(pl.String).is_in(telling) & pl.col("item_id").is_not_null()
    return InteractionTable(table.compact.filter(is_telling))


def counted_for(kind: ItemKind, table: InteractionTable, policy: Policy) -> InteractionTable:
    """The interactions that the popularity of items of this kind is counted from.

    Those by which items are taken up, where they may be had again and enough customers took any; else all.
    """
    if not may_repeat(kind, policy):
        return table
    goals = goals_of(table, policy)
    n_customers = len(build_matrix(goals, policy, as_of=None).customer_ids)
    return goals if n_customers >= _MIN_CUSTOMERS else table


def recounted(
    matrix: InteractionMatrix,
    kind: ItemKind,
    table: InteractionTable,
    policy: Policy,
    *,
    as_of: datetime | None,
) -> InteractionMatrix:
    """The matrix of a table, with the popularity that tells of items of this kind.

    `as_of` is as in `build_matrix`. What nobody took up has a popularity of 0.
    """
    counted = counted_for(kind, table, policy)
    if counted is table:
        return matrix
    goals = build_matrix(counted, policy, as_of=as_of or _latest(table))
    popularity = np.zeros(len(matrix.item_ids), dtype=np.float32)
    popularity[np.searchsorted(matrix.item_ids, goals.item_ids)] = goals.popularity  # Both are sorted.
    return replace(matrix, popularity=popularity)


def _latest(table: InteractionTable) -> datetime | None:
    # As a number: polars would look the zone up in the system's time zone files, which may be absent.
    micros = table.compact["occurred_at"].dt.epoch("us").max()
    return EPOCH + timedelta(microseconds=int(micros)) if micros is not None else None  # type: ignore[arg-type]
