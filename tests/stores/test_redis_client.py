"""A Redis that is away, slow, hung or cross costs little, and never a secret."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from recsvc.errors import RedisError
from recsvc.stores.redis_client import RestingRedis, make_client, place_of
from recsvc.stores.redis_server import EmbeddedRedis

from .conftest import HandClock

TIMEOUT = 0.05
AT_MOST = 4.5  # Room for a slow machine, and far from the 5 seconds and the 10 retries of redis-py.


@pytest.fixture
def hung_port() -> Iterator[int]:
    """A server that accepts and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


def seconds_of_a_refusal(client: RestingRedis) -> float:
    start = time.perf_counter()
    with pytest.raises(RedisError):
        client.ping()
    return time.perf_counter() - start


def test_a_hung_redis_costs_one_timeout_and_then_nothing_for_a_while(
    hung_port: int, clock: HandClock
) -> None:
    client = RestingRedis(f"redis://127.0.0.1:{hung_port}", TIMEOUT, monotonic=clock)
    assert TIMEOUT <= seconds_of_a_refusal(client) < AT_MOST
    assert statistics.median(seconds_of_a_refusal(client) for _ in range(100)) < TIMEOUT
    clock.seconds += 1.0
    assert TIMEOUT <= seconds_of_a_refusal(client) < AT_MOST
    client.close()


def test_options_in_the_url_cannot_bring_long_waits_or_retries_back(hung_port: int, clock: HandClock) -> None:
    url = f"redis://127.0.0.1:{hung_port}?socket_timeout=5&socket_connect_timeout=5&retry_on_timeout=yes"
    client = RestingRedis(url, TIMEOUT, monotonic=clock)
    assert seconds_of_a_refusal(client) < AT_MOST
    client.close()


def test_after_its_rest_one_call_tries_while_the_others_are_still_refused(clock: HandClock) -> None:
    asked: list[float] = []

    class Watched(RestingRedis):
        def ping(self) -> None:
            def try_and_let_another_ask() -> None:
                asked.append(clock.seconds)
                if len(asked) == 2:
                    with pytest.raises(RedisError, match="a moment ago"):
                        self.ping()
                raise OSError

            self._ask(try_and_let_another_ask)

    client = Watched("redis://127.0.0.1:1", TIMEOUT, monotonic=clock)
    for _ in range(2):
        with pytest.raises(RedisError):
            client.ping()
        clock.seconds += 1.0
    assert len(asked) == 2
    client.close()


def test_a_redis_that_comes_back_is_used_again_after_the_rest(
    server: EmbeddedRedis, clock: HandClock
) -> None:
    url = server.url
    client = RestingRedis(url, 1.0, monotonic=clock)
    client.ping()
    server.stop()
    with pytest.raises(RedisError, match="does not answer"):
        client.ping()
    with pytest.raises(RedisError, match="a moment ago"):
        client.ping()
    clock.seconds += 1.0
    with pytest.raises(RedisError, match="does not answer"):
        client.ping()
    client.close()


def test_a_restarted_redis_is_used_at_once_by_a_client_that_did_not_notice(
    server: EmbeddedRedis, clock: HandClock
) -> None:
    client = RestingRedis(server.url, 1.0, monotonic=clock)
    client.ping()
    client.command("SET", "recsvc:x", b"1")
    kill_server(server)
    assert server.ensure_running()
    client.ping()
    assert client.command("GET", "recsvc:x") is None
    client.close()


def test_a_redis_that_refuses_is_asked_again_at_once(server: EmbeddedRedis, clock: HandClock) -> None:
    client = RestingRedis(server.url, 1.0, monotonic=clock)
    client.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(RedisError, match=r"refuses.*memory"):
        client.command("SET", "recsvc:x", b"1")
    client.ping()
    client.close()


