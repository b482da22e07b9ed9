"""Bundles that never were files, with a manifest of what scoring asks for; an engine that stands still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.id_table import id_arrays
from recsvc.bundles.item_pages import item_arrays
from recsvc.bundles.manifest import DataWindow, Manifest, PartFacts, RowCounts
from recsvc.domain.items import Item
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.customers import Subject
from recsvc.serving.verification import Model


@dataclass
class Standing:
    """A catalogue and a customer that never change."""

    model: Model
    view: CatalogueView
    subject: Subject
    is_stale: bool = False

    def model_and_view(self, version: str | None = None) -> tuple[Model, CatalogueView]:
        return self.model, self.view

    def read(self, customer_id: str, **facts: Any) -> Subject:
        return self.subject


def bundle_of(parts: tuple[PartFacts, ...], arrays: Mapping[str, NDArray[Any]]) -> Bundle:
    manifest = Manifest(
        version="20260301T093000Z-made-000000",
        parts=parts,
        strength_scale=1.0,
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        seed=1,
        data_window=DataWindow(None, None),
        rows=RowCounts(0, len(arrays["popularity"]), 0, 0),
        policy_version="p1",
        categories=(),
        segments=(),
        channels=(),
        libraries={},
        metrics={},
        holdout="",
        arrays={},
        golden_queries=(),
    )
    return Bundle(Path("nowhere"), manifest, arrays, {})


def bundle_of_items(items: Sequence[Item], n_rows: int | None = None) -> Bundle:
    """Items that nobody met, with a row for the first of them: all, where `n_rows` is None."""
    ids = [item.item_id for item in items[:n_rows]]
    arrays = {
        **id_arrays("item_ids", ids),
        **item_arrays(items),
        "popularity": np.zeros(len(ids), dtype=np.float32),
    }
    return bundle_of((), arrays)


def history_of(strengths: Mapping[int, float], n_items: int) -> History:
    """A history of whatever rows were drawn, taken modulo the number of items."""
    rows = dict(sorted((row % n_items, strength) for row, strength in strengths.items()))
    return History(np.array(list(rows), dtype=np.int32), np.array(list(rows.values()), dtype=np.float32))


def blend_of_many_items(n_items: int, *, n_proposals: int, seed: int = 7) -> Bundle:
    """ALS, spectral, co-occurrence and popularity over drawn factors of a planted taste, with proposals.

    Items of one taste propose each other: `n_proposals` each. Tastes are n_items / n_proposals in number.
    """
    rng = np.random.default_rng(seed)
    taste = np.arange(n_items) // (n_proposals + 1)
    directions = rng.normal(size=(taste[-1] + 1, 16)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    als, spectral = (
        (directions[taste] + 0.1 * rng.normal(size=(n_items, 16))).astype(np.float32) for _ in range(2)
    )
    steps = np.arange(1, n_proposals + 1)
    first = taste * (n_proposals + 1)
    proposed = first[:, None] + (np.arange(n_items) - first)[:, None] + steps
    proposed = first[:, None] + (proposed - first[:, None]) % (n_proposals + 1)
    proposed = np.where(proposed < n_items, proposed, -1).astype(np.int32)
    scores = np.where(proposed >= 0, rng.uniform(0.1, 1, size=proposed.shape), 0).astype(np.float32)
    ids = [f"i{row:06}" for row in range(n_items)]
    parts = (
        PartFacts("spectral", 0.4, {}),
        PartFacts("als", 0.3, {"confidence": 20.0, "regularization": 3.0}),
        PartFacts("cooccurrence", 0.2, {}),
        PartFacts("popularity", 0.1, {}),
    )
    return bundle_of(
        parts,
        {
            **id_arrays("item_ids", ids),
            **item_arrays([Item(one) for one in ids]),
            "popularity": rng.pareto(2, size=n_items).astype(np.float32),
            "als_item_factors": als,
            "als_gram": als.T @ als + 3 * np.eye(16, dtype=np.float32),
            "spectral_item_factors": spectral,
            "spectral_fold_in": rng.uniform(0.5, 2, size=n_items).astype(np.float32),
            "spectral_gram": spectral.T @ spectral,
            "cooccurrence_items": proposed,
            "cooccurrence_scores": scores,
            "proposal_items": proposed,
            "proposal_scores": scores,
        },
    )
