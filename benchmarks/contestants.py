"""Servers to measure against one another, each in processes of its own. In: a folder. Out: ports, CPU time.

All run at the same time on loopback with one worker, so that rounds can be interleaved and whatever else the
machine does meets all alike. They are sent the same requests, and send the same lists, which are ours.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.bench import ROOT
from benchmarks.load import Answer, open_loop

CUSTOMERS = tuple(f"c{n:04}" for n in range(1, 51))
THREADS = "1"  # As many as ours lets granian have.
_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_TICK = os.sysconf("SC_CLK_TCK")
_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/static; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running server. `request` gives the n-th request to it as bytes."""

    name: str
    port: int
    pid: int
    request: Callable[[int], bytes]

    def cpu_seconds(self) -> float:
        """CPU time of its processes so far, user and system."""
        return sum(_ticks_of(pid) for pid in _family(self.pid)) / _TICK


@contextmanager
def bare_wsgi(folder: Path, model: Contestant) -> Iterator[Contestant]:
    """One of the model's lists for whatever is asked, on the same server."""
    list_file = folder / "list.json"
    list_file.write_bytes(body_of(model, 0))
    with _granian("benchmarks.naive_service:bare", folder, {"LIST_FILE": str(list_file)}) as (port, pid):
        yield Contestant("bare WSGI", port, pid, model.request)


@contextmanager
def naive(folder: Path, redis_url: str, model: Contestant) -> Iterator[Contestant]:
    """Flask, redis-py and marshmallow on the same server, over lists of the model in Redis."""
    client = redis.Redis.from_url(redis_url)
    for number, customer_id in enumerate(CUSTOMERS):
        client.set(f"naive:{customer_id}", body_of(model, number))
    client.close()
    with _granian("benchmarks.naive_service:create", folder, {"REDIS_URL": redis_url}, "--factory") as (
        port,
        pid,
    ):
        yield Contestant("naive", port, pid, model.request)


@contextmanager
def nginx_static(folder: Path, model: Contestant) -> Iterator[Contestant | None]:
    """nginx with one of the model's lists in a file; None where it is not installed."""
    binary = shutil.which("nginx")
    if binary is None:
        yield None
        return
    place, port = folder / "nginx", free_port()
    (place / "static").mkdir(parents=True)
    place.chmod(0o755)
    (place / "static" / "list.json").write_bytes(body_of(model, 0))
    conf = place / "nginx.conf"
    as_root = "user root;" if os.geteuid() == 0 else ""
    conf.write_text(as_root + _NGINX.format(folder=place, port=port))
    with _running([binary, "-p", str(place), "-c", str(conf)], place, {}, port) as pid:
        rest = model.request(0).partition(b" HTTP/1.1")[2]
        asked = b"GET /list.json HTTP/1.1" + rest
        yield Contestant("nginx static", port, pid, lambda n: asked)


@contextmanager
def ours(
    name: str, folder: Path, settings: Mapping[str, str], requests: Callable[[str, int], bytes]
) -> Iterator[Contestant]:
    """`recsvc serve` over the models and the store of a demo's folder. `requests` gets a key and n."""
    environment = {**of_demo(folder), **settings}
    key = key_for(environment, folder)
    port = free_port()
    command = [sys.executable, "-m", "recsvc", "serve", "--port", str(port), "--workers", "1"]
    with _running(command, folder, environment, port) as pid:
        yield Contestant(name, port, pid, lambda n: requests(key, n))


def body_of(one: Contestant, number: int) -> bytes:
    """What it answers the n-th request with. Raises RuntimeError where that is no list."""
    told: list[Answer] = []
    open_loop(
        one.port,
        lambda _: one.request(number),
        n_connections=1,
        seconds=1,
        per_second=1,
        heard=told.append,
    )
    if [each.status for each in told] != [200]:
        raise RuntimeError(f"{one.name} answers {told!r}")
    return told[0].raw.partition(b"\r\n\r\n")[2]


def key_for(environment: Mapping[str, str], folder: Path, role: str = "frontend") -> str:
    """A new API key of the role."""
    made = subprocess.run(
        [sys.executable, "-m", "recsvc", "keys", "create", "--role", role, "--json"],
        env=environment_of(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(made.stdout)["key"])


def of_demo(folder: Path) -> dict[str, str]:
    """Settings of a service over the models and the store of a demo's folder."""
    return {"RECSVC_DATA_DIR": str(folder / "data"), "RECSVC_MODELS_DIR": str(folder / "models")}


def environment_of(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of the service, and with others."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("RECSVC_") and k != "REDIS_URL"}
    return plain | {"PYTHONPATH": str(ROOT)} | dict(more)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _granian(target: str, folder: Path, more: Mapping[str, str], *options: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--http", "1"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--blocking-threads", THREADS),
        *("--backpressure", "256", "--log-level", "warning", *options, target),
    ]
    with _running(command, folder, more, port) as pid:
        yield port, pid


@contextmanager
def _running(command: list[str], folder: Path, more: Mapping[str, str], port: int) -> Iterator[int]:
    """The pid of a server that answers on the port; ended on leaving, with all that it started."""
    with (folder / f"server-{port}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment_of(more), cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on {port}: see its log in the working folder")


def children_of(pid: int) -> Iterator[int]:
    """Those that live, by what each says of its parent: a list by thread loses them as threads end."""
    for folder in Path("/proc").glob("[0-9]*"):
        if (facts := _facts_of(folder.name)) and int(facts[1]) == pid:
            yield int(folder.name)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in children_of(pid):
        yield from _family(child)


def _ticks_of(pid: int) -> int:
    facts = _facts_of(pid)
    return int(facts[11]) + int(facts[12]) if facts else 0


def _facts_of(pid: int | str) -> list[str]:
    """What follows the name in its `stat`; nothing of a process that is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def made_demo(folder: Path) -> Path:
    """The folder of a demo: a sample bank, trained on."""
    folder.mkdir(parents=True)
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "recsvc", "demo", "--port", str(free_port())]
    command += ["--data-dir", str(folder), "--ready-file", str(ready)]
    with (folder / "demo.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment_of({}), cwd=folder, stdout=log, stderr=log)
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError(f"the demo ended: see {folder / 'demo.log'}")
            time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_SECONDS)
    return folder
