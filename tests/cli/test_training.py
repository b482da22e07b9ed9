"""Training and evaluating, from every kind of file and from the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from recsvc.live.scoring import PARTS
from tests.cli.examples import Row, Run, a_history, some_items, write_rows

KINDS = ["events.csv", "events.csv.gz", "events.jsonl", "events.jsonl.gz", "events.parquet"]


@pytest.mark.parametrize("name", KINDS)
def test_a_history_of_any_kind_of_file_becomes_the_champion(name: str, home: Path, recsvc: Run) -> None:
    report = recsvc("train", "--events", write_rows(home / name, a_history()), "--json").report
    assert (home / "models" / report["version"] / "manifest.json").is_file()
    assert report["promoted"] is True
    assert report["families"].keys() >= {"popularity", "neighbours", "als"}
    assert report["chosen"] in report["families"]
    assert report["families"]["popularity"].keys() >= {"recall@20", "ndcg@20", "intervals", "seconds"}
    assert report["rejects"] == {"count": 0, "path": None, "reasons": {}}
    assert report["seconds"].keys() >= {"read", "select", "live", "fit", "publish"}
    assert recsvc("models", "list", "--json").report["champion"] == report["version"]


def a_history_of_news(n_customers: int = 60, n_days: int = 30) -> list[Row]:
    """Everybody reads what came out that day or the day before, the one sooner, the other later."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=n_days + 1)
    return [
        {
            "type": "view",
            "customer_id": f"c{customer}",
            "item_id": f"i{day - customer % 2}-{customer * (day + 3) % 5}",
            "occurred_at": (start + timedelta(days=day, minutes=customer * 7 % 60)).isoformat(),
        }
        for day in range(n_days)
        for customer in range(n_customers)
    ]


def test_a_training_tells_what_live_parts_count_and_so_does_the_shelf(home: Path, recsvc: Run) -> None:
    events = write_rows(home / "events.csv", a_history_of_news())
    live = recsvc("train", "--events", events, "--json").report["live"]
    chosen = live["chosen"]
    assert live["why"].startswith("live parts count: ndcg@10 ")
    assert chosen["kind"] == "content"
    assert set(chosen["metrics"]) == {"blend", "live", "trained"} and set(chosen["weights"]) == set(PARTS)
    for figures in chosen["metrics"].values():
        for name in ("hit@10", "ndcg@10", "mrr"):
            low, high = figures["intervals"][name]
            assert 0 <= low <= figures[name] <= high <= 1
    assert 0 < chosen["half_life_days"] < chosen["long_half_life_days"] and chosen["learned_from"] >= 150
    told = recsvc("train", "--events", events, "--seed", "2").err
    for word in (
        "live parts count",
        "live parts: rank content; ",
        "half-lives: ",
        "live weights: ",
        "→ blend",
        "trained",
        "ndcg@10",
    ):
        assert word in told
    sheet = recsvc("models", "show", "champion").out
    assert "half-lives" in sheet and "ndcg@10 live, trained" in sheet
    assert max(map(len, sheet.splitlines())) <= 80


def test_a_training_without_times_says_why_no_live_part_counts(home: Path, recsvc: Run) -> None:
    rows = [{name: told for name, told in row.items() if name != "occurred_at"} for row in a_history()]
    events = write_rows(home / "events.csv", rows)
    live = recsvc("train", "--events", events, "--json").report["live"]
    assert live == {
        "why": "no live part counts: the events have no times, so nobody knows what was live when",
        "chosen": None,
    }
    assert "the trained model serves alone" in recsvc("models", "show", "champion").out


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_can_be_evaluated(name: str, home: Path, recsvc: Run) -> None:
    history = a_history()
    train, test = home / f"train_{name}", home / f"test_{name}"
    half = len(history) // 2
    words = ["--train", write_rows(train, history[:half]), "--test", write_rows(test, history[half:])]
    report = recsvc("evaluate", *words, "--cutoffs", "5, 10", "--families", "popularity", "--json").report
    assert report["chosen"] == "popularity"
    assert report["families"]["popularity"].keys() >= {"recall@5", "ndcg@10", "coverage@5", "seconds"}
    assert report["rejects"]["count"] == 0


