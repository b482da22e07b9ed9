"""Training and evaluating, from every kind of file and from the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.examples import Run, a_history, write_rows

KINDS = ["events.csv", "events.csv.gz", "events.jsonl", "events.jsonl.gz", "events.parquet"]


@pytest.mark.parametrize("name", KINDS)
def test_a_history_of_any_kind_of_file_becomes_the_champion(name: str, home: Path, recsvc: Run) -> None:
    report = recsvc("train", "--events", write_rows(home / name, a_history()), "--json").report
    assert (home / "models" / report["version"] / "manifest.json").is_file()
    assert report["promoted"] is True
    assert report["chosen"] in report["families"]
    assert {"recall@20", "ndcg@20", "intervals", "seconds"} <= set(report["families"]["popularity"])
    assert report["rejects"] == {"count": 0, "path": None, "reasons": {}}
    assert report["seconds"].keys() >= {"read", "select", "fit", "publish"}
    assert recsvc("models", "list", "--json").report["champion"] == report["version"]
