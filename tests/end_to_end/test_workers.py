"""Workers come and go, and no caller notices."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.bench import ROOT
from tests.end_to_end.service import free_port, parents, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one that leaves takes connections")


@dataclass(frozen=True)
class Service:
    """A server of tiny workers, and the folder that says what befalls them."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.connect()
        return connection

    def ask(self) -> int:
        """Who answers on a connection of its own."""
        with closing(self.connect()) as connection:
            return ask(connection)[0]

    def workers(self) -> set[int]:
        return {pid for pid, parent in parents().items() if parent == self.process.pid}


Start = Callable[[int], Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server with so many workers that answer."""
    started: list[Service] = []

    def start(n_workers: int) -> Service:
        port = free_port()
        command = [sys.executable, "-m", "tests.end_to_end.tiny_service", str(port), str(n_workers), tmp_path]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        started.append(service := Service(process, port, tmp_path))
        found: set[int] = set()
        assert wait_until(lambda: found.add(service.ask()) or len(found) == n_workers, 20, every=0.01)
        return service

    yield start
    for one in started:
        one.process.terminate()
        one.process.wait(20)


def ask(connection: http.client.HTTPConnection) -> tuple[int, bool]:
    """Who answers on the connection, and whether it is the last answer there."""
    connection.request("GET", "/")
    found = connection.getresponse()
    return int(found.read()), found.will_close


def test_a_worker_that_is_replaced_ends_its_connections_with_an_answer_each(start: Start) -> None:
    """One that was used, and one that was opened and not used yet; new ones are its successor's."""
    service = start(1)
    with closing(service.connect()) as used, closing(service.connect()) as unused:
        old, _ = ask(used)
        service.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: ask(used) == (old, True), 10, every=0.01)
        others = {service.ask() for _ in range(12)}
        assert len(others) == 1 and old not in others
        assert ask(unused) == (old, True)
    assert wait_until(lambda: service.workers() == others, 10)


def test_a_worker_stays_where_its_successor_does_not_come_to_answer(start: Start) -> None:
    service = start(1)
    (service.folder / "broken").touch()
    with closing(service.connect()) as kept:
        old, _ = ask(kept)
        service.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: "worker_not_replaced" in service.log, 10)
        assert ask(kept) == (old, False)
    assert service.workers() == {service.ask()} == {old}


def test_nobody_waits_for_the_successor_of_a_worker_that_died(start: Start) -> None:
    service = start(2)
    died = service.ask()
    (other,) = service.workers() - {died}
    (service.folder / "slow").touch()
    os.kill(died, signal.SIGKILL)
    assert wait_until(lambda: len(service.workers() - {other, died}) == 1, 10)
    assert {service.ask() for _ in range(12)} == {other}
    (service.folder / "slow").unlink()
    assert wait_until(lambda: service.ask() != other, 10, every=0.01)
