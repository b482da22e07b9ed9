"""The shipped mappings on real public sets: trained from the files, served under the files' own ids."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import polars as pl

from tests.end_to_end.conftest import Serve, bare_environment
from tests.end_to_end.service import RECSVC, ask

MAPPINGS = Path(__file__).parents[2] / "scripts" / "mappings"


def settings(tmp_path: Path) -> dict[str, str]:
    return {"RECSVC_DATA_DIR": str(tmp_path / "data"), "RECSVC_MODELS_DIR": str(tmp_path / "models")}


def run(tmp_path: Path, *words: object) -> Any:
    """What a command reports."""
    ran = subprocess.run(
        [*RECSVC, *map(str, words), "--json"],
        env=bare_environment(**settings(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_deskdrop_is_trained_on_and_served(real_data: Path, tmp_path: Path, serve: Serve) -> None:
    events = real_data / "deskdrop" / "dev_lt_2017-02-01.parquet"
    report = run(tmp_path, "train", "--events", events, "--mapping", MAPPINGS / "deskdrop.toml")
    assert report["rejects"]["count"] == 0
    assert report["families"].keys() >= {"popularity", "neighbours", "als"}
    _, port = serve("--workers", 1, **settings(tmp_path))
    key = run(tmp_path, "keys", "create", "--role", "frontend")["key"]
    ids = pl.read_parquet(events, columns=["personId", "contentId"]).cast(pl.String)
    customers = ids["personId"].value_counts(sort=True)["personId"]
    signed = [customer for customer in customers if customer.startswith("-")][:3]
    known = set(ids["contentId"])
    for customer in [*signed, *customers.head(3)]:
        answer = ask(port, f"/v1/customers/{customer}/recommendations/content", key)
        assert answer.status == 200
        assert answer.json["customer_id"] == customer
        assert answer.json["source"] == "personalised"
        assert len(answer.json["items"]) == 10
        assert {item["item_id"] for item in answer.json["items"]} <= known


def test_starbucks_is_trained_on_with_its_offers_and_customers_and_served(
    real_data: Path, tmp_path: Path, serve: Serve
) -> None:
    """By what every fourth customer did: that is enough to see the whole way, and a third of the time."""
    folder = real_data / "starbucks"
    events = tmp_path / "events.parquet"
    everything = pl.read_parquet(folder / "dev_events_lt504h.parquet")
    everything.filter(pl.col("customer_id").str.contains("^[0-3]")).write_parquet(events)
    files = {
        "--events": events,
        "--items": folder / "portfolio.json",
        "--customers": folder / "profile.parquet",
        "--mapping": MAPPINGS / "starbucks.toml",
    }
    words = [word for pair in files.items() for word in pair]
    report = run(tmp_path, "train", *words)
    assert report["rejects"]["count"] == 0
    assert report["rows"]["items"] == 10
    imported = run(tmp_path, "import", *words)["imported"]
    assert (imported["items"], imported["customers"]) == (10, 17_000)
    _, port = serve("--workers", 1, **settings(tmp_path))
    key = run(tmp_path, "keys", "create", "--role", "frontend")["key"]
    offers = {json.loads(line)["id"] for line in files["--items"].read_text().splitlines()}
    customers = pl.read_parquet(files["--events"], columns=["customer_id"])["customer_id"].unique().sort()
    for customer in customers.head(5):
        assert len(customer) == 32
        answer = ask(port, f"/v1/customers/{customer}/recommendations/offers?channel=email", key)
        assert answer.status == 200
        assert answer.json["customer_id"] == customer
        assert answer.json["items"]
        assert {item["item_id"] for item in answer.json["items"]} <= offers
