"""However a service ends, nothing of it is left: no process, no socket, no folder, no taken port."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Serve, bare_environment, write_small_sample
from tests.end_to_end.service import Command, ask, free_port, is_taken, named, parents, wait_until


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """The settings of an installation that holds nothing yet."""
    return {"RECSVC_DATA_DIR": str(tmp_path / "data"), "RECSVC_MODELS_DIR": str(tmp_path / "models")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_told_to_end_leaves_nothing(
    number: signal.Signals, serve: Serve, empty: dict[str, str], temporary: Path
) -> None:
    command, port = serve(**empty)
    family = command.family()
    assert len(named(family, "recsvc serve")) == 3
    assert list(temporary.iterdir())
    assert command.end(number) == 0
    assert family & parents().keys() == set()
    assert list(temporary.iterdir()) == []
    assert not is_taken(port)


def test_a_server_that_is_killed_takes_everything_with_it(
    serve: Serve, empty: dict[str, str], temporary: Path
) -> None:
    command, port = serve(**empty)
    family = command.family()
    command.end(signal.SIGKILL)
    try:
        assert wait_until(lambda: family & parents().keys() == set(), 10)
    finally:
        for pid in family & parents().keys():
            command.kill(pid)
    assert list(temporary.iterdir()) == []
    assert not is_taken(port)


def test_a_server_on_an_empty_shelf_says_so_and_answers(serve: Serve, empty: dict[str, str]) -> None:
    command, port = serve(**empty)
    assert "no champion yet" in command.err
    readiness = ask(port, "/readyz")
    assert readiness.status == 503
    assert readiness.headers["Content-Type"] == "application/problem+json"


def test_no_redis_on_path_means_the_one_that_was_installed(
    serve: Serve, empty: dict[str, str], temporary: Path, tmp_path: Path
) -> None:
    command, port = serve("--workers", 1, **empty, PATH=str(tmp_path))
    assert "Redis embedded" in command.err
    assert named(command.family(), "valkey-server")
    assert ask(port, "/healthz").status == 200
    command.end()
    assert list(temporary.iterdir()) == []


def test_a_demo_that_is_ended_while_it_trains_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    command = Command(["demo", "--port", free_port()], tmp_path, bare_environment(TMPDIR=str(temporary)))
    try:
        assert wait_until(lambda: "making a sample bank" in command.err, 60)
        family = command.family()
        assert command.end(signal.SIGTERM) == 130
    finally:
        command.destroy()
    assert command.err.endswith("recsvc: interrupted\n")
    assert family & parents().keys() == set()
    assert list(temporary.iterdir()) == []


def test_a_demo_that_was_interrupted_goes_on_where_it_stopped(tmp_path: Path, temporary: Path) -> None:
    """A kept folder is used again, a second demo hears SIGTERM, and its server's death is no silence."""
    kept, port, ready = tmp_path / "kept", free_port(), tmp_path / "ready.json"
    words = ["demo", "--port", port, "--ready-file", ready, "--data-dir", kept]
    environment = bare_environment(TMPDIR=str(temporary))
    first = Command(words, tmp_path, environment)
    try:
        assert wait_until((kept / "show_customers.json").exists, 60)
        assert first.end(signal.SIGINT) == 130
    finally:
        first.destroy()
    write_small_sample(kept)  # In place of what the first one made, which takes long to train on.
    made = (kept / "sample" / "events.parquet").stat().st_mtime_ns
    second = Command(words, tmp_path, environment)
    try:
        assert wait_until(ready.exists, 180), second.err
        assert (kept / "sample" / "events.parquet").stat().st_mtime_ns == made
        family = second.family()
        assert second.end(signal.SIGTERM) == 0
    finally:
        second.destroy()
    assert family & parents().keys() == set()
    assert list(temporary.iterdir()) == []

    ready.unlink()
    third = Command(words, tmp_path, environment)
    try:
        assert wait_until(ready.exists, 60), third.err
        assert "again" in third.err
        servers = {pid for pid, parent in parents().items() if parent == third.process.pid}
        for pid in servers:
            Command.kill(pid)
        assert third.process.wait(30) == 1
    finally:
        third.destroy()
    assert "the server ended" in third.err.splitlines()[-1]
    assert list(temporary.iterdir()) == []
