"""Whoever asks Redis without waiting hears what a read would say, or that nothing can be said so, once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from queue import Empty, Queue
from typing import Any

import pytest

from recsvc.stores import redis_asking
from recsvc.stores.breaker import Breaker
from recsvc.stores.redis_asking import MOST_ASKED, AskedRedis
from recsvc.stores.redis_client import RestingRedis, make_client
from recsvc.stores.redis_reading import Answer, packed
from recsvc.stores.redis_server import EmbeddedRedis

PATIENCE = 10.0
TIMEOUT = 0.2
STRING = b"$1\r\na\r\n"

Talk = Callable[[socket.socket], object]


@pytest.fixture
def client(server: EmbeddedRedis) -> Iterator[RestingRedis]:
    with closing(a_client(server.url)) as made:
        yield made


def a_client(url: str, timeout_seconds: float = 1.0) -> RestingRedis:
    return RestingRedis(url, timeout_seconds, monotonic=time.monotonic, cool_down_seconds=0.05)


def asked(client: RestingRedis, *words: str) -> Queue[Answer]:
    """What is heard, once Redis can be asked."""
    heard, until = Queue[Answer](), time.monotonic() + PATIENCE
    while not client.ask(*words, heard=heard.put):
        assert time.monotonic() < until
        time.sleep(0.005)
    return heard


@contextmanager
def talking(*talks: Talk) -> Iterator[str]:
    """The URL of a server that has the talks, one on each connection, and keeps all connections open."""
    held: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        for talk in talks:
            connection, _ = listener.accept()
            held.append(connection)
            with suppress(OSError):  # Whoever asked may have left.
                talk(connection)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(PATIENCE)
        serving = threading.Thread(target=serve, args=[listener], daemon=True)
        serving.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        serving.join(PATIENCE)
    for connection in held:
        connection.close()


def saying(*pieces: bytes) -> Talk:
    """Sends the pieces, after it was asked."""

    def talk(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(1_000)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02)

    return talk


def test_whoever_asks_hears_what_a_read_answers(client: RestingRedis) -> None:
    client.command("SET", "a", b"\x00\r\n\xff" * 100_000)  # More than one piece of what is received.
    for words in (("GET", "a"), ("GET", "b"), ("MGET", "a", "b")):
        assert asked(client, *words).get(timeout=PATIENCE) == client.read(*words)


def test_each_of_many_who_ask_at_once_hears_their_own_answer_and_hears_it_once(client: RestingRedis) -> None:
    for number in range(8):
        client.command("SET", str(number), str(number) * 10_000)
    heard: list[Queue[Answer]] = [Queue() for _ in range(8)]
    asked(client, "GET", "0").get(timeout=PATIENCE)

    def ask(number: int) -> None:
        for _ in range(200):
            while not client.ask("GET", str(number), heard=heard[number].put):
                time.sleep(0.001)  # More are on their way than the system takes.

    threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        assert {heard[number].get(timeout=PATIENCE) for _ in range(200)} == {str(number).encode() * 10_000}
    assert all(each.empty() for each in heard)


def test_asking_never_waits_for_a_connection(client: RestingRedis) -> None:
    assert not client.ask("GET", "a", heard=[].append)


@pytest.mark.parametrize("pieces", [[STRING], [STRING[:1], STRING[1:]], [STRING[:4], STRING[4:-1], b"\n"]])
def test_an_answer_is_heard_in_whatever_pieces_it_comes(pieces: list[bytes]) -> None:
    with talking(saying(*pieces)) as url, closing(a_client(url)) as client:
        assert asked(client, "GET", "a").get(timeout=PATIENCE) == b"a"


@pytest.mark.parametrize(
    "said", [b"-LOADING\r\n", b"*1\r\n+OK\r\n", b":1\r\n", b"$x\r\n", b"*-1\r\n", b"*1\r\n:1\r\n"]
)
def test_what_is_no_string_is_not_heard_and_ends_the_connection(said: bytes) -> None:
    with talking(saying(said), saying(STRING)) as url, closing(a_client(url)) as client:
        assert asked(client, "GET", "a").get(timeout=PATIENCE) is None
        assert client.count_rests() == 0  # It answered: whoever reads will be told.
        assert asked(client, "GET", "a").get(timeout=PATIENCE) == b"a"


def test_what_comes_beyond_the_answer_never_answers_what_is_asked_next() -> None:
    with talking(saying(STRING + b"$1\r\nb\r\n"), saying(STRING)) as url, closing(a_client(url)) as client:
        assert asked(client, "GET", "a").get(timeout=PATIENCE) == b"a"
        time.sleep(0.05)
        assert asked(client, "GET", "a").get(timeout=PATIENCE) == b"a"


@pytest.mark.parametrize("said", [b"", b"$5\r\nab"])
def test_an_answer_that_does_not_come_in_time_is_waited_for_once_and_never_heard_late(said: bytes) -> None:
    def late(connection: socket.socket) -> None:
        saying(said)(connection)
        time.sleep(TIMEOUT * 2)
        connection.sendall(b"$5\r\nwrong\r\n")

    with talking(late) as url, closing(a_client(url, TIMEOUT)) as client:
        heard = asked(client, "GET", "a")
        began = time.monotonic()
        assert heard.get(timeout=PATIENCE) is None
        assert TIMEOUT * 0.5 < time.monotonic() - began < TIMEOUT * 5
        assert client.count_rests() == 1  # Left alone, as after a read.
        assert not client.ask("GET", "a", heard=heard.put)
        with pytest.raises(Empty):
            heard.get(timeout=TIMEOUT * 3)


def test_an_answer_that_comes_bit_by_bit_is_not_waited_for_in_full() -> None:
    with (
        talking(saying(*(bytes([each]) for each in b"$30\r\n" + b"a" * 30 + b"\r\n"))) as url,
        closing(a_client(url, TIMEOUT)) as client,
    ):
        assert asked(client, "GET", "a").get(timeout=PATIENCE) is None


def test_many_answers_that_were_held_up_together_are_one_slow_answer() -> None:
    goes_on = threading.Event()

    def slow(connection: socket.socket) -> None:
        for _ in range(5):
            goes_on.wait(PATIENCE)
            goes_on.clear()
            time.sleep(TIMEOUT * 0.6)
            connection.sendall(STRING * (len(connection.recv(1_000)) // len(packed(("GET", "a")))))

    with talking(slow) as url, closing(a_client(url, TIMEOUT)) as client:
        for number in range(5):
            assert client.count_rests() == 0
            heard = asked(client, "GET", "a")
            n_asked = 1 + sum(client.ask("GET", "a", heard=heard.put) for _ in range(5 - number))
            goes_on.set()
            assert [heard.get(timeout=PATIENCE) for _ in range(n_asked)] == [b"a"] * n_asked
        assert client.count_rests() == 1


def test_redis_is_not_blamed_for_those_who_take_long_to_hear(server: EmbeddedRedis) -> None:
    with closing(a_client(server.url, TIMEOUT)) as client:
        client.command("SET", "a", "a" * 40_000)  # The answers come in several pieces.
        asked(client, "GET", "a").get(timeout=PATIENCE)
        heard = Queue[Answer]()

        def hear(answer: Answer) -> None:
            time.sleep(TIMEOUT / 6)
            heard.put(answer)

        n_asked = sum(client.ask("GET", "a", heard=hear) for _ in range(MOST_ASKED))
        assert [heard.get(timeout=PATIENCE) for _ in range(n_asked)] == [b"a" * 40_000] * MOST_ASKED
        assert client.count_rests() == 0


def test_so_many_may_wait_at_a_time_and_no_more() -> None:
    with talking(lambda connection: None) as url, closing(a_client(url)) as client:
        heard = asked(client, "GET", "a")
        assert sum(client.ask("GET", "a", heard=heard.put) for _ in range(100)) == MOST_ASKED - 1
        assert [heard.get(timeout=PATIENCE) for _ in range(MOST_ASKED)] == [None] * MOST_ASKED


def test_a_connection_that_breaks_off_is_made_anew_and_says_nothing_about_redis(
    server: EmbeddedRedis, client: RestingRedis
) -> None:
    client.command("SET", "a", "1")
    for _ in range(3):
        assert asked(client, "GET", "a").get(timeout=PATIENCE) == b"1"
        with closing(make_client(server.url, 1.0)) as other:
            other.client_kill_filter(skipme=True)
        until = time.monotonic() + PATIENCE
        while client.ask("GET", "a", heard=(lost := Queue[Answer]()).put) and time.monotonic() < until:
            assert lost.get(timeout=PATIENCE) in (None, b"1")
    assert asked(client, "GET", "a").get(timeout=PATIENCE) == b"1"
    assert client.count_rests() == 0


def test_all_who_ask_a_redis_that_takes_nothing_any_more_hear_of_none() -> None:
    """Until its buffers are full, what is asked goes out; nothing goes out behind half a command."""
    with talking(lambda connection: None) as url, closing(a_client(url, TIMEOUT)) as client:
        heard = asked(client, "GET", "a")
        n_asked = 1 + sum(client.ask("GET", "a" * 100_000, heard=heard.put) for _ in range(200))
        assert [heard.get(timeout=PATIENCE) for _ in range(n_asked)] == [None] * n_asked
        with pytest.raises(Empty):
            heard.get(timeout=TIMEOUT)


def test_one_who_fails_while_hearing_costs_others_nothing_and_is_told_of_none(client: RestingRedis) -> None:
    heard: list[Answer] = []
    asked(client, "GET", "a").get(timeout=PATIENCE)

    def fail(answer: Answer) -> None:
        heard.append(answer)
        raise ZeroDivisionError

    client.command("SET", "a", "1")
    assert client.ask("GET", "a", heard=fail)
    assert asked(client, "GET", "a").get(timeout=PATIENCE) == b"1"
    assert heard == [b"1", None]


@pytest.mark.parametrize("failure", [MemoryError, SystemExit])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whoever_hears_is_replaced_whatever_it_failed_of(
    server: EmbeddedRedis, client: RestingRedis, failure: type[BaseException]
) -> None:
    client.command("SET", "a", "1")
    failures = [failure()]

    def connection() -> Any:
        if failures:
            raise failures.pop()
        return make_client(server.url, 1.0).connection_pool.get_connection()

    breaker = Breaker(1.0, 1.0, monotonic=time.monotonic)
    asked, heard = AskedRedis(connection, breaker, 1.0, 0.05, monotonic=time.monotonic), Queue[Answer]()
    until = time.monotonic() + PATIENCE
    while not asked.ask(("GET", "a"), heard.put):
        assert time.monotonic() < until
        time.sleep(0.005)
    assert heard.get(timeout=PATIENCE) == b"1"
    asked.close()


def test_a_connection_on_which_nobody_asks_is_ended_and_made_anew(
    server: EmbeddedRedis, client: RestingRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_asking, "IDLE_SECONDS", 0.0)
    assert asked(client, "GET", "a").get(timeout=PATIENCE) is None
    until = time.monotonic() + PATIENCE
    with closing(make_client(server.url, 1.0)) as other:
        while len(other.client_list()) > 1 and time.monotonic() < until:
            time.sleep(0.01)
        assert len(other.client_list()) == 1
    assert asked(client, "GET", "a").get(timeout=PATIENCE) is None


def test_whoever_still_waits_when_a_client_is_closed_hears_of_none() -> None:
    with talking(lambda connection: None) as url:
        client = a_client(url, 5.0)
        heard = asked(client, "GET", "a")
        client.close()
        assert heard.get(timeout=PATIENCE) is None
        assert not client.ask("GET", "a", heard=heard.put)
