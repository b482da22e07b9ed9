"""Ask Redis without waiting for it. In: commands, and who is to hear the answers. Out: answers, on a thread.

A thread that waits for Redis gives its core and the interpreter away, and finds the core's caches cold when
it comes back: that costs more than all that it does with the answer. So askers share a connection, on which
they leave their commands one behind the other; the answers come in the same order, and one thread hears them,
as many at a time as there are by then.

Nobody hears an error. Where an answer does not come in time, breaks off or is an unusual one, whoever asked
hears None, and finds out by asking in the way in which one waits. The connection is ended then: what comes
late must not answer what is asked next.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import structlog

from recsvc.stores.breaker import Breaker
from recsvc.stores.redis_reading import Answer, UnusualAnswer, packed, read_answer

log = structlog.get_logger()

IDLE_SECONDS = 10.0  # A connection on which nobody asks for so long is ended, so that nobody watches it.
MOST_ASKED = 16
"""So many may wait at a time: more would wait for one another, and Redis be blamed for it. Who comes then
asks in the way in which one waits, and takes no more requests meanwhile."""
_PIECE_BYTES = 262_144

Heard = Callable[[Answer], object]


class _Question(NamedTuple):
    """Who is to hear the answer, when it was asked for, and how long others had been told theirs by then."""

    heard: Heard
    asked_at: float
    telling_seconds: float


class _NotWhole(Exception):
    """The rest of the answer is still to come."""


class AskedRedis:
    """One connection for all who ask, and the thread that hears the answers."""

    def __init__(
        self,
        new_connection: Callable[[], Any],
        breaker: Breaker,
        timeout_seconds: float,
        cool_down_seconds: float,
        *,
        monotonic: Callable[[], float],
    ) -> None:
        """`new_connection` makes one of redis-py. Neither it nor the thread is there before somebody asks.

        After a failure nobody may ask for `cool_down_seconds`.
        """
        self._new_connection = new_connection
        self._breaker = breaker
        self._timeout_seconds = timeout_seconds
        self._cool_down_seconds = cool_down_seconds
        self._monotonic = monotonic
        self._questions: deque[_Question] = deque()
        self._telling_seconds = 0.0  # So far: that somebody waits meanwhile says nothing about Redis.
        self._socket: socket.socket | None = None  # While it may be asked.
        self._thread: threading.Thread | None = None
        self._is_wanted = threading.Event()
        self._is_closed = threading.Event()
        self._lock = threading.Lock()

    def ask(self, words: tuple[str, ...], heard: Heard) -> bool:
        """Send a command that changes nothing; whether `heard` will be told the answer, or None, once.

        Never waits. Where it says False it is ready before long, unless Redis is left alone.
        """
        if self._breaker.is_open or len(self._questions) >= MOST_ASKED:
            return False
        if self._socket is None:
            self._want()
            return False
        command = packed(words)
        with self._lock:
            raw = self._socket  # Whatever becomes of it meanwhile: who was noted must hear of it.
            if raw is None:
                return False
            self._questions.append(_Question(heard, self._monotonic(), self._telling_seconds))
            try:
                is_sent = raw.send(command) == len(command)
            except BlockingIOError:  # Too many are on their way, and nothing of this one is.
                self._questions.pop()
                return False
            except OSError:
                is_sent = False
            if not is_sent:
                # Half a command may be on its way. Who hears the answers finds that none will come.
                with suppress(OSError):
                    raw.shutdown(socket.SHUT_RDWR)
        return True

    def close(self) -> None:
        """Let nobody ask any more."""
        self._is_closed.set()
        self._is_wanted.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(self._timeout_seconds * 2)

    def _want(self) -> None:
        self._is_wanted.set()
        if self._is_closed.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="redis answers", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._is_wanted.wait() and not self._is_closed.is_set():
            self._is_wanted.clear()
            connection = self._new_connection()
            try:
                connection.connect()
                self._hear_on(connection)
            except Exception as error:
                log.warning("redis_not_heard", error=type(error).__name__)
                self._is_closed.wait(self._cool_down_seconds)
            finally:
                connection.disconnect()

    def _hear_on(self, connection: Any) -> None:
        raw = getattr(connection, "_sock", None)  # redis-py has no name for it meant for others.
        if type(raw) is not socket.socket:
            # What is encrypted may wait unread where nobody who watches a socket is told.
            self._is_closed.set()
            return
        raw.setblocking(False)
        self._socket = raw
        try:
            self._hear(raw)
        finally:  # Whatever ends it, whoever asked must hear of it, and of nothing that comes later.
            self._tell_none()

    def _hear(self, raw: socket.socket) -> None:
        """Hear answers until nobody has asked for long. Raises what ends the connection."""
        watch, data, last_at = select.poll(), b"", self._monotonic()
        watch.register(raw, select.POLLIN)
        while not self._is_closed.is_set():
            left = self._seconds_left()
            # Where nobody waits now, whoever asks meanwhile is looked for again before their time is over.
            if watch.poll(max(0.0, self._timeout_seconds if left is None else left) * 1000):
                piece = raw.recv(_PIECE_BYTES)
                if not piece:
                    raise ConnectionError
                rest, last_at = self._tell(data + piece), self._monotonic()
                is_told, data = len(rest) < len(data) + len(piece), rest
                if is_told:  # The next one's may lie there by now.
                    continue
            left = self._seconds_left()
            if left is not None and left <= 0:
                self._breaker.note_failure()
                raise TimeoutError
            if left is None and self._monotonic() - last_at > IDLE_SECONDS and self._ends():
                return

    def _seconds_left(self) -> float | None:
        """For the first of those who wait; None where nobody does."""
        try:
            return self._timeout_seconds - self._waited(self._questions[0])
        except IndexError:
            return None

    def _waited(self, question: _Question) -> float:
        """So many seconds for Redis, and not for others to be told."""
        telling_seconds = self._telling_seconds - question.telling_seconds
        return self._monotonic() - question.asked_at - telling_seconds

    def _tell(self, data: bytes) -> bytes:
        """Tell each whose answer is there; what was received of the next one."""
        place, began = 0, self._monotonic()
        try:
            while place < len(data):
                answer, _, end = read_answer(data, place, _receive_no_more)
                if not self._questions:
                    raise UnusualAnswer
                question = self._questions.popleft()
                if place == 0:  # What comes together was held up together, by whatever it was: once.
                    self._breaker.note_answer(self._waited(question))
                place = end
                _tell_one(question.heard, answer)
        except _NotWhole:
            pass
        self._telling_seconds += self._monotonic() - began
        return data[place:]

    def _ends(self) -> bool:
        """Whether nobody asked meanwhile: then nobody will."""
        with self._lock:
            if self._questions:
                return False
            self._socket = None
            return True

    def _tell_none(self) -> None:
        with self._lock:
            self._socket = None
            questions = tuple(self._questions)
            self._questions.clear()
        for question in questions:
            _tell_one(question.heard, None)


def _tell_one(heard: Heard, answer: Answer) -> None:
    """Nobody's fault may cost others their answers, nor somebody their own."""
    try:
        heard(answer)
    except Exception:
        if answer is not None:
            _tell_one(heard, None)
        log.exception("answer_not_heard")


def _receive_no_more() -> bytes:
    raise _NotWhole
