"""The service in processes of its own, as a front end and a marketer use it. In: a folder. Out: lists."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.bench import ROOT

_READY_SECONDS = 60.0
_KNOWN_SECONDS = 30.0
_LIVE_AGE_SECONDS = 0.06  # What is live may be so old in an answer, and a little less.


class RunningService:
    """`recsvc serve` with one worker over the models and the store of a folder; ended on leaving."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unknown: set[str] = set()
        self._told_at = 0.0
        names = [name for name in os.environ if not name.startswith("RECSVC_") and name != "REDIS_URL"]
        self._environment = {name: os.environ[name] for name in names} | {
            "PYTHONPATH": str(ROOT),
            "RECSVC_DATA_DIR": str(folder / "data"),
            "RECSVC_MODELS_DIR": str(folder / "models"),
            "RECSVC_REFRESH_SECONDS": "0.05",
        }

    def __enter__(self) -> RunningService:
        self._keys = {role: self._key(role) for role in ("frontend", "marketer")}
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        command = [sys.executable, "-m", "recsvc", "serve", "--port", str(self._port), "--workers", "1"]
        with (self._folder / "serve.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=self._folder, stdout=log, stderr=log
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._end()

    def list_of(self, customer_id: str, limit: int) -> list[str]:
        """The ids of the customer's articles, once the service knows all that it was told."""
        for item_id in self._unknown:
            self._wait_for(item_id)
        self._unknown.clear()
        time.sleep(max(0.0, self._told_at + _LIVE_AGE_SECONDS - time.monotonic()))
        path = f"/v1/customers/{customer_id}/recommendations/content?limit={limit}"
        answer = self._ask("GET", path, "frontend", expected=200)
        return [item["item_id"] for item in answer["items"]]

    def publish(self, item_id: str, published_at: str) -> None:
        """Put an article into the catalogue."""
        body = {"kind": "content", "published_at": published_at}
        self._ask("PUT", f"/v1/items/{item_id}", "marketer", body, expected=201)
        self._unknown.add(item_id)

    def tell(self, event: dict[str, Any]) -> None:
        """Send one event, and return when it is durable."""
        self._ask("POST", "/v1/events", "frontend", {"events": [event]}, expected=202)
        self._told_at = time.monotonic()

    def _wait_for(self, item_id: str) -> None:
        deadline = time.monotonic() + _KNOWN_SECONDS
        while self._send("GET", f"/v1/items/{item_id}/similar?limit=1", "frontend")[0] != 200:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the service does not come to know article {item_id}")
            time.sleep(0.01)

    def _ask(self, method: str, path: str, role: str, body: object = None, *, expected: int) -> Any:
        status, answer = self._send(method, path, role, body)
        if status != expected:
            raise RuntimeError(f"{method} {path}: {status} instead of {expected}: {answer}")
        return answer

    def _send(self, method: str, path: str, role: str, body: object = None) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self._keys[role]}", "Content-Type": "application/json"}
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        raw = response.read()
        return response.status, json.loads(raw) if raw else None

    def _key(self, role: str) -> str:
        made = subprocess.run(
            [sys.executable, "-m", "recsvc", "keys", "create", "--role", role, "--json"],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return str(json.loads(made.stdout)["key"])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
            try:
                connection.request("GET", "/readyz")
                report = json.loads(connection.getresponse().read())
                if report["ready"] and report["model"]["version"] and report["live"]["behind"] == 0:
                    return
            except (OSError, http.client.HTTPException, json.JSONDecodeError, TypeError):
                pass
            finally:
                connection.close()
            time.sleep(0.1)
        raise RuntimeError(f"the service did not become ready; see {self._folder / 'serve.log'}")

    def _end(self) -> None:
        """End what was started, and nothing else."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
