"""What one more worker costs in memory, with a model and without. In: a folder of models. Out: findings.

A page that several processes have mapped counts for none of them as private, and in equal shares in PSS. So
the cost of one more worker is what the PSS of all processes together grows by, and its private pages are what
no other process can use. What is private without a model is the interpreter's and the libraries'; the rest is
the model's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import ROOT, Finding
from benchmarks.contestants import children_of, environment_of, free_port

_READY_SECONDS = 120.0
_SETTLED_SECONDS = 3.0
_REQUESTS = 600
_FEW, _MANY = 2, 4  # Workers: what one alone has mapped would count as its own.


@dataclass(frozen=True, slots=True)
class Taken:
    """Of some processes together, in MB."""

    private: float
    pss: float


def memory(models: Path, customers: Sequence[str], work: Path) -> Iterator[Finding]:
    """Private memory and PSS of one more worker."""
    (work / "none").mkdir()
    private: dict[str, float] = {}
    for name, folder in (("without a model", work / "none"), ("with the model", models)):
        few, many = (_taken(folder, work / f"{name}-{n}", customers, n) for n in (_FEW, _MANY))
        private[name] = (many.private - few.private) / (_MANY - _FEW)
        yield Finding(f"one more worker {name}: private", private[name], "MB")
        yield Finding(f"one more worker {name}: PSS of all", (many.pss - few.pss) / (_MANY - _FEW), "MB")
    of_model = private["with the model"] - private["without a model"]
    yield Finding("private memory that the model costs one more worker", of_model, "MB", most=10.0)


def _taken(models: Path, folder: Path, customers: Sequence[str], n_workers: int) -> Taken:
    folder.mkdir()
    with _served(models, folder, n_workers) as (server, port):
        for number in range(_REQUESTS):
            path = f"/v1/customers/{customers[number % len(customers)]}/recommendations/content"
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).read()
        time.sleep(_SETTLED_SECONDS)
        return _of(with_children(server))


@contextmanager
def _served(models: Path, folder: Path, n_workers: int) -> Iterator[tuple[int, int]]:
    """The process of a server, and its port."""
    port = free_port()
    environment = environment_of(
        {
            "PYTHONPATH": str(ROOT),
            "RECSVC_AUTH": "off",
            "RECSVC_DATA_DIR": str(folder),
            "RECSVC_MODELS_DIR": str(models),
            "RECSVC_METRICS_PORT": "-1",
        }
    )
    command = [sys.executable, "-m", "recsvc", "serve", "--port", str(port), "--workers", str(n_workers)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_until_all_are_up(process, port, n_workers)
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _wait_until_all_are_up(process: subprocess.Popen[bytes], port: int, n_workers: int) -> None:
    """An answer says that one is; what each takes, whether it still grows, that all are."""
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).read()
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    before = -1.0
    while time.monotonic() < deadline:
        children = with_children(process.pid)
        now = _of(children).pss
        if len(children) > n_workers and abs(now - before) < 1.0:
            return
        before = now
        time.sleep(_SETTLED_SECONDS)
    raise RuntimeError("the server did not come up")


def with_children(pid: int) -> list[int]:
    """The server and its workers; not the embedded Redis, which is the same whoever asks it."""
    found = [pid]
    for child in children_of(pid):
        with suppress(OSError):  # It ended since it was listed.
            if "python" in os.readlink(f"/proc/{child}/exe"):
                found.append(child)
    return found


def _of(pids: Sequence[int]) -> Taken:
    private = pss = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, amount = line.split()[:2]
            private += int(amount) * (name in ("Private_Clean:", "Private_Dirty:"))
            pss += int(amount) * (name == "Pss:")
    return Taken(private / 1024, pss / 1024)