@pytest.mark.parametrize(
    ("kind", "measured_on"),
    [
        ("content", "first-time interactions in the test file"),
        ("offer", "interactions of strength 5 or more, first-time or not, nothing masked, in the test file"),
    ],
)
def test_an_evaluation_says_what_is_measured_of_what_kind(
    kind: str, measured_on: str, home: Path, recsvc: Run
) -> None:
    mapping = home / "mapping.toml"
    mapping.write_text(f'[items.constants]\nkind = "{kind}"\n')
    rows = [{**row, "type": "redeem"} for row in a_history()]
    half = len(rows) // 2
    train, test = (
        write_rows(home / f"{name}.csv", part) for name, part in (("a", rows[:half]), ("b", rows[half:]))
    )
    words = ["--train", train, "--test", test, "--mapping", mapping, "--families", "popularity", "--json"]
    assert recsvc("evaluate", *words).report["measured_on"] == measured_on


def test_an_evaluation_is_a_table_for_people(home: Path, recsvc: Run) -> None:
    history = a_history()
    half = len(history) // 2
    train = write_rows(home / "train.csv", history[:half])
    test = write_rows(home / "test.csv", history[half:])
    outcome = recsvc("evaluate", "--train", train, "--test", test)
    assert (outcome.code, outcome.out) == (0, "")
    table = [line for line in outcome.err.splitlines() if not line.startswith("chosen on")]
    assert "Measured on test.csv, lists of 20" in table
    assert max(map(len, table)) <= 110
    assert "…" not in outcome.err
    for name in ("popularity", "neighbours", "als"):
        assert any(name in line for line in table)


def columns_of(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """The headings of the table of models in a text, and by model its cells; no line is too wide."""
    lines = text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(" model "))
    end = next(place for place in range(start, len(lines)) if not lines[place].strip())
    assert max(len(line) for line in lines[start:end]) <= 110
    cells = [line.strip().removeprefix("→").split() for line in lines[start + 2 : end]]
    n = len(lines[start].replace("CPU s", "CPU").split()) - 1
    return lines[start].split(), {" ".join(row[:-n]): row[-n:] for row in cells}


LISTS_AS_A_WHOLE = ["coverage", "gini", "novelty"]


def test_an_evaluation_tells_what_the_lists_show_and_their_diversity_where_items_have_categories(
    home: Path, recsvc: Run
) -> None:
    history = a_history()
    half = len(history) // 2
    train = write_rows(home / "train.csv", history[:half])
    test = write_rows(home / "test.csv", history[half:])
    items = write_rows(home / "items.jsonl", some_items())
    words = ["--train", train, "--test", test, "--families", "popularity,neighbours"]
    bare = recsvc("evaluate", *words, "--json").report["families"]["popularity"]
    assert {f"{name}@20" for name in LISTS_AS_A_WHOLE} <= bare.keys()
    assert "intra_list_diversity@20" not in bare
    headings, _ = columns_of(recsvc("evaluate", *words).err)
    assert headings[-5:] == [*LISTS_AS_A_WHOLE, "CPU", "s"]
    words += ["--items", items]
    families = recsvc("evaluate", *words, "--json").report["families"]
    assert all(0 < one["intra_list_diversity@20"] < 1 for one in families.values())
    assert {name: families["popularity"][name] for name in bare if name != "seconds"} == {
        name: value for name, value in bare.items() if name != "seconds"
    }
    headings, cells = columns_of(recsvc("evaluate", *words).err)
    assert headings[-6:] == [*LISTS_AS_A_WHOLE, "diversity", "CPU", "s"]
    shown = [families["popularity"][f"{name}@20"] for name in (*LISTS_AS_A_WHOLE, "intra_list_diversity")]
    assert cells["popularity"][-5:-1] == [f"{value:.3f}" for value in shown]


def test_a_training_tells_what_the_lists_of_each_model_show(home: Path, events: Path, recsvc: Run) -> None:
    items = write_rows(home / "items.jsonl", some_items())
    words = ["train", "--events", events, "--items", items, "--no-promote"]
    families = recsvc(*words, "--json").report["families"]
    headings, cells = columns_of(recsvc(*words).err)
    assert headings[-6:] == [*LISTS_AS_A_WHOLE, "diversity", "CPU", "s"]
    assert cells.keys() == families.keys()
    for name, of_model in families.items():
        shown = [of_model[f"{one}@20"] for one in (*LISTS_AS_A_WHOLE, "intra_list_diversity")]
        assert cells[name][-5:-1] == [f"{value:.3f}" for value in shown]


def test_the_store_is_trained_on_where_no_file_is_named(events: Path, recsvc: Run) -> None:
    recsvc("import", "--events", events)
    from_store = recsvc("train", "--json").report
    from_file = recsvc("train", "--events", events, "--json").report
    assert from_store["rows"] == from_file["rows"]
    assert from_store["families"]["popularity"]["ndcg@20"] == from_file["families"]["popularity"]["ndcg@20"]


