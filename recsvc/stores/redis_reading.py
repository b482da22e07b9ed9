"""Ask Redis for what is kept with less ado than redis-py. In: a connection of redis-py. Out: answers.

A slate is read for every answer that is in no worker's memory, and kept once it is made; redis-py takes
twice the CPU for it that the system's calls take. What is read here are words, strings and lists of strings,
as they come; whatever else Redis says is asked for again by redis-py, which knows what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis

_STRING, _LIST, _WORD, _REFUSAL = b"$*+-"  # How what Redis says begins, as numbers.
_PIECE_BYTES = 65_536
_READ_MEANWHILE = 10  # Answers, while one may be waited for: a thread that computes holds up each piece.
_Receive = Callable[[], bytes]
Answer = bytes | list[bytes | None] | None


class UnusualAnswer(Exception):
    """No word, no string nor a list of strings, or more of them than were asked for."""


class RefusedAnswer(UnusualAnswer):
    """Redis refuses, and says nothing after that: its connection is as good as before."""


def read_each(
    connection: Any, commands: Sequence[Sequence[str | bytes | int]], *, monotonic: Callable[[], float]
) -> list[Any]:
    """The answers to commands that may be sent twice to the same end, in one round trip.

    What breaks off on the way ends the connection, and so does more than was asked for: it must not answer
    what is asked next. An answer that comes bit by bit is waited for no longer than one that does not come,
    but for its last piece; many answers have more time to be read. Raises as redis-py does.
    """
    if not connection.is_connected:
        connection.connect()
    socket = getattr(connection, "_sock", None)  # redis-py has no name for it that is meant for others.
    if socket is None:
        return [_read_by_redis_py(connection, words) for words in commands]

    until = monotonic() + connection.socket_timeout * (1 + len(commands) // _READ_MEANWHILE)

    def receive() -> bytes:
        if monotonic() > until:
            raise TimeoutError
        piece: bytes = socket.recv(_PIECE_BYTES)
        if not piece:
            raise redis.ConnectionError("Redis closed the connection")
        return piece

    is_whole = False
    try:
        socket.sendall(b"".join(map(packed, commands)))
        answers = _read_answers(len(commands), receive)
        is_whole = True
        return answers
    except TimeoutError as error:
        raise redis.TimeoutError("Redis did not answer in time") from error
    except OSError as error:
        raise redis.ConnectionError("the connection to Redis broke") from error
    except RefusedAnswer:
        is_whole = len(commands) == 1  # A full Redis refuses each list: none shall cost a new connection.
    except (UnusualAnswer, ValueError):
        pass
    finally:
        if not is_whole:
            connection.disconnect()
    return [_read_by_redis_py(connection, words) for words in commands]


def packed(words: Sequence[str | bytes | int]) -> bytes:
    """A command as it is sent."""
    pieces = [b"*%d\r\n" % len(words)]
    for word in words:
        piece = word if isinstance(word, bytes) else str(word).encode()
        pieces.append(b"$%d\r\n%b\r\n" % (len(piece), piece))
    return b"".join(pieces)


def _read_answers(n_asked: int, receive: _Receive) -> list[Answer]:
    answers, data, place = list[Answer](), b"", 0
    for _ in range(n_asked):
        data = data if place < len(data) else data + receive()
        answer, data, place = read_answer(data, place, receive)
        answers.append(answer)
    if len(data) > place:
        raise UnusualAnswer
    return answers


def read_answer(data: bytes, place: int, receive: _Receive) -> tuple[Answer, bytes, int]:
    """The answer that begins at the place, all that was received by then, and the place behind it.

    Raises UnusualAnswer and ValueError, and what `receive` raises.
    """
    if data[place] == _STRING:
        return _read_string(data, place, receive)
    data, end = _line_end(data, place, receive)
    if data[place] == _WORD:
        return data[place + 1 : end], data, end + 2
    if data[place] == _REFUSAL and end + 2 == len(data):
        raise RefusedAnswer
    n_strings = int(data[place + 1 : end])
    if data[place] != _LIST or n_strings < 0:
        raise UnusualAnswer
    place, strings = end + 2, list[bytes | None]()
    for _ in range(n_strings):
        string, data, place = _read_string(data, place, receive)
        strings.append(string)
    return strings, data, place


def _read_string(data: bytes, place: int, receive: _Receive) -> tuple[bytes | None, bytes, int]:
    """The string that begins at the place, all that was received by then, and the place behind it."""
    end = data.find(b"\r\n", place)
    if end < 0:
        data, end = _line_end(data, place, receive)
    if data[place] != _STRING:
        raise UnusualAnswer
    n_bytes, start = int(data[place + 1 : end]), end + 2
    if n_bytes < 0:
        return None, data, start
    stop = start + n_bytes
    while len(data) < stop + 2:
        data += receive()
    return data[start:stop], data, stop + 2


def _line_end(data: bytes, place: int, receive: _Receive) -> tuple[bytes, int]:
    while (end := data.find(b"\r\n", place)) < 0:
        data += receive()
    return data, end


def _read_by_redis_py(connection: Any, words: Sequence[str | bytes | int]) -> Any:
    is_whole = False
    try:
        connection.send_packed_command(connection.pack_command(*words), check_health=False)
        answer = connection.read_response()
        is_whole = True
        return answer
    except redis.ResponseError:
        is_whole = True
        raise
    finally:
        if not is_whole:
            connection.disconnect()
