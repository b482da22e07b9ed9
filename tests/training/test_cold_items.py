"""Items that nobody took yet, on real data: the figure that is asked for, and that it is no accident."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from recsvc.domain.items import Item
from recsvc.history.catalogue import read_items
from recsvc.history.interactions import InteractionTable
from recsvc.history.mapping import load_mapping
from recsvc.history.matrix import InteractionMatrix
from recsvc.history.readers import read_interactions
from recsvc.training.blending import Recipe
from recsvc.training.cold_items import evaluate_cold_items
from recsvc.training.families.als import Als
from recsvc.training.families.spectral import Spectral
from tests.training.examples import POLICY

MAPPINGS = Path(__file__).parents[2] / "scripts" / "mappings"
Films = tuple[InteractionMatrix, tuple[Item, ...]]


@pytest.fixture(scope="module")
def films(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Films:
    """Who rated which film, whatever the rating; and the films, by row."""
    rejects = tmp_path_factory.mktemp("rejects") / "rejects.jsonl"
    mapping = load_mapping(MAPPINGS / "movielens.toml")
    folder, now = real_data / "movielens-small", datetime(2026, 11, 22, tzinfo=UTC)
    table = read_interactions(
        [folder / "ratings.parquet"], mapping, POLICY, rejects_path=rejects, as_of=now
    ).table
    matrix = pairs_of(table)
    items, _ = read_items(folder / "movies.csv", mapping, rejects_path=rejects)
    by_id = {item.item_id: item for item in items}
    return matrix, tuple(by_id[item_id] for item_id in matrix.item_ids)


def pairs_of(table: InteractionTable) -> InteractionMatrix:
    """A pair of who rated and what, whatever the rating and whenever."""
    pairs = table.frame.select(pl.col("customer_id", "item_id").cast(pl.String)).unique()
    customer_ids, customers = np.unique(pairs["customer_id"].to_numpy().astype(str), return_inverse=True)
    item_ids, items = np.unique(pairs["item_id"].to_numpy().astype(str), return_inverse=True)
    shape = (len(customer_ids), len(item_ids))
    strengths = csr_matrix((np.ones(len(pairs), dtype=np.float32), (customers, items)), shape=shape)
    popularity = np.bincount(items).astype(np.float32)
    refused = csr_matrix(shape, dtype=np.bool_)
    return InteractionMatrix(tuple(customer_ids), tuple(item_ids), strengths, popularity, refused)


@pytest.mark.parametrize("family", [Als(), Spectral()], ids=["als", "spectral"])
def test_withheld_films_are_placed_by_what_they_are(family: Als | Spectral, films: Films) -> None:
    matrix, items = films
    report = evaluate_cold_items(matrix, items, Recipe(((family, 1.0),)))
    assert report.mean >= 0.17 and min(report.n_customers) > 500


def test_films_that_are_taken_for_others_are_placed_badly(films: Films) -> None:
    matrix, items = films
    mixed_up = [items[row] for row in np.random.default_rng(1).permutation(len(items))]
    report = evaluate_cold_items(matrix, mixed_up, Recipe(((Als(), 1.0),)), seeds=(1,))
    assert report.mean < 0.1