def test_one_refused_command_of_a_transaction_is_an_error(server: EmbeddedRedis, clock: HandClock) -> None:
    client = RestingRedis(server.url, 1.0, monotonic=clock)
    with pytest.raises(RedisError, match="refuses"):
        client.transaction(("SET", "recsvc:x", b"1"), ("LPUSH", "recsvc:x", b"1"))
    client.close()


def test_a_new_connection_sends_nothing_before_its_work() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        client = make_client(f"redis://127.0.0.1:{listener.getsockname()[1]}", TIMEOUT)
        with pytest.raises(redis.TimeoutError):
            client.ping()
        client.close()
        connection, _ = listener.accept()
        with closing(connection):
            assert connection.recv(1000) == b"*1\r\n$4\r\nPING\r\n"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://:hush@localhost",
        "redis://:hush@host:port",
        "redis://:hu/hush@host",
        "redis://:hush@h?db=hush",
        "redis://:hush@h?nonsense=hush",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str, clock: HandClock) -> None:
    with pytest.raises(RedisError) as caught:
        RestingRedis(url, TIMEOUT, monotonic=clock).ping()
    assert "REDIS_URL" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_no_text_holds_the_password(clock: HandClock) -> None:
    client = RestingRedis("redis://me:hush@127.0.0.1:1/0", TIMEOUT, monotonic=clock)
    for _ in range(2):
        with pytest.raises(RedisError, match=r"127.0.0.1:1") as caught:
            client.ping()
        assert "hush" not in str(caught.value)
    client.close()


def test_a_wrong_password_is_said_to_be_one(server: EmbeddedRedis, clock: HandClock) -> None:
    owner = RestingRedis(server.url, 1.0, monotonic=clock)
    stranger = RestingRedis(f"{server.url}?password=hush", 1.0, monotonic=clock)
    owner.command("CONFIG", "SET", "requirepass", "other")
    with pytest.raises(RedisError, match=r"(?i)password") as caught:
        stranger.ping()
    assert "hush" not in str(caught.value)
    owner.close()
    stranger.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://me:hush@cache.example:7000/2", "cache.example:7000"),
        ("rediss://cache.example", "cache.example:6379"),
        ("unix://me@/run/redis.sock?password=hush", "/run/redis.sock"),
    ],
)
def test_a_place_is_an_address_without_secrets(url: str, place: str) -> None:
    assert place_of(url) == place


def kill_server(server: EmbeddedRedis) -> None:
    """End the server from within, behind the client's back, and wait until it is gone."""
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.connect(server.url.removeprefix("unix://"))
        other.sendall(b"SHUTDOWN NOSAVE\r\n")
        while other.recv(64):
            pass
    while server.is_running:
        time.sleep(0.005)


@pytest.fixture
def reader(server: EmbeddedRedis, clock: HandClock) -> Iterator[RestingRedis]:
    client = RestingRedis(server.url, 1.0, monotonic=clock)
    yield client
    client.close()


def test_a_read_answers_as_a_command_does(reader: RestingRedis) -> None:
    reader.command("SET", "a", b"\x00\r\n\xff" * 5_000)
    assert (
        reader.read("MGET", "a", "b") == reader.command("MGET", "a", "b") == [b"\x00\r\n\xff" * 5_000, None]
    )
    assert reader.read("GET", "b") is None


def test_a_refusal_is_an_error_and_the_next_read_answers(reader: RestingRedis) -> None:
    reader.command("LPUSH", "list", "a")
    with pytest.raises(RedisError, match="refuses"):
        reader.read("GET", "list")
    assert reader.read("LRANGE", "list", 0, -1) == [b"a"]


def test_a_connection_that_redis_closed_meanwhile_costs_a_read_nothing(
    server: EmbeddedRedis, reader: RestingRedis
) -> None:
    reader.command("SET", "a", "1")
    for _ in range(3):
        assert reader.read("GET", "a") == b"1"
        with closing(make_client(server.url, 1.0)) as other:
            other.client_kill_filter(skipme=True)
    assert reader.read("GET", "a") == b"1"


