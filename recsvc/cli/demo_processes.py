"""The processes of a demo: the web service and a worker. In: logs. Out: both, while they are wanted."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from recsvc.errors import ServeError

READY_SECONDS = 60
STOP_SECONDS = 15
WATCH_SECONDS = 1.0
LOG_FILE = "server.log"
WORKER_LOG_FILE = "worker.log"
LOG_IS_KEPT = f"run it with --data-dir DIR, and its log is kept in DIR/{LOG_FILE}"


@contextlib.contextmanager
def serving(url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The web service in a process of its own, so that it never carries what training loaded.

    It hears of Ctrl-C from us alone, and its log goes to a file, so that neither disturbs the reader.
    """
    log.unlink(missing_ok=True)
    process = _started("serve", log)
    try:
        _wait_until_ready(process, url, log)
        yield process
    finally:
        heed_signals(signal.SIG_IGN)  # A second Ctrl-C must not keep us from clearing up.
        _end(process)


@contextlib.contextmanager
def working(log: Path) -> Iterator[None]:
    """What carries out training runs, likewise. One that dies is followed by another."""
    log.unlink(missing_ok=True)
    workers = [_started("worker", log)]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(WATCH_SECONDS):
            if workers[-1].poll() is not None:
                workers.append(_started("worker", log))

    watcher = threading.Thread(target=watch, name="worker watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        heed_signals(signal.SIG_IGN)
        is_over.set()
        watcher.join()
        _end(workers[-1])


def _started(command: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "recsvc", command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            process_group=0,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ended(process, log)
        if _answers(f"{url}/readyz"):
            return
        time.sleep(0.1)
    raise ServeError(f"the server was not ready within {READY_SECONDS} seconds; {LOG_IS_KEPT}")


def ended(process: subprocess.Popen[bytes], log: Path) -> ServeError:
    lines = log.read_text("utf-8", errors="replace").splitlines()
    reasons = [line.removeprefix("recsvc: ") for line in lines if line.startswith("recsvc: ")]
    return ServeError(
        f"the server ended: {reasons[-1]}"
        if reasons
        else f"the server ended with code {process.returncode}; {LOG_IS_KEPT}"
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def heed_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers | None = None) -> None:
    """Take every signal to end for a Ctrl-C. A shell's background job would else not hear of SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler or _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