def test_a_bundle_that_is_not_to_be_promoted_leaves_the_champion(events: Path, recsvc: Run) -> None:
    first = recsvc("train", "--events", events, "--json").report
    second = recsvc("train", "--events", events, "--seed", "2", "--no-promote", "--json").report
    assert second["promoted"] is False
    listed = recsvc("models", "list", "--json").report
    assert listed["champion"] == first["version"]
    assert {model["version"] for model in listed["models"]} == {first["version"], second["version"]}


def test_some_rejects_are_told_and_kept(home: Path, recsvc: Run) -> None:
    bad = {
        "type": "view",
        "customer_id": "c1",
        "item_id": "not an id!",
        "occurred_at": "2026-01-01T00:00:00Z",
    }
    report = recsvc(
        "train", "--events", write_rows(home / "events.csv", [*a_history(), bad]), "--json"
    ).report
    assert report["rejects"]["count"] == 1
    assert len(Path(report["rejects"]["path"]).read_text().splitlines()) == 1


def test_files_may_be_several(home: Path, recsvc: Run) -> None:
    history = a_history()
    first, second = write_rows(home / "a.csv", history[:300]), write_rows(home / "b.jsonl", history[300:])
    report = recsvc("train", "--events", first, "--events", second, "--no-promote", "--json").report
    assert report["rows"]["interactions"] == len(history)


def test_items_and_customers_reach_the_bundle(home: Path, events: Path, recsvc: Run) -> None:
    items = write_rows(
        home / "items.jsonl",
        [
            {"item_id": f"i{n}", "kind": "content", "category": "saving" if n < 20 else "loans"}
            for n in range(41)
        ],
    )
    customers = write_rows(
        home / "customers.jsonl",
        [
            {"customer_id": f"c{n}", "consents": {"personalisation": n != 0, "marketing": []}}
            for n in range(60)
        ],
    )
    words = ["--events", events, "--items", items, "--customers", customers]
    report = recsvc("train", *words, "--json").report
    assert report["rows"]["customers"] == 59  # The first one did not agree to personalisation.
    assert recsvc("models", "show", "champion", "--json").report["categories"] == ["loans", "saving"]


def reasons_of(report: dict[str, object]) -> list[str]:
    return [reason["code"] for reason in report["reasons"]]  # type: ignore[attr-defined]


IMPOSSIBLE = """
[[personas]]
name = "impossible"
history = ["i1"]
expect_categories = ["category 3"]
least_share = 1.0
"""


def test_a_model_that_is_not_better_is_held_and_says_why(home: Path, events: Path, recsvc: Run) -> None:
    words = ["train", "--events", events, "--items", write_rows(home / "items.jsonl", some_items())]
    first = recsvc(*words, "--json").report
    assert (first["promoted"], first["decision"], reasons_of(first)) == (True, "promote", ["no_champion"])
    policy = home / "policy.toml"
    policy.write_text(files("recsvc").joinpath("policy.toml").read_text() + IMPOSSIBLE)
    held = recsvc(*words, "--name", "held", "--json", RECSVC_POLICY_FILE=str(policy))
    assert held.code == 0
    assert (held.report["promoted"], held.report["decision"]) == (False, "hold")
    assert reasons_of(held.report) == ["persona"]
    listed = recsvc("models", "list", "--json").report
    assert (listed["champion"], listed["challenger"]) == (first["version"], held.report["version"])
    told = recsvc(*words, "--name", "told", RECSVC_POLICY_FILE=str(policy)).err
    assert "promotion gate, persona: impossible: 0% of the first ten" in told and "held; " in told


def test_who_wants_a_held_model_can_have_it(events: Path, recsvc: Run) -> None:
    first = recsvc("train", "--events", events, "--json").report
    held = recsvc("train", "--events", events, "--name", "x", "--no-promote", "--json").report
    listed = recsvc("models", "list", "--json").report
    assert (listed["champion"], listed["challenger"]) == (first["version"], held["version"])
    shown = recsvc("models", "show", "challenger", "--json").report
    assert shown["gate"]["decision"] == held["decision"]
    assert "promotion gate" in recsvc("models", "show", "challenger").out
    assert recsvc("models", "promote", "challenger", "--json").report["champion"] == held["version"]
    anyway = recsvc("train", "--events", events, "--name", "y", "--promote-anyway", "--json").report
    assert anyway["promoted"] is True
    assert recsvc("models", "list", "--json").report["challenger"] is None
