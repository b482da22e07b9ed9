"""What another policy would have earned, from files of logged decisions: estimates, refusals, bad files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.cli.examples import Run

OPEN_BANDIT = "action=item_id,position=position,propensity=propensity_score,reward=click"
ESTIMATE = ["--logged", "log.csv", "--target", "uniform"]
TRUTH = 0.7 * 0.1 + 0.3 * 0.3  # What the other policy of `a_log` earns.


def a_log(path: Path, n: int = 4_000, **columns: Sequence[Any]) -> Path:
    """Two actions drawn half and half; a earns 0.1, b 0.3."""
    rng = np.random.default_rng(7)
    actions = rng.integers(0, 2, n)
    rewards = rng.random(n) < np.array([0.1, 0.3])[actions]
    frame = pl.DataFrame(
        {
            "action": np.array(["a", "b"])[actions],
            "propensity": np.full(n, 0.5),
            "reward": rewards.astype(int),
            **columns,
        }
    )
    return write(path, frame)


def write(path: Path, frame: pl.DataFrame) -> Path:
    if path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_parquet(path)
    return path


def a_policy(path: Path, **columns: Sequence[Any]) -> Path:
    return write(path, pl.DataFrame({"action": ["a", "b"], "probability": [0.7, 0.3], **columns}))


def evaluate(recsvc: Run, log: Path, target: object, *more: object) -> Mapping[str, Any]:
    outcome = recsvc("evaluate", "--logged", log, "--target", target, "--json", *more)
    report: Mapping[str, Any] = outcome.report
    return report


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_policy_of_given_probabilities_is_estimated_from_any_kind_of_file(
    recsvc: Run, home: Path, suffix: str
) -> None:
    report = evaluate(recsvc, a_log(home / f"log.{suffix}"), a_policy(home / f"policy.{suffix}"))
    assert (report["decisions"], report["left_out"], report["actions"]) == (4_000, 0, 2)
    assert set(report["estimates"]) == {"ips", "snips", "dr", "clipped_ips", "switch_dr"}
    for name, found in report["estimates"].items():
        low, high = found["interval"]
        assert low < found["value"] < high, name
        assert low < TRUTH < high, name
    assert report["support"]["largest_weight"] == pytest.approx(1.4)


def test_the_shares_of_another_log_are_a_policy(recsvc: Run, home: Path) -> None:
    other = write(home / "other.csv", pl.DataFrame({"action": ["a"] * 7 + ["b"] * 3}))
    log = a_log(home / "log.csv")
    assert (
        evaluate(recsvc, log, other)["estimates"]
        == evaluate(recsvc, log, a_policy(home / "p.csv"))["estimates"]
    )


def test_probabilities_may_be_told_decision_by_decision(recsvc: Run, home: Path) -> None:
    log = a_log(home / "log.csv", decision=range(4_000))
    told = {"decision": [n for n in range(4_000) for _ in "ab"], "action": ["a", "b"] * 4_000}
    each = write(home / "each.csv", pl.DataFrame({**told, "probability": [0.7, 0.3] * 4_000}))
    by_row = evaluate(recsvc, log, each, "--columns", "row=decision")
    assert by_row["estimates"] == evaluate(recsvc, log, a_policy(home / "p.csv"))["estimates"]


def test_a_policy_differs_by_position(recsvc: Run, home: Path) -> None:
    log = a_log(home / "log.csv", position=[1, 2] * 2_000)
    told = {"position": [1, 1, 2, 2], "action": list("abab"), "probability": [1.0, 0.0, 0.0, 1.0]}
    policy = write(home / "policy.csv", pl.DataFrame(told))
    low, high = evaluate(recsvc, log, policy, "--columns", "position=position")["estimates"]["snips"][
        "interval"
    ]
    assert low < 0.2 < high and high - low < 0.1


def test_poor_support_is_refused_with_the_reason(recsvc: Run, home: Path) -> None:
    policy = write(home / "p.csv", pl.DataFrame({"action": ["a", "c"], "probability": [0.9, 0.1]}))
    outcome = recsvc("evaluate", "--logged", a_log(home / "log.csv"), "--target", policy, "--json")
    assert outcome.code == 1
    report = json.loads(outcome.out)
    assert report["estimates"] is None
    assert "10% of what this policy does was never logged" in report["refusal"]
    assert "no estimate: 10% of what" in outcome.err
    few = recsvc("evaluate", "--logged", a_log(home / "few.csv", n=60), "--target", "uniform")
    assert (few.code, few.out) == (1, "")
    assert "the log is worth only 60 decisions" in few.err


def test_decisions_that_cannot_be_used_are_left_out_and_counted(recsvc: Run, home: Path) -> None:
    log = a_log(home / "log.csv")
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines, "a,0,1", "a,,1", "b,0.5,", ",0.5,1", "a,1.5,0", "a,NaN,0", "a,0.5,x"]))
    report = evaluate(recsvc, log, "uniform")
    assert (report["decisions"], report["left_out"]) == (4_000, 7)
    log.write_text("\n".join([*lines, *["a,0,1"] * 90]))
    outcome = recsvc("evaluate", "--logged", log, "--target", "uniform")
    assert outcome.code == 1 and "90 of 4,090 rows" in outcome.err


@pytest.mark.parametrize("nobody", [None, ""])
def test_a_decision_of_nobody_known_is_left_out_where_units_are_named(
    recsvc: Run, home: Path, nobody: str | None
) -> None:
    log = a_log(
        home / "log.parquet", customer=[nobody if row % 100 == 0 else f"c{row}" for row in range(4_000)]
    )
    report = evaluate(recsvc, log, "uniform", "--columns", "unit=customer")
    assert (report["decisions"], report["left_out"]) == (3_960, 40)


@pytest.mark.parametrize(
    ("probabilities", "says"),
    [([0.7, 0.4], "sum to 1.1"), ([0.0, 0.0], "says nothing of")],
)
def test_a_policy_that_is_none_is_refused(
    recsvc: Run, home: Path, probabilities: list[float], says: str
) -> None:
    policy = write(home / "p.csv", pl.DataFrame({"action": ["a", "b"], "probability": probabilities}))
    outcome = recsvc("evaluate", "--logged", a_log(home / "log.csv"), "--target", policy)
    assert outcome.code == 1 and says in outcome.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--logged", "log.csv"], "--logged needs --target"),
        ([*ESTIMATE, "--seed", "2"], "--seed does not go with --logged"),
        (["--target", "uniform"], "--target goes with --logged"),
        (
            ["--logged", "log.csv", "--target", "uniform", "--columns", "place=x"],
            "'place=x' is none of action",
        ),
        (["--logged", "log.csv", "--target", "uniform", "--columns", "action=x,action=y"], "given twice"),
    ],
)
def test_a_wrong_use_is_told(recsvc: Run, home: Path, words: list[str], says: str) -> None:
    a_log(home / "log.csv")
    outcome = recsvc("evaluate", *words)
    assert outcome.code == 2 and says in " ".join(outcome.err.split())


def test_a_column_that_is_not_there_is_named(recsvc: Run, home: Path) -> None:
    outcome = recsvc(
        "evaluate", "--logged", a_log(home / "log.csv"), "--target", "uniform", "--columns", "reward=click"
    )
    assert outcome.code == 1 and "names the column 'click'" in outcome.err


@pytest.fixture
def open_bandit() -> Path:
    """Two logs of one shop, which are not part of the project."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSVC_TEST_DATA_DIR", beside)) / "open-bandit"
    if not folder.is_dir():
        pytest.skip("no real data: set RECSVC_TEST_DATA_DIR to its folder")
    return folder


@pytest.mark.parametrize(("logged", "target"), [("bts", "uniform"), ("random", "bts")])
def test_from_either_log_of_open_bandit_the_mean_of_the_other_is_in_the_interval(
    recsvc: Run, open_bandit: Path, logged: str, target: str
) -> None:
    policy = "uniform" if target == "uniform" else open_bandit / "bts" / "men.parquet"
    report = evaluate(recsvc, open_bandit / logged / "men.parquet", policy, "--columns", OPEN_BANDIT)
    other = pl.read_parquet(open_bandit / ("random" if target == "uniform" else "bts") / "men.parquet")
    for name in ("ips", "snips", "dr"):
        low, high = report["estimates"][name]["interval"]
        assert low <= float(other["click"].cast(pl.Float64).to_numpy().mean()) <= high, name


def test_a_column_called_row_is_refused_with_the_remedy(recsvc: Run, home: Path) -> None:
    outcome = recsvc(
        "evaluate", "--logged", a_log(home / "log.csv"), "--target", "uniform", "--columns", "unit=row"
    )
    assert outcome.code == 1 and "rename it" in outcome.err