def test_what_is_put_is_there_however_the_connection_was(reader: RestingRedis, clock: HandClock) -> None:
    reader.put("SET", "a", b"1")
    assert reader.read("GET", "a") == b"1"
    reader.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    reader.put("SET", "a", b"\x00\r\n", "PX", 60_000)
    assert reader.read("GET", "a") == b"\x00\r\n"
    with pytest.raises(RedisError, match="refuses"):
        reader.put("SET", "a")
    assert reader.read("GET", "a") == b"\x00\r\n"


def test_a_redis_that_takes_nothing_is_put_nothing_on_the_same_connection(reader: RestingRedis) -> None:
    def connections_so_far() -> object:
        return reader.command("INFO", "stats")["total_connections_received"]

    reader.command("SET", "a", "1")
    reader.command("CONFIG", "SET", "maxmemory", 1)
    assert reader.read("GET", "a") == b"1"
    before = connections_so_far()
    for _ in range(5):
        with pytest.raises(RedisError, match="refuses"):
            reader.put("SET", "a", b"2")
    assert reader.read("GET", "a") == b"1"
    assert connections_so_far() == before
    assert not reader.is_resting()


def test_each_thread_reads_what_it_asked_for(reader: RestingRedis) -> None:
    for number in range(8):
        reader.command("SET", str(number), number)
    wrong: list[object] = []

    def read(number: int) -> None:
        answers = [reader.read("GET", str(number)) for _ in range(300)]
        wrong.extend(answer for answer in answers if answer != str(number).encode())

    threads = [threading.Thread(target=read, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_thread_that_ends_leaves_no_connection(server: EmbeddedRedis, reader: RestingRedis) -> None:
    for _ in range(5):
        thread = threading.Thread(target=lambda: reader.read("PING"))
        thread.start()
        thread.join()
    with closing(make_client(server.url, 1.0)) as other:
        assert len(other.client_list()) <= 2


def test_a_read_that_was_broken_off_is_never_answered_to_the_next(clock: HandClock) -> None:
    held: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        for answer in (b"$5\r\nwr", b"$5\r\nright\r\n"):  # The first never comes whole.
            connection, _ = listener.accept()
            held.append(connection)
            connection.recv(1_000)
            connection.sendall(answer)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(10)
        serving = threading.Thread(target=serve, args=[listener])
        serving.start()
        client = RestingRedis(f"redis://127.0.0.1:{listener.getsockname()[1]}", 0.5, monotonic=clock)
        with pytest.raises(RedisError, match="does not answer"):
            client.read("GET", "a")
        clock.seconds += 1.0
        assert client.read("GET", "a") == b"right"
        serving.join()
        client.close()
    for connection in held:
        connection.close()


def test_a_hung_redis_costs_a_read_one_timeout(hung_port: int, clock: HandClock) -> None:
    client = RestingRedis(f"redis://127.0.0.1:{hung_port}", TIMEOUT, monotonic=clock)
    start = time.perf_counter()
    for _ in range(50):
        with pytest.raises(RedisError):
            client.read("GET", "a")
    assert time.perf_counter() - start < AT_MOST
    client.close()


def test_a_redis_that_is_slow_again_and_again_is_left_alone_for_a_moment(
    server: EmbeddedRedis, clock: HandClock
) -> None:
    class Slow(RestingRedis):
        """Answers, and the clock moves on meanwhile."""

        def _read(self, words: Any) -> Any:
            clock.seconds += slowness.pop(0)
            return super()._read(words)

    client = Slow(server.url, 1.0, monotonic=clock)
    slowness = [0.9] * 4 + [0.1] + [0.9] * 5
    for _ in range(10):  # One that is quick between the slow ones starts the count anew.
        client.read("PING")
    with pytest.raises(RedisError, match="a moment ago"):
        client.read("PING")
    clock.seconds += 1.0
    slowness = [0.1]
    assert client.read("PING") == b"PONG"
    client.close()
