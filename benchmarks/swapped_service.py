"""A service over two large models that take turns. In: a bundle. Out: the service, ready."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.big_bundles import publish_big
from benchmarks.contestants import environment_of, free_port
from benchmarks.memory import with_children
from recsvc.bundles.opening import open_bundle
from recsvc.bundles.registry import Registry

MARKS = ("north", "south")
"""Of the two versions: the titles of their items begin with them."""
_READY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Service:
    """A server over two versions, by mark, and customers that both know.

    `numbers` counts the lists that nobody asked for before.
    """

    pid: int
    port: int
    versions: Mapping[str, str]
    customers: Sequence[str]
    n_workers: int
    numbers: Iterator[int] = field(default_factory=count)

    def promote(self, version: str) -> None:
        """Raises urllib.error.URLError where it is refused."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/models/{version}/promote", method="POST"
        )
        urllib.request.urlopen(request, timeout=60).read()

    def workers(self) -> frozenset[int]:
        """The processes that answer, or are about to."""
        return frozenset(with_children(self.pid)) - {self.pid}

    def champion(self) -> str | None:
        """The version that one of the workers says it serves."""
        address = f"http://127.0.0.1:{self.port}/readyz"
        with suppress(OSError, ValueError), urllib.request.urlopen(address, timeout=5) as answer:
            return str(json.loads(answer.read())["model"]["version"])
        return None


def publish_two(bundle: Path, models: Path, *, megabytes: float) -> dict[str, str]:
    """Two bundles of about that size, the first of them champion; their versions by mark."""
    registry = Registry(models)
    versions = {mark: publish_big(bundle, registry, mark=mark, megabytes=megabytes) for mark in MARKS}
    registry.promote(versions[MARKS[0]])
    return versions


@contextmanager
def served(folder: Path, versions: Mapping[str, str], n_workers: int) -> Iterator[Service]:
    """`recsvc serve` over the models in the folder, ready; ended on leaving."""
    port = free_port()
    environment = environment_of(
        {
            "RECSVC_AUTH": "off",
            "RECSVC_DATA_DIR": str(folder / "data"),
            "RECSVC_MODELS_DIR": str(folder / "models"),
        }
    )
    command = [sys.executable, "-m", "recsvc", "serve", "--port", str(port), "--workers", str(n_workers)]
    champion = versions[MARKS[0]]
    bundle = open_bundle(folder / "models" / champion)
    customers = bundle.customers.ids_of(range(len(bundle.customers)))
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    service = Service(process.pid, port, versions, customers, n_workers)
    try:
        ready = comes_to_hold(
            lambda: (
                process.poll() is not None
                or (service.champion() == champion and len(service.workers()) == n_workers)
            ),
            _READY_SECONDS,
        )
        if not ready or process.poll() is not None:
            raise RuntimeError(f"the service did not become ready; see {folder / 'serve.log'}")
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def comes_to_hold(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether it does within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return False
