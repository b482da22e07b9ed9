"""Work that another process does, once for all who share a folder. In: a command. Out: what it said.

What is found is kept in a folder that only its own user can write to: whoever could forge it there could as
well forge the process that reads it. A lease says who has the work done; it ends with the process that holds
it, as the work does with the process that started it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_NICE = 10


class Children:
    """The processes that do the work for this one."""

    def __init__(self, folder: Path) -> None:
        """What they say goes by way of the folder: there may be much of it."""
        self._folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopped = threading.Event()

    def run(self, command: Sequence[str], said: bytes = b"", *, most_seconds: float) -> bytes:
        """What the command writes to standard output. `said` is what it finds first on its standard input.

        Raises:
            OSError: it cannot be started, or heard.
            subprocess.SubprocessError: it took longer, or broke off.
        """
        with tempfile.TemporaryFile(dir=self._folder) as heard:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # Held open after what is said: its end is our end.
                stdout=heard,
                process_group=0,  # A Ctrl-C in the terminal is not for it.
            )
            self._running.add(process)
            try:
                if self.stopped.is_set():
                    process.kill()
                _say(process, said)
                code = process.wait(most_seconds)
                if code:
                    raise subprocess.CalledProcessError(code, command)
                heard.seek(0)
                return heard.read()
            finally:
                self._running.discard(process)
                process.kill()
                process.wait()
                if process.stdin is not None:
                    with suppress(OSError):  # What nobody heard is said once more.
                        process.stdin.close()

    def stop(self) -> None:
        """End every one of them, and every one that is begun from now on."""
        self.stopped.set()
        for process in tuple(self._running):
            process.kill()


def become_child() -> None:
    """Give way to whoever answers requests, and end when the starter does. For what `Children` start."""
    os.nice(_NICE)
    threading.Thread(target=_end_with_starter, daemon=True).start()


def is_ours(folder: Path) -> bool:
    """Whether it is a folder that nobody else can write to."""
    try:
        facts = folder.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022


def lease_of(path: Path) -> int | None:
    """The right to do the work, until it is closed; None while somebody else has it. Raises OSError."""
    lease = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lease)
        return None
    return lease


def keep(path: Path, content: bytes) -> None:
    """Let readers see the whole content or what was there. Whoever holds the lease is the only writer.

    Raises OSError.
    """
    draft = path.with_suffix(".part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError:
        with suppress(OSError):  # Half of it would only fill a full disk.
            draft.unlink()
        raise


def reason_of(error: Exception) -> str:
    """Why the work came to nothing."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"took more than {error.timeout:g} seconds"
    if isinstance(error, subprocess.CalledProcessError):
        return f"broke off with code {error.returncode}"
    return f"could not be read ({error})"


def _say(process: subprocess.Popen[bytes], said: bytes) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # One that has ended says by its code why.
            process.stdin.write(said)
            process.stdin.flush()


def _end_with_starter() -> None:
    """Nothing more comes on standard input: it ends when the starter does."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
