"""What the costliest requests cost. In: a demo's folder. Out: CPU and memory of each, and what was promised.

The store holds many events besides, and a running experiment that all of their customers met. Each request
is the largest of its kind that is accepted, sent to a worker that was just started, so that no request finds
the memory that one before it took. CPU is user and system time of the server's processes over the request,
whatever else they did meanwhile included. Memory is how far the resident set rises above where it stood
before, at its highest; pages of files that were not read before count too. A report that another process
makes is asked for until it is there, and then once more; what that process took is told beside it.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.bench import Finding
from benchmarks.contestants import key_for, of_demo, ours
from benchmarks.costly_requests import ARMS, HEAVY, Ask, asks, content_of, preparation
from benchmarks.many_events import fill
from benchmarks.memory import with_children
from recsvc.stores.database import open_database

MOST_CPU_MS = 500.0
MOST_MB = 64.0
_SETTLED_SECONDS = 1.5
_NOT_READY = 503
_OWN, _OF_CHILDREN = slice(11, 13), slice(13, 15)  # Places in /proc/PID/stat; of children that have ended.
_EVENTS_EACH = 10
_PAGE = """
[[pages]]
name = "six"
placements = [
  { name = "p1", items = 20 }, { name = "p2", items = 20 }, { name = "p3", items = 20 },
  { name = "p4", items = 20 }, { name = "p5", items = 20 }, { name = "p6", items = 100 },
]

"""


def costliest(folder: Path, only: str = "", *, n_events: int = 0) -> Iterator[Finding]:
    """CPU and memory of every request whose name holds `only`, beside `n_events` of other customers."""
    _fill(folder, n_events)
    policy = folder / "costliest.toml"
    built_in = Path(__file__).parents[1] / "recsvc" / "policy.toml"
    text = built_in.read_text(encoding="utf-8")
    policy.write_text(text.replace("\n[training]\n", f"\n{_PAGE}[training]\n", 1), encoding="utf-8")
    settings = {"RECSVC_POLICY_FILE": str(policy)}
    data = of_demo(folder)
    key = key_for(data, folder, role="admin")
    with _served(folder, settings, key) as served:
        version = served.send(Ask("", "GET", "/v1/models"))["champion"]
        for ask in preparation(version):
            served.send(ask)
        offers = [one["item_id"] for one in served.send(content_of(HEAVY, "offers", ""))["items"]]
    for ask in asks(version, [*offers, "none"][0]):
        if only in ask.what:
            with _served(folder, settings, key) as served:
                yield from served.measured(ask)


def _fill(folder: Path, n_events: int) -> None:
    with closing(open_database(f"sqlite:///{folder / 'data' / 'recsvc.sqlite3'}")) as database:
        n_customers = n_events // _EVENTS_EACH
        fill(database, n_events, n_customers, experiment="most", arms=ARMS, now=datetime.now(UTC))


@contextmanager
def _served(folder: Path, settings: Mapping[str, str], key: str) -> Iterator[_Served]:
    with ours("ours", folder, settings, lambda key, n: b"") as server:
        served = _Served(server.port, server.pid, key)
        served.wait()
        yield served


class _Served:
    """A server that was just started."""

    def __init__(self, port: int, pid: int, key: str) -> None:
        self._port, self._pid, self._key = port, pid, key

    def wait(self) -> None:
        """Return when it has a model, and has done what a worker does at its beginning."""
        while self._exchange(Ask("", "GET", "/readyz"))[0] != 200:
            time.sleep(0.1)
        for kind in ("content", "offers"):  # What every request needs for the first time is no request's own.
            self.send(content_of("nobody", kind, "?limit=1"))
        time.sleep(_SETTLED_SECONDS)

    def send(self, ask: Ask) -> Any:
        """The answer. Raises RuntimeError for another status."""
        status, body = self._exchange(ask)
        if status not in ask.expected:
            raise RuntimeError(f"{ask.what or ask.path}: {status}: {body[:600]!r}")
        return json.loads(body) if body[:1] in (b"{", b"[") else None

    def measured(self, ask: Ask) -> Iterator[Finding]:
        """What it costs; of a report that is not there yet, also once it is."""
        before = self._cpu_seconds_apart()
        findings, told = self._cost(replace(ask, expected=(*ask.expected, _NOT_READY)))
        yield from findings
        if not told or told.get("status") != _NOT_READY:
            return
        while self._exchange(ask)[0] == _NOT_READY:
            time.sleep(_SETTLED_SECONDS)
        apart = self._cpu_seconds_apart() - before
        yield Finding(f"{ask.what}: CPU of the process that makes it", apart * 1e3, "ms")
        yield from self._cost(replace(ask, what=f"{ask.what}, kept"))[0]

    def _cost(self, ask: Ask) -> tuple[Sequence[Finding], Any]:
        """CPU and memory of the request, and its answer."""
        processes = with_children(self._pid)
        for pid in processes:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # The highest begins anew.
        before = {pid: _memory_of(pid, "VmRSS") for pid in processes}
        started, cpu = time.monotonic(), _cpu_seconds_of(processes)
        told = self.send(ask)
        spent, took = _cpu_seconds_of(processes) - cpu, time.monotonic() - started
        risen = max(_memory_of(pid, "VmHWM") - before[pid] for pid in processes)
        note = f"{took * 1e3:,.0f} ms in all"
        findings = (
            Finding(f"{ask.what}: CPU", spent * 1e3, "ms", most=MOST_CPU_MS, note=note),
            Finding(f"{ask.what}: memory", risen, "MB", most=MOST_MB),
        )
        return findings, told

    def _cpu_seconds_apart(self) -> float:
        return _cpu_seconds_of(with_children(self._pid), _OF_CHILDREN)

    def _exchange(self, ask: Ask) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        headers = {"Authorization": f"Bearer {self._key}", **ask.more}
        if ask.body is not None:
            headers["Content-Type"] = ask.media_type
        connection.request(ask.method, ask.path, ask.content, headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body


def _cpu_seconds_of(processes: Sequence[int], places: slice = _OWN) -> float:
    """User and system time of all threads, of those that ended too: to a hundredth of a second."""
    facts = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes]
    return sum(int(ticks) for one in facts for ticks in one[places]) / os.sysconf("SC_CLK_TCK")


def _memory_of(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
