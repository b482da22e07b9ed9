"""A demo whose Redis may fail, and what may be asked of it. In: a folder, a Redis. Out: answers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.bench import ROOT
from benchmarks.contestants import free_port

READY_SECONDS = 240.0
_WORKER_CHARS = 16  # Of a request's id, drawn once for each worker process.


@dataclass(frozen=True, slots=True)
class Breakers:
    """How many workers leave Redis alone, how many take no list from it, and how often the first began."""

    resting: int
    bypassing: int
    openings: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status 0 where nothing did. `worker` is the same for all answers of a process."""

    status: int = 0
    body: Any = None
    worker: str = ""

    @property
    def item_ids(self) -> list[str]:
        """Of the list, where it is one."""
        return [item["item_id"] for item in self.body["items"]] if self.status == 200 else []


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is ready: its ports, a key, its customers."""

    port: int
    metrics_port: int
    key: str
    customers: Sequence[str]

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """One request on a connection of its own, which any worker may take."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            worker = response.headers.get("X-Request-ID", "")[:_WORKER_CHARS]
            return Answer(response.status, json.loads(response.read() or b"null"), worker)
        except (OSError, http.client.HTTPException):
            return Answer()
        finally:
            connection.close()

    def list_of(self, customer_id: str) -> Answer:
        """The customer's articles."""
        return self.ask("GET", f"/v1/customers/{customer_id}/recommendations/content")

    def turn_down(self, customer_id: str, item_id: str) -> Answer:
        """Send an event; status 202 acknowledges it."""
        event = {
            "event_id": uuid.uuid4().hex,
            "type": "dismiss",
            "customer_id": customer_id,
            "item_id": item_id,
            "occurred_at": datetime.now(UTC).isoformat(),
            "channel": "web",
        }
        return self.ask("POST", "/v1/events", {"events": [event]})

    def breakers(self) -> Breakers:
        """What `/metrics` tells of them. Workers write it down once a second."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as page:
            families = text_string_to_metric_families(page.read().decode())
            told = {
                (one.name, one.labels.get("store")): int(one.value)
                for family in families
                for one in family.samples
                if one.name.startswith("recsvc_breaker_")
            }
        return Breakers(
            told.get(("recsvc_breaker_open", "redis"), 0),
            told.get(("recsvc_breaker_open", "slates"), 0),
            told["recsvc_breaker_openings_total", "redis"],
        )


@contextmanager
def running(folder: Path, redis_url: str, workers: int) -> Iterator[Service]:
    """A demo over the Redis; what the folder keeps of an earlier one is used again."""
    port, metrics_port, ready = free_port(), free_port(), folder / "ready.json"
    names = [name for name in os.environ if not name.startswith("RECSVC_")]
    environment = {name: os.environ[name] for name in names} | {
        "PYTHONPATH": str(ROOT),
        "REDIS_URL": redis_url,
        "RECSVC_WORKERS": str(workers),
        "RECSVC_METRICS_PORT": str(metrics_port),
    }
    words = ["demo", "--port", str(port), "--ready-file", str(ready), "--data-dir", str(folder / "demo")]
    with (folder / "demo.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recsvc", *words], env=environment, stdout=log, stderr=log, cwd=folder
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the demo did not become ready; see {folder / 'demo.log'}")
            time.sleep(0.1)
        facts = json.loads(ready.read_bytes())
        yield Service(port, metrics_port, facts["keys"]["frontend"], facts["customers"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
