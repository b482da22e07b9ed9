"""The shipped mappings on the real public sets. The files are not part of the project."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from recsvc.domain.items import Channel, ItemKind
from recsvc.history.catalogue import read_customers, read_items
from recsvc.history.mapping import load_mapping
from recsvc.history.matrix import build_matrix
from recsvc.history.readers import History
from recsvc.policy import Policy
from tests.history.examples import MAPPINGS, Read

EVENTS = {
    "deskdrop": "deskdrop/dev_lt_2017-02-01.parquet",
    "starbucks": "starbucks/dev_events_lt504h.parquet",
    "gowalla": "gowalla/train.parquet",
    "movielens": "movielens-small/ratings.parquet",
}


def read_set(name: str, real_data: Path, read: Read) -> History:
    return read(real_data / EVENTS[name], mapping=load_mapping(MAPPINGS / f"{name}.toml"), limit=0.0)


@pytest.mark.parametrize(
    ("name", "n_rows", "n_duplicates", "n_types"),
    [
        ("deskdrop", 69_403, 2_284, 5),
        ("starbucks", 201_570, 145, 4),
        ("gowalla", 810_128, 0, 1),
        ("movielens", 100_004, 0, 3),
    ],
)
def test_a_real_set_is_read_without_a_reject(
    name: str, n_rows: int, n_duplicates: int, n_types: int, real_data: Path, read: Read
) -> None:
    history = read_set(name, real_data, read)
    report = history.report
    assert (report.n_rows, report.n_duplicates, report.n_rejected) == (n_rows, n_duplicates, 0)
    assert len(history.table) == n_rows - n_duplicates
    assert history.table.compact["type"].n_unique() == n_types
    assert history.table.has_times == (name != "gowalla")


def test_gowalla_is_the_matrix_of_the_published_split(real_data: Path, read: Read, policy: Policy) -> None:
    matrix = build_matrix(read_set("gowalla", real_data, read).table, policy, as_of=None)
    assert matrix.strengths.shape == (29_858, 40_981) and matrix.strengths.nnz == 810_128
    assert set(matrix.strengths.data) == {1.0}
    train = pl.read_parquet(real_data / EVENTS["gowalla"]).group_by("item").len()
    counts = {str(item): n for item, n in train.iter_rows()}
    assert matrix.popularity.tolist() == [counts[item_id] for item_id in matrix.item_ids]


def test_deskdrop_keeps_its_signed_64_bit_ids(real_data: Path, read: Read) -> None:
    frame = read_set("deskdrop", real_data, read).table.frame
    raw = pl.read_parquet(real_data / EVENTS["deskdrop"])
    assert set(frame["customer_id"]) == {str(number) for number in raw["personId"]}
    assert set(frame["item_id"]) == {str(number) for number in raw["contentId"]}


def test_starbucks_keeps_its_32_hex_ids_and_counts_hours(real_data: Path, read: Read) -> None:
    frame = read_set("starbucks", real_data, read).table.frame
    assert all(re.fullmatch("[0-9a-f]{32}", customer_id) for customer_id in frame["customer_id"].unique())
    assert frame["occurred_at"].min() == datetime(2018, 1, 1, tzinfo=UTC)
    transactions = frame.filter(pl.col("type") == "transaction")
    assert transactions["item_id"].null_count() == len(transactions) > 0
    assert transactions["value"].null_count() == 0


def test_starbucks_offers_and_customers_are_read(real_data: Path, tmp_path: Path) -> None:
    mapping = load_mapping(MAPPINGS / "starbucks.toml")
    rejects = tmp_path / "rejects.jsonl"
    offers, _ = read_items(real_data / "starbucks/portfolio.json", mapping, rejects_path=rejects)
    assert len(offers) == 10 and {offer.kind for offer in offers} == {ItemKind.OFFER}
    assert {channel for offer in offers for channel in offer.channels} == {
        Channel.WEB,
        Channel.EMAIL,
        Channel.MOBILE,
    }
    customers, _ = read_customers(real_data / "starbucks/profile.parquet", mapping, rejects_path=rejects)
    assert len(customers) == 17_000
    assert sum("age" not in customer.attributes for customer in customers) == 2_175


def test_movielens_films_are_read(real_data: Path, tmp_path: Path) -> None:
    mapping = load_mapping(MAPPINGS / "movielens.toml")
    films, report = read_items(
        real_data / "movielens-small/movies.csv", mapping, rejects_path=tmp_path / "rejects.jsonl"
    )
    assert report.n_rejected == 0 and films[0].title == {"en": "Toy Story (1995)"}
    assert films[0].tags == ("Adventure", "Animation", "Children", "Comedy", "Fantasy")
