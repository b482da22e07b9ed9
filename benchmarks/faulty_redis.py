"""A Redis to break: a server of our own behind a proxy that misbehaves on command."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import redis

from benchmarks.bench import ROOT
from benchmarks.contestants import free_port

_START_SECONDS = 10.0
_PASSWORD = "another-password"


class FaultyRedis:
    """Use as a context manager. `url` is where clients find it; `log` is where the server writes."""

    def __init__(self, log: Path) -> None:
        binary = shutil.which("redis-server") or shutil.which("valkey-server")
        if binary is None:
            raise FileNotFoundError("no redis-server or valkey-server on PATH: install one")
        self._binary = binary
        self._log = log
        self._own_port, self._proxy_port = free_port(), free_port()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Through the proxy."""
        return f"redis://127.0.0.1:{self._proxy_port}/0"

    def __enter__(self) -> FaultyRedis:
        self.start()
        command = [
            sys.executable,
            "-m",
            "benchmarks.redis_proxy",
            str(self._proxy_port),
            str(self._own_port),
        ]
        self._proxy = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._proxy.stdout is not None
        self._proxy.stdout.readline()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._proxy.kill()
        self._proxy.wait()
        for pipe in (self._proxy.stdin, self._proxy.stdout):
            if pipe is not None:
                pipe.close()
        self.kill()

    def start(self) -> None:
        """Start the server, empty, and return when it answers."""
        options = ["--port", str(self._own_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [self._binary, *options], stdout=log, stderr=log, cwd=self._log.parent
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with suppress(redis.RedisError):
                self._tell("PING")
                return
            time.sleep(0.02)
        raise RuntimeError(f"the Redis to break did not start; see {self._log}")

    def kill(self) -> None:
        """SIGKILL, to a stopped one too."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def stop(self) -> None:
        """SIGSTOP: connections stand, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def misbehave(self, mode: str) -> None:
        """Put the proxy into a mode."""
        assert self._proxy.stdin is not None and self._proxy.stdout is not None
        self._proxy.stdin.write(f"{mode}\n")
        self._proxy.stdin.flush()
        self._proxy.stdout.readline()

    def fill_up(self) -> None:
        """Out of memory: whatever writes is refused."""
        self._tell("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self._tell("CONFIG", "SET", "maxmemory", "1mb")

    def empty_out(self) -> None:
        """Memory enough again."""
        self._tell("CONFIG", "SET", "maxmemory", "0")

    def refuse_writes(self) -> None:
        """As a Redis that lost its replicas."""
        self._tell("CONFIG", "SET", "min-replicas-to-write", "3")

    def allow_writes(self) -> None:
        """Writes again."""
        self._tell("CONFIG", "SET", "min-replicas-to-write", "0")

    def ask_for_password(self) -> None:
        """Refuse whoever does not know a password that nobody was told, and end who is connected."""
        self._tell("CONFIG", "SET", "requirepass", _PASSWORD)
        self._tell("CLIENT", "KILL", "TYPE", "normal", password=_PASSWORD)
        self._tell("CLIENT", "KILL", "TYPE", "pubsub", password=_PASSWORD)

    def ask_for_none(self) -> None:
        """No password again."""
        self._tell("CONFIG", "SET", "requirepass", "", password=_PASSWORD)

    def flush(self) -> None:
        """Lose all keys."""
        self._tell("FLUSHALL")

    def _tell(self, *words: str, password: str | None = None) -> None:
        with redis.Redis(port=self._own_port, socket_timeout=2, password=password) as client:
            client.execute_command(*words)

    def _signal(self, number: signal.Signals) -> None:
        if self._server is not None:
            os.kill(self._server.pid, number)
