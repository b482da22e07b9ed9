"""A training in a process of its own, as its supervisor sees it. In: its command. Out: messages and lines."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

import msgspec

from recsvc.domain.training_runs import MAX_LOG_LINES, Outcome, RunState
from recsvc.typed_decoding import decode_json


class Message(msgspec.Struct, frozen=True):
    """What a training tells its supervisor: where it is, or, at last, how it ended."""

    stage: str = ""
    progress: float = 0.0
    outcome: Outcome | None = None


class ChildProcess:
    """The process that trains one run. Its group is its own: a Ctrl-C in the terminal is not for it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # Never written to: its end is our end.
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._last = Message("start")
        self._lines: deque[str] = deque(maxlen=MAX_LOG_LINES)
        self._readers = tuple(
            threading.Thread(target=read, args=(stream,), daemon=True)
            for read, stream in (
                (self._read_messages, self._process.stdout),
                (self._read_lines, self._process.stderr),
            )
        )
        for reader in self._readers:
            reader.start()

    @property
    def last(self) -> Message:
        """What it told last of where it is."""
        return self._last

    def lines(self) -> tuple[str, ...]:
        """What it said since this was asked before."""
        said = []
        with suppress(IndexError):
            while True:
                said.append(self._lines.popleft())
        return tuple(said)

    def ended(self, seconds: float) -> bool:
        """Whether it ends within the time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return True
        return False

    def outcome(self) -> Outcome:
        """How the run ended, once the process has; a failure where it did not come to tell."""
        for reader in self._readers:
            reader.join()
        code = self._process.returncode
        return self._last.outcome or Outcome(
            RunState.FAILED,
            error=f"the training process ended with code {code}; its last lines are in the log",
        )

    def kill(self) -> None:
        """End it at once, wherever it is."""
        if self._process.poll() is None:  # Once it has ended, its number may be another's.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read_messages(self, stream: IO[bytes]) -> None:
        with suppress(ValueError, OSError):  # Closed under us when it is killed.
            for line in stream:
                message = decode_json(line, Message)
                if message.stage and message.stage != self._last.stage:
                    self._lines.append(message.stage)
                self._last = message

    def _read_lines(self, stream: IO[bytes]) -> None:
        with suppress(ValueError, OSError):
            for line in stream:
                self._lines.append(line.decode(errors="replace").rstrip())
