"""A whole service in processes of its own: how to start it, ask it, look at its processes, and end it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

RECSVC = (sys.executable, "-m", "recsvc")


@dataclass(frozen=True)
class Answer:
    """What an HTTP request was answered with."""

    status: int
    headers: Message  # Names in any case.
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, path: str, key: str = "") -> Answer:
    """One GET on a connection of its own, so that any worker may take it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(holds: Callable[[], bool], seconds: float, *, every: float = 0.05) -> bool:
    """Whether it comes to hold within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if holds():
                return True
        time.sleep(every)
    return False


def parents() -> dict[int, int]:
    """The parent of every process that lives; zombies do not."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in listed.stdout.splitlines())
    return {int(pid): int(parent) for pid, parent, state, *_ in rows if not state.startswith("Z")}


def descendants(pid: int) -> set[int]:
    """Every process that a process started, directly or not, and that lives."""
    of = parents()
    found: set[int] = set()
    generation = {pid}
    while generation:
        generation = {child for child, parent in of.items() if parent in generation}
        found |= generation
    return found


def named(pids: set[int], word: str) -> set[int]:
    """Those whose command line holds the word."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    rows = (line.split(maxsplit=1) for line in listed.stdout.splitlines())
    return {int(row[0]) for row in rows if len(row) == 2 and int(row[0]) in pids and word in row[1]}


class Command:
    """A `recsvc` command that runs until it is ended. Its output goes to files in the folder."""

    def __init__(
        self,
        words: Sequence[object],
        folder: Path,
        environment: Mapping[str, str],
        *,
        wrapper: Sequence[str] = (),
    ) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*wrapper, *RECSVC, *map(str, words)],
                stdout=out,
                stderr=err,
                env=dict(environment),
                cwd=folder,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def family(self) -> set[int]:
        """The command's process and all that it started."""
        return {self.process.pid, *descendants(self.process.pid)}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal to the command alone; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    @staticmethod
    def kill(pid: int) -> None:
        """End a process that the command started, without its knowing."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def destroy(self) -> None:
        """Leave nothing behind, whatever happened."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        for pid in self.family():
            self.kill(pid)
        self.process.wait(30)
