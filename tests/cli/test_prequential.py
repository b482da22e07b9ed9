"""`recsvc evaluate --prequential-from`: a replay, what it reports and how it is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.examples import Run, a_history, some_items, write_rows

SINCE = f"{datetime.now(UTC) - timedelta(days=10):%Y-%m-%d}"


@pytest.fixture
def events(home: Path) -> Path:
    return write_rows(home / "events.parquet", a_history())


def test_a_replay_reports_the_blend_and_each_part(events: Path, recsvc: Run) -> None:
    words = ("evaluate", "--events", events, "--prequential-from", SINCE, "--json")
    report = recsvc(*words).report["prequential"]
    assert report["n"] > 100
    assert report["half_life_days"] < report["long_half_life_days"]
    for figures in (report, *report["parts"].values()):
        assert {"hit@10", "ndcg@10", "mrr", "intervals"} <= figures.keys()
    assert {"popularity", "neighbours"} <= report["parts"].keys()
    assert recsvc(*words).report["prequential"] == report


def test_a_replay_tells_a_person_on_standard_error(events: Path, recsvc: Run) -> None:
    outcome = recsvc("evaluate", "--events", events, "--prequential-from", SINCE)
    assert outcome.code == 0 and outcome.out == ""
    for word in ("blend", "neighbours", "ndcg@10", "half-lives"):
        assert word in outcome.err


def test_a_replay_reports_what_its_lists_show_and_their_diversity_where_items_have_categories(
    home: Path, events: Path, recsvc: Run
) -> None:
    words = ("evaluate", "--events", events, "--prequential-from", SINCE)
    bare = recsvc(*words, "--json").report["prequential"]
    assert 0 < bare["coverage@10"] <= 1 and 0 < bare["gini@10"] < 1 and bare["novelty@10"] > 0
    assert "intra_list_diversity@10" not in bare and bare["parts"]["taste"]["weight"] == 0
    items = write_rows(home / "items.jsonl", some_items())
    whole = recsvc(*words, "--items", items, "--json").report["prequential"]
    assert 0 < whole["intra_list_diversity@10"] < 1
    assert whole["parts"]["taste"]["hit@10"] > bare["parts"]["taste"]["hit@10"]
    assert recsvc(*words, "--items", items, "--json").report["prequential"] == whole
    told = {"without": recsvc(*words).err, "with": recsvc(*words, "--items", items).err}
    for text in told.values():
        (heading,) = (line for line in text.splitlines() if line.lstrip().startswith("part "))
        assert len(heading) <= 110
        assert heading.split()[-3:] == ["coverage", "gini", "novelty"] or heading.split()[-1] == "diversity"
    assert "diversity" not in told["without"]
    (blend,) = (line for line in told["with"].splitlines() if "→ blend" in line)
    assert blend.split()[-1] == f"{whole['intra_list_diversity@10']:.3f}"
    assert blend.split()[-4] == f"{whole['coverage@10']:.3f}"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--prequential-from", "2017-01-01"], "--events PATH"),
        (["--events", "e.csv"], "--prequential-from DATE"),
        (["--events", "e.csv", "--prequential-from", "January"], "2017-01-01"),
        (["--events", "e.csv", "--prequential-from", "2017-02-30"], "2017-01-01"),
        (
            ["--events", "e.csv", "--prequential-from", "2017-01-01", "--train", "t.csv"],
            "--train does not go",
        ),
        (["--events", "e.csv", "--prequential-from", "2017-01-01", "--test", "t.csv"], "--test does not go"),
        (
            ["--events", "e.csv", "--prequential-from", "2017-01-01", "--cutoffs", "5"],
            "--cutoffs does not go",
        ),
        (["--test", "t.csv"], "--train"),
    ],
)
def test_wrong_use_is_refused_in_a_sentence(words: list[str], says: str, recsvc: Run) -> None:
    outcome = recsvc("evaluate", *words)
    assert outcome.code == 2 and outcome.out == ""
    assert says in outcome.err and "Traceback" not in outcome.err


def test_events_without_times_are_refused_with_the_remedy(home: Path, recsvc: Run) -> None:
    rows = [{name: value for name, value in row.items() if name != "occurred_at"} for row in a_history()]
    mapping = home / "mapping.toml"
    mapping.write_text('[events.time]\nunit = "none"\n')
    path = write_rows(home / "timeless.parquet", rows)
    outcome = recsvc("evaluate", "--events", path, "--mapping", mapping, "--prequential-from", SINCE)
    assert outcome.code == 1
    assert "no times" in outcome.err and "occurred_at" in outcome.err and "--train" in outcome.err


def test_the_help_has_an_example_of_a_replay(recsvc: Run) -> None:
    assert "--prequential-from 2017-01-01" in recsvc("evaluate", "--help").out
