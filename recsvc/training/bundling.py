"""From what was fitted to what is published. In: a model and its history. Out: arrays and facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc import __version__
from recsvc.bundles.id_table import id_arrays
from recsvc.bundles.manifest import GoldenQuery
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemKind
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix, popularity_by_segment
from recsvc.policy import Policy
from recsvc.training.blending import Model
from recsvc.training.families.base import TrainingData

N_GOLDEN_QUERIES = 5
N_GOLDEN_ITEMS = 10
LIBRARIES = ("implicit", "numpy", "scipy", "scikit-learn", "polars")

AnyArray = NDArray[Any]


def model_arrays(matrix: InteractionMatrix, data: TrainingData, model: Model) -> Mapping[str, AnyArray]:
    """Ids, histories, popularity, and the arrays of the model's parts."""
    return {
        **id_arrays("item_ids", matrix.item_ids),
        **id_arrays("customer_ids", matrix.customer_ids),
        "history_offsets": data.strengths.indptr.astype(np.int64),
        "history_items": data.strengths.indices.astype(np.int32),
        "history_strengths": data.strengths.data.astype(np.float32),
        "refused_offsets": matrix.refused.indptr.astype(np.int64),
        "refused_items": matrix.refused.indices.astype(np.int32),
        "popularity": data.popularity.astype(np.float32),
        **model.arrays(),
    }


def complete_catalogue(item_ids: Sequence[str], items: Sequence[Item], kind: ItemKind) -> tuple[Item, ...]:
    """An item for every row, bare where nothing but the id is known; then the items without a row."""
    known = {item.item_id: item for item in items}
    with_row = tuple(known.get(item_id) or Item(item_id, kind) for item_id in item_ids)
    rowless = sorted(known.keys() - set(item_ids))
    return with_row + tuple(known[item_id] for item_id in rowless)


def category_rows(catalogue: Sequence[Item], categories: Sequence[str]) -> NDArray[np.int64]:
    """The row of each item's category, -1 for none: (n_items,)."""
    rows = {category: row for row, category in enumerate(categories)}
    return np.array([rows.get(item.category or "", -1) for item in catalogue], dtype=np.int64)


def segment_rows(
    customer_ids: Sequence[str],
    customers: Sequence[Customer],
    policy: Policy,
    fields: Sequence[Mapping[str, object]] | None = None,
) -> NDArray[np.int16]:
    """The row of each customer's segment, in the order of the policy: (n_customers,).

    `fields` are the profile fields of each of the `customer_ids`; None: no profile is known.
    """
    rows = {rule.name: row for row, rule in enumerate(policy.segments)}
    attributes = {one.customer_id: one.attributes for one in customers}
    known = zip(customer_ids, fields or [{}] * len(customer_ids), strict=True)
    return np.array(
        [rows[policy.segment_of(attributes.get(one, {}), profile)] for one, profile in known], dtype=np.int16
    )


def segment_popularity(
    table: InteractionTable,
    matrix: InteractionMatrix,
    segments: NDArray[np.int16],
    policy: Policy,
    as_of: datetime | None,
) -> NDArray[np.float32]:
    """Popularity within each segment, counted as overall: (n_segments, n_items)."""
    return popularity_by_segment(table, matrix, segments, len(policy.segments), policy, as_of=as_of)


def golden_queries(matrix: InteractionMatrix, data: TrainingData, model: Model) -> tuple[GoldenQuery, ...]:
    """What the model answers to histories of popular items: nobody's own, so nothing personal."""
    by_count = np.argsort(-data.customer_counts, kind="stable")
    n_queries = min(N_GOLDEN_QUERIES, len(by_count))
    histories = [by_count[first : first + 1 + first % 3] for first in range(n_queries)]
    return tuple(_golden_query(np.sort(history), matrix, model) for history in histories)


def library_versions() -> Mapping[str, str]:
    """The versions of what shaped the numbers."""
    return {"recsvc": __version__, **{name: version(name) for name in LIBRARIES}}


def _golden_query(history: NDArray[np.int64], matrix: InteractionMatrix, model: Model) -> GoldenQuery:
    n_items = len(matrix.item_ids)
    ones = np.ones(len(history), dtype=np.float32)
    scores = model.score(csr_matrix((ones, (np.zeros_like(history), history)), shape=(1, n_items)))[0].copy()
    scores[history] = -np.inf
    best = [row for row in np.argsort(-scores, kind="stable")[:N_GOLDEN_ITEMS] if np.isfinite(scores[row])]
    return GoldenQuery(
        history=tuple(matrix.item_ids[row] for row in history),
        best=tuple(matrix.item_ids[row] for row in best),
        scores=tuple(float(scores[row]) for row in best),
    )
