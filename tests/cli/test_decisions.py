"""`recsvc decisions` and `recsvc replay`, as an auditor runs them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.examples import Run, keep_a_decision


def change(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "data" / "recsvc.sqlite3")) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_log_that_is_whole_is_said_to_be(home: Path, recsvc: Run) -> None:
    keep_a_decision(home)
    outcome = recsvc("decisions", "verify")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith("1 entries, and every one is what was written")


def test_a_log_that_was_changed_is_refused_by_the_place(home: Path, recsvc: Run) -> None:
    keep_a_decision(home)
    change(home, "UPDATE decisions SET body = CAST(body || x'00' AS BLOB)")
    outcome = recsvc("decisions", "verify", "--json")
    report = json.loads(outcome.out)
    assert outcome.code == 1 and "entry 1 of the decision log (s_1)" in outcome.err
    assert (report["sound"], report["broken"]["decision_id"]) == (False, "s_1")


def test_a_decision_is_shown_with_what_was_refused_and_made_again(home: Path, recsvc: Run) -> None:
    keep_a_decision(home)
    shown = recsvc("decisions", "show", "s_1")
    assert shown.code == 0 and "loan" in shown.out and "s_1: for c1" in shown.err
    (judged,) = recsvc("decisions", "show", "s_1", "--json").report["judged"]
    assert (judged["offer_id"], judged["refused_by"]) == ("loan", None)
    again = recsvc("replay", "--decision", "s_1")
    assert again.code == 0 and json.loads(again.out)["slate_id"] == "s_1"


def test_a_decision_that_is_not_there_or_not_the_same_is_told(home: Path, recsvc: Run) -> None:
    keep_a_decision(home)
    assert recsvc("replay", "--decision", "s_2").err == "recsvc: there is no decision s_2\n"
    change(home, "UPDATE decision_grounds SET document = x'00'")
    outcome = recsvc("replay", "--decision", "s_1")
    assert outcome.code == 1 and "were changed in the store" in outcome.err
