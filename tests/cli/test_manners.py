"""What holds for every command: help with an example, one JSON object, progress on a terminal only."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from recsvc.cli import main
from recsvc.cli.terminal import COMMANDS
from tests.cli.examples import Run, keep_a_decision


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something, as the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ALL = [" ".join(words) for words in commands()]


def test_these_are_the_commands() -> None:
    assert set(ALL) == {
        *("demo", "serve", "worker", "train", "import", "evaluate", "doctor"),
        *("models list", "models show", "models promote", "models rollback"),
        *("keys create", "keys list", "keys revoke"),
        *("decisions verify", "decisions show", "replay"),
    }


@pytest.mark.parametrize("command", ALL)
def test_the_help_of_every_command_has_an_example_that_calls_it(command: str, recsvc: Run) -> None:
    outcome = recsvc(*command.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    example = outcome.out.partition("Example:")[2].strip()
    assert example.startswith(f"recsvc {command}")
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize("command", ALL)
def test_the_example_uses_options_that_exist(command: str, recsvc: Run) -> None:
    text, _, example = recsvc(*command.split(), "--help").out.partition("Example:")
    assert [word for word in example.split() if word.startswith("--") and word not in text] == []


@pytest.mark.parametrize("command", ["", "models", "keys", "decisions"])
def test_the_help_of_a_group_tells_what_each_command_does_in_one_line(command: str, recsvc: Run) -> None:
    outcome = recsvc(*command.split(), "--help")
    assert outcome.code == 0
    listed = outcome.out.partition("Commands:\n")[2].strip().splitlines()
    assert listed
    assert [line for line in listed if not line.rstrip().endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_its_own_help_says_first(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.get_short_help_str(limit=80) == COMMANDS[name].does


def test_the_version_is_told(recsvc: Run) -> None:
    assert recsvc("--version").out.startswith("recsvc, version ")


def loaded_by(code: str) -> set[str]:
    """The modules that a new process holds after this."""
    code = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stderr.split()
    )


def test_only_what_trains_loads_what_training_needs() -> None:
    loaded = loaded_by("import recsvc.cli.serving, recsvc.cli.keys, recsvc.cli.models")
    assert {"implicit", "scipy", "polars", "recsvc.training"} & loaded == set()


def test_no_command_loads_what_a_worker_serves_with_or_what_only_offers_are_learned_with() -> None:
    modules = {f"recsvc.cli.{entry.place.partition(':')[0]}" for entry in COMMANDS.values()}
    loaded = loaded_by(f"import {', '.join(sorted(modules))}, recsvc.retraining.child")
    assert modules <= loaded
    assert {"recsvc.bootstrap", "recsvc.services", "flask", "sklearn"} & loaded == set()


def test_the_list_of_commands_loads_none_of_them() -> None:
    loaded = loaded_by("from recsvc.cli import main\nmain(['--help'], standalone_mode=False)")
    assert "recsvc.cli.terminal" in loaded
    assert {f"recsvc.cli.{entry.place.partition(':')[0]}" for entry in COMMANDS.values()} & loaded == set()


def test_every_report_is_one_json_object_and_nothing_else(
    home: Path, events: Path, shelf: Path, recsvc: Run
) -> None:
    shutil.copytree(shelf, home / "models")
    made = recsvc("keys", "create", "--role", "frontend", "--json").report
    reports = {
        "keys create": made,
        "keys list": recsvc("keys", "list", "--json").report,
        "keys revoke": recsvc("keys", "revoke", made["key_id"], "--json").report,
        "import": recsvc("import", "--events", events, "--json").report,
        "train": recsvc("train", "--json").report,
        "evaluate": recsvc("evaluate", "--train", events, "--test", events_after(events), "--json").report,
        "models list": recsvc("models", "list", "--json").report,
        "models show": recsvc("models", "show", "champion", "--verify", "--json").report,
        "models rollback": recsvc("models", "rollback", "--json").report,
        "models promote": recsvc("models", "promote", sorted(shelf.glob("2*"))[0].name, "--json").report,
        "decisions verify": recsvc("decisions", "verify", "--json").report,
        "decisions show": recsvc("decisions", "show", keep_a_decision(home), "--json").report,
        "replay": recsvc("replay", "--decision", "s_1", "--json").report,
        "doctor": json.loads(recsvc("doctor", "--json").out),
    }
    assert set(reports) == set(ALL) - {"demo", "serve", "worker"}  # These do not report: they serve.
    assert {name for name, report in reports.items() if not isinstance(report, dict)} == set()


def events_after(events: Path) -> Path:
    """The same customers with the same items, shifted by one: new to each of them."""
    header, *lines = events.read_text().splitlines()
    fields = [line.split(",") for line in lines]
    for row in fields:
        row[2] = f"i{(int(row[2][1:]) + 1) % 20 + int(row[2][1:]) // 20 * 20}"
    after = events.with_name("after.csv")
    after.write_text("\n".join([header, *map(",".join, fields)]) + "\n")
    return after


def test_progress_and_sentences_go_to_standard_error(events: Path, recsvc: Run) -> None:
    outcome = recsvc("train", "--events", events)
    assert (outcome.code, outcome.out) == (0, "")
    assert "\x1b" not in outcome.err
    assert "\r" not in outcome.err
    assert max(map(len, outcome.err.splitlines()[:-8])) <= 110  # The last eight are sentences.
    assert "it is the champion now" in outcome.err


def test_stages_are_shown_on_a_terminal(events: Path, home: Path) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "recsvc", "train", "--events", str(events), "--json"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: read_terminal(ours), b""))
        assert process.stdout is not None
        report = json.loads(process.stdout.read())
    os.close(ours)
    assert process.returncode == 0
    assert (home / "models" / report["version"]).is_dir()
    for stage in ("reading events", "select", "fit", "publish"):
        assert stage.encode() in shown


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # So Linux says that nobody writes to it any more.
        return b""


def test_a_reader_that_leaves_early_causes_no_traceback(shelf: Path) -> None:
    words = [sys.executable, "-m", "recsvc", "models", "list", "--json", "--models", str(shelf)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_every_command_is_loaded_by_its_own_name() -> None:
    context = click.Context(main)
    assert [getattr(main.get_command(context, name), "name", None) for name in COMMANDS] == list(COMMANDS)
