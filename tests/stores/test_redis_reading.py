"""What Redis sends is understood however it is cut into pieces."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
import redis

from recsvc.stores.redis_reading import read_each

LONG = bytes(range(256)) * 20
ANSWERS: list[tuple[bytes, object]] = [
    (b"+OK\r\n", b"OK"),
    (b"$-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n$3\r\n", b"\r\n$3"),
    (b"*0\r\n", []),
    (b"*2\r\n$1\r\na\r\n$-1\r\n", [b"a", None]),
    (b"*2\r\n$%d\r\n%b\r\n$2\r\n\r\n\r\n" % (len(LONG), LONG), [LONG, b"\r\n"]),
]


class Connection:
    """A connection of redis-py that brings prepared pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.is_connected = False
        self.socket_timeout = 0.05
        self.sent: list[bytes] = []
        self._pieces = iter(pieces)
        self._sock = self

    def connect(self) -> None:
        self.is_connected = True

    def disconnect(self) -> None:
        self.is_connected = False

    def recv(self, n_bytes: int) -> bytes:
        return next(self._pieces, b"")

    def sendall(self, packed: bytes) -> None:
        self.sent.append(packed)

    def send_packed_command(self, packed: list[bytes], *, check_health: bool) -> None:
        self.sent += packed

    def pack_command(self, *words: Any) -> list[bytes]:
        return [b"by redis-py"]

    def read_response(self) -> str:
        return "by redis-py"


def ask(connection: Connection, *words: str | bytes | int, step: float = 0.0) -> object:
    """The answer. Whoever looks at the clock finds that a step went by, in seconds."""
    (answer,) = read_each(connection, (words,), monotonic=itertools.count(1.0, step).__next__)
    return answer


def ask_all(connection: Connection, *commands: tuple[str, ...], step: float = 0.0) -> list[object]:
    return read_each(connection, commands, monotonic=itertools.count(1.0, step).__next__)


@pytest.mark.parametrize(("raw", "meant"), ANSWERS)
@pytest.mark.parametrize("n_bytes", [1, 3, 100_000])
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(raw: bytes, meant: object, n_bytes: int) -> None:
    pieces = [raw[start : start + n_bytes] for start in range(0, len(raw), n_bytes)]
    connection = Connection(pieces)
    assert ask(connection, "MGET", b"a", 12) == meant
    assert connection.sent == [b"*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$2\r\n12\r\n"]
    assert connection.is_connected


@pytest.mark.parametrize(
    "raw", [b"*1\r\n+a\r\n", b":1\r\n", b"-ERR no\r\n", b"*1\r\n:1\r\n", b"*-1\r\n", b"$x\r\n"]
)
def test_what_is_no_string_is_asked_for_by_redis_py_again(raw: bytes) -> None:
    connection = Connection([raw])
    assert ask(connection, "GET", "a") == "by redis-py"
    assert connection.sent[1:] == [b"by redis-py"]


def test_a_refusal_costs_the_connection_only_where_more_may_come_after_it() -> None:
    refused, overfull, first_of_two = (
        Connection([b"-OOM ", b"no room\r\n"]),
        Connection([b"-OOM no room\r\n+OK\r\n"]),
        Connection([b"-OOM no room\r\n"]),
    )
    assert ask(refused, "SET", "a", "1") == ask(overfull, "SET", "a", "1") == "by redis-py"
    assert ask_all(first_of_two, ("GET", "a"), ("GET", "b")) == ["by redis-py"] * 2
    assert [one.is_connected for one in (refused, overfull, first_of_two)] == [True, False, False]


@pytest.mark.parametrize("raw", [b"", b"*2\r\n$1\r\na\r\n", b"$5\r\nab", b"$"])
def test_what_breaks_off_ends_the_connection(raw: bytes) -> None:
    connection = Connection([raw])
    with pytest.raises(redis.ConnectionError):
        ask(connection, "GET", "a")
    assert not connection.is_connected


@pytest.mark.parametrize("raw", [b"$1\r\na\r\n$1\r\nb\r\n", b"*1\r\n$1\r\na\r\n$", b"$-1\r\n\r\n"])
def test_what_comes_beyond_the_answer_never_answers_what_is_asked_next(raw: bytes) -> None:
    connection = Connection([raw])
    assert ask(connection, "GET", "a") == "by redis-py"
    assert not connection.is_connected  # Redis-py makes a connection of its own.


def test_an_answer_that_comes_bit_by_bit_is_not_waited_for_in_full() -> None:
    connection = Connection(bytes([each]) for each in b"$12\r\nabcdefghijkl\r\n")
    with pytest.raises(redis.TimeoutError):
        ask(connection, "GET", "a", step=0.02)
    assert not connection.is_connected


@pytest.mark.parametrize("n_bytes", [1, 3, 7, 100_000])
def test_answers_to_many_are_the_same_in_whatever_pieces_they_come(n_bytes: int) -> None:
    raw = b"".join(raw for raw, _ in ANSWERS)
    connection = Connection([raw[start : start + n_bytes] for start in range(0, len(raw), n_bytes)])
    assert ask_all(connection, *[("GET", "a")] * len(ANSWERS)) == [meant for _, meant in ANSWERS]
    assert connection.sent == [b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n" * len(ANSWERS)]  # At once.
    assert connection.is_connected


def test_many_answers_are_given_time_to_be_read_but_no_end_of_it() -> None:
    """A thread that computes meanwhile holds up every piece, and Redis is not to blame for that."""
    asked = [("GET", "a")] * 50
    connection = Connection([b"$1\r\na\r\n"] * 50)
    assert ask_all(connection, *asked, step=0.005) == [b"a"] * 50
    with pytest.raises(redis.TimeoutError):
        ask_all(Connection([b"$1\r\na\r\n"] * 50), *asked, step=0.01)


def test_one_answer_of_many_that_is_no_string_has_all_asked_for_again() -> None:
    connection = Connection([b"$1\r\na\r\n:1\r\n$1\r\nb\r\n"])
    assert ask_all(connection, ("GET", "a"), ("DEL", "a"), ("GET", "b")) == ["by redis-py"] * 3
    assert connection.sent[1:] == [b"by redis-py"] * 3


@pytest.mark.parametrize("raw", [b"$1\r\na\r\n", b"$1\r\na\r\n$5\r\nab"])
def test_many_that_break_off_end_the_connection(raw: bytes) -> None:
    connection = Connection([raw])
    with pytest.raises(redis.ConnectionError):
        ask_all(connection, ("GET", "a"), ("GET", "b"))
    assert not connection.is_connected


def test_more_answers_than_were_asked_for_never_answer_what_is_asked_next() -> None:
    connection = Connection([b"$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"])
    assert ask_all(connection, ("GET", "a"), ("GET", "b")) == ["by redis-py"] * 2
    assert not connection.is_connected  # Redis-py makes a connection of its own.
