"""Keys are shown once and listed without their text; doctor looks at everything, whatever else is wrong."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.access import ROLE_SCOPES, Role, Scope
from recsvc.domain.experiments import Experiment, ExperimentStatus, ExperimentVariant
from recsvc.stores.database import open_database
from recsvc.stores.experiments import SqlExperiments
from tests.cli.examples import Run, a_history, write_rows


@pytest.mark.parametrize("role", list(Role))
def test_a_key_carries_the_scopes_of_its_role(role: Role, recsvc: Run) -> None:
    made = recsvc("keys", "create", "--role", role, "--json").report
    assert set(made["scopes"]) == ROLE_SCOPES[role]
    assert made["key_id"] in made["key"]


def test_a_key_alone_stands_on_standard_output(recsvc: Run) -> None:
    outcome = recsvc("keys", "create", "--scopes", "recs:read, events:write", "--label", "the app")
    key = outcome.out.strip()
    assert len(key.split()) == 1
    assert key not in outcome.err
    listed = recsvc("keys", "list", "--json")
    assert key not in listed.out
    [row] = listed.report["keys"]
    assert (row["label"], row["scopes"]) == ("the app", ["events:write", "recs:read"])


def test_the_keys_fit_a_terminal_and_cut_no_id(recsvc: Run) -> None:
    ids = [recsvc("keys", "create", "--role", role, "--json").report["key_id"] for role in Role]
    scopes = [scope for scope in Scope if scope is not Scope.TRAIN_RUN]
    ids.append(recsvc("keys", "create", "--scopes", ",".join(scopes), "--json").report["key_id"])
    recsvc("keys", "revoke", ids[0])
    lines = recsvc("keys", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [word for word in (*ids, *scopes) if not any(word in line for line in lines)] == []


def test_no_keys_is_told_with_the_remedy(recsvc: Run) -> None:
    outcome = recsvc("keys", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "recsvc keys create" in outcome.err


def test_a_key_is_revoked_once(recsvc: Run) -> None:
    made = recsvc("keys", "create", "--role", "admin", "--json").report
    assert recsvc("keys", "revoke", made["key_id"], "--json").report["revoked"] is True
    assert recsvc("keys", "list", "--json").report["keys"][0]["revoked_at"]


def findings(recsvc: Run, **environment: str) -> dict[str, dict[str, Any]]:
    outcome = recsvc("doctor", "--json", **environment)
    report = json.loads(outcome.out)
    assert outcome.code == (0 if report["healthy"] else 1)
    assert outcome.err == ""
    return {finding["check"]: finding for finding in report["findings"]}


def test_a_new_installation_is_told_what_is_missing(recsvc: Run) -> None:
    found = findings(recsvc)
    assert {check for check, finding in found.items() if not finding["ok"]} == {"events", "champion"}
    assert "recsvc import" in found["events"]["detail"]
    assert "recsvc train" in found["champion"]["detail"]
    assert {"policy", "redis", "store", "model families", "BLAS threads"} <= set(found)


def test_a_sound_installation_is_healthy(home: Path, events: Path, shelf: Path, recsvc: Run) -> None:
    shutil.copytree(shelf, home / "models")
    recsvc("import", "--events", events)
    outcome = recsvc("doctor")
    assert outcome.code == 0, outcome.out
    assert {line[:3] for line in outcome.out.splitlines()} == {"ok "}


def test_one_thing_that_is_wrong_hides_no_other(home: Path, recsvc: Run) -> None:
    policy = home / "policy.toml"
    policy.write_text("[decay\n")
    (home / "aliases.json").write_text("{")
    found = findings(
        recsvc,
        RECSVC_POLICY_FILE=str(policy),
        RECSVC_MODELS_DIR=str(home),
        REDIS_URL="redis://:secret@127.0.0.1:1/0",
        DATABASE_URL="postgresql://owner:secret@127.0.0.1:1/bank",
    )
    assert {check for check, finding in found.items() if not finding["ok"]} == {
        *("policy", "redis", "store", "events", "champion", "experiments")
    }
    assert "secret" not in str(found)


def test_a_model_that_an_experiment_needs_and_is_not_there_is_told(
    home: Path, shelf: Path, recsvc: Run
) -> None:
    shutil.copytree(shelf, home / "models")
    recsvc("import", "--events", write_rows(home / "events.csv", a_history()))
    there = Registry(home / "models").versions()[0]
    with closing(open_database(f"sqlite:///{home / 'data' / 'recsvc.sqlite3'}")) as database:
        store = SqlExperiments(database)
        for key, version, is_told in (("one", there, False), ("other", "gone", True)):
            variants = (ExperimentVariant("a", version, 100),)
            running = Experiment(key, variants, status=ExperimentStatus.RUNNING)
            store.put(running, expected=None, now=datetime.now(UTC))
            found = findings(recsvc)["experiments"]
            assert (not found["ok"], "gone" in found["detail"]) == (is_told, is_told)


def test_a_feed_that_dried_up_is_told(home: Path, recsvc: Run) -> None:
    old = [{**row, "occurred_at": "2020-01-01T00:00:00Z"} for row in a_history()]
    recsvc("import", "--events", write_rows(home / "events.csv", old))
    found = findings(recsvc)
    assert not found["events"]["ok"]
    assert "2020-01-01" in found["events"]["detail"]
