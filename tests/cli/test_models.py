"""The shelf of models, as the command line shows and moves it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.examples import Run, contents


@pytest.fixture
def models(home: Path, shelf: Path) -> Path:
    """Two bundles of one's own, in the folder where commands look for them."""
    return Path(shutil.copytree(shelf, home / "models"))


@pytest.fixture
def versions(models: Path) -> list[str]:
    """The versions on the shelf: the older one, then the champion."""
    by_time = {path.parent.name: path.stat().st_mtime_ns for path in models.glob("*/manifest.json")}
    return sorted(by_time, key=lambda version: by_time[version])


def flip_a_byte(bundle: Path) -> str:
    """Flip one byte of one array; its name."""
    array = sorted(bundle.glob("*item_ids_text.npy"))[0]
    held = bytearray(array.read_bytes())
    held[-1] ^= 1
    array.write_bytes(held)
    return array.name


def test_an_empty_shelf_says_how_to_fill_it(home: Path, recsvc: Run) -> None:
    outcome = recsvc("models", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "recsvc train" in outcome.err
    assert recsvc("models", "list", "--json").report == {"models": [], "champion": None, "challenger": None}
    assert contents(home) == {}


def test_the_shelf_fits_a_terminal_and_cuts_no_version(versions: list[str], recsvc: Run) -> None:
    lines = recsvc("models", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    for version in versions:
        assert any(version in line for line in lines)
    assert next(line for line in lines if "champion" in line).split()[0] == versions[1]


def test_a_model_is_shown_whole_on_a_terminal(versions: list[str], recsvc: Run) -> None:
    outcome = recsvc("models", "show", versions[0], "--verify")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert versions[0] in outcome.out
    assert "verified" in outcome.err


def test_champion_moves_forth_and_back(versions: list[str], recsvc: Run) -> None:
    older, newer = versions
    assert recsvc("models", "promote", older, "--json").report["champion"] == older
    assert recsvc("models", "rollback", "--json").report["champion"] == newer


def test_a_corrupt_bundle_is_named_and_never_promoted(models: Path, versions: list[str], recsvc: Run) -> None:
    older, newer = versions
    array = flip_a_byte(models / older)
    for words in (["show", older, "--verify"], ["promote", older]):
        outcome = recsvc("models", *words, "--json")
        assert (outcome.code, outcome.out) == (1, "")
        assert older in outcome.err
        assert array in outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert recsvc("models", "list", "--json").report["champion"] == newer
    assert recsvc("models", "show", older, "--json").report["version"] == older  # Its facts can be read.


@pytest.mark.parametrize(
    ("aliases", "says"),
    [
        ("{}", "recsvc models promote"),
        ("{", "cannot be read"),
        ('{"champion": "nowhere"}', "not on the shelf"),
    ],
)
def test_doctor_looks_at_every_bundle_wherever_champion_points(
    aliases: str, says: str, models: Path, versions: list[str], recsvc: Run
) -> None:
    array = flip_a_byte(models / versions[0])
    (models / "aliases.json").write_text(aliases)
    outcome = recsvc("doctor", "--json")
    assert outcome.code == 1
    found = {one["check"]: one["detail"] for one in json.loads(outcome.out)["findings"]}
    assert says in found["champion"]
    assert array in found[f"bundle {versions[0]}"]
    assert found[f"bundle {versions[1]}"] == "every check passed"


def test_a_roll_back_never_ends_at_a_corrupt_bundle(models: Path, versions: list[str], recsvc: Run) -> None:
    older, newer = versions
    recsvc("models", "promote", older)
    recsvc("models", "promote", newer)
    array = flip_a_byte(models / older)
    outcome = recsvc("models", "rollback", "--json")
    assert (outcome.code, outcome.out) == (1, "")
    told, refusal = outcome.err.splitlines()
    assert told.startswith(f"passed over {older}:") and array in told
    assert "recsvc models promote" in refusal
    assert recsvc("models", "list", "--json").report["champion"] == newer


def test_aliases_that_cannot_be_read_are_found_before_the_training(
    models: Path, versions: list[str], events: Path, recsvc: Run
) -> None:
    (models / "aliases.json").write_text("{")
    outcome = recsvc("train", "--events", events, "--json")
    assert (outcome.code, outcome.out) == (1, "")
    assert "aliases.json" in outcome.err
    assert sorted(path.parent.name for path in models.glob("*/manifest.json")) == sorted(versions)


def test_an_unreadable_bundle_is_listed_with_its_trouble(
    models: Path, versions: list[str], recsvc: Run
) -> None:
    (models / versions[0] / "manifest.json").write_text("{")
    outcome = recsvc("models", "list")
    assert outcome.code == 0
    assert versions[0] in outcome.out
    assert "manifest" in outcome.err
    problems = {
        model["version"]: model["problem"] for model in recsvc("models", "list", "--json").report["models"]
    }
    assert problems[versions[1]] is None
    assert "manifest" in problems[versions[0]]


def test_doctor_names_a_corrupt_champion(
    models: Path, versions: list[str], events: Path, recsvc: Run
) -> None:
    recsvc("import", "--events", events)
    assert recsvc("doctor").code == 0
    array = flip_a_byte(models / versions[1])
    outcome = recsvc("doctor")
    assert outcome.code == 1
    wrong = [line for line in outcome.out.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 1
    assert f"champion {versions[1]}" in wrong[0]
    assert array in wrong[0]
    findings = {
        finding["check"]: finding["ok"] for finding in json.loads(recsvc("doctor", "--json").out)["findings"]
    }
    assert findings[f"champion {versions[1]}"] is False
    assert findings[f"bundle {versions[0]}"] is True
