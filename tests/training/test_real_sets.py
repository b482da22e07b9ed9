"""Published figures on real public data. The files are not part of the project."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsvc.history.interactions import InteractionTable
from recsvc.history.mapping import load_mapping
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.history.readers import read_interactions
from recsvc.training.evaluation import Evaluation, HeldOut, evaluate
from recsvc.training.families import Als, Neighbours, Popularity
from recsvc.training.families.base import Family, training_data
from recsvc.training.holdout import held_out_from, split
from tests.training.examples import POLICY

MAPPINGS = Path(__file__).parents[2] / "scripts" / "mappings"
N_SAMPLED = 4000


def read(real_data: Path, name: str, file: str, rejects: Path) -> InteractionTable:
    return read_interactions(
        [real_data / file],
        load_mapping(MAPPINGS / f"{name}.toml"),
        POLICY,
        rejects_path=rejects,
        as_of=datetime(2026, 11, 22, tzinfo=UTC),
    ).table


Gowalla = tuple[InteractionTable, InteractionTable]


@pytest.fixture(scope="module")
def gowalla(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Gowalla:
    rejects = tmp_path_factory.mktemp("rejects") / "rejects.jsonl"
    train, test = (
        read(real_data, "gowalla", f"gowalla/{part}.parquet", rejects) for part in ("train", "test")
    )
    return train, test


def parts_of(gowalla: Gowalla) -> tuple[InteractionMatrix, HeldOut]:
    train, test = (build_matrix(table, POLICY, as_of=None) for table in gowalla)
    held_out = held_out_from(train, test, "the published test file")
    assert held_out
    return train, held_out


def score_of(family: Family, train: InteractionMatrix, held_out: HeldOut) -> Evaluation:
    data = training_data(train)
    fitted = family.fit(data, seed=1)
    rng = np.random.default_rng(1)
    return evaluate(fitted, data, held_out, item_categories=None, rng=rng, cutoffs=(20,))


def test_popularity_scores_on_gowalla_what_is_published(gowalla: Gowalla) -> None:
    train, held_out = parts_of(gowalla)
    assert held_out.n_customers == 29_858 and held_out.n_relevant.sum() == 217_242
    found = score_of(Popularity(), train, held_out)
    assert found.accuracy["recall@20"].value == pytest.approx(0.041631, abs=5e-7)
    assert found.primary.value == pytest.approx(0.03169, abs=5e-6)


def test_als_and_neighbours_are_well_above_popularity_on_a_sample_of_gowalla(gowalla: Gowalla) -> None:
    ids = sorted(gowalla[0].frame["customer_id"].unique())[::7][:N_SAMPLED]
    train, test = (table.of_customers(ids) for table in gowalla)
    busy = train.frame.group_by("item_id").len().filter(pl.col("len") >= 5)["item_id"]
    sampled = (
        InteractionTable.from_frame(table.frame.filter(pl.col("item_id").is_in(busy.implode())))
        for table in (train, test)
    )
    matrix, held_out = parts_of(tuple(sampled))  # type: ignore[arg-type]
    popular, near, als = (
        score_of(family, matrix, held_out).primary for family in (Popularity(), Neighbours(), Als())
    )
    assert als.low > 2 * popular.high and near.low > 1.5 * popular.high


@pytest.mark.parametrize(
    ("name", "file", "is_by_time"),
    [
        ("deskdrop", "deskdrop/dev_lt_2017-02-01.parquet", True),
        ("starbucks", "starbucks/dev_events_lt504h.parquet", True),
        ("movielens", "movielens-small/ratings.parquet", False),  # 22 customers came back in the end.
    ],
)
def test_real_sets_are_split_so_that_many_customers_judge(
    name: str, file: str, is_by_time: bool, real_data: Path, tmp_path: Path
) -> None:
    table = read(real_data, name, file, tmp_path / "rejects.jsonl")
    parts = split(table, POLICY, seed=1)
    assert parts.is_by_time == is_by_time
    assert parts.held_out and parts.held_out.n_customers > 600
