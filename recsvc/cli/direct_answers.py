"""Answer what is at hand at once, and let one thread at a time take requests. In: granian's requests.

granian runs a WSGI application on threads that each take a request and then the interpreter. Where several
take them, they wait for one another at every request, which costs as much as the answer does; where there is
only one, whoever waits for the store makes all others wait. So one thread takes requests. What stands ready
in this worker's memory it gives at once, without what WSGI would have it put together; what Redis is to be
asked for, whoever hears Redis gives when it comes. Before it does anything that has to be waited for, it lets
another one take the next request.

That is no promise of granian's: it takes the place of the function that wraps a WSGI application there. A
release of granian that has no such function is served through WSGI alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol
from wsgiref.types import WSGIApplication

from granian.server import mp as granian_workers

from recsvc.cli.workers import LEAVING

WRAPPER = "_wsgi_call_wrap"

Headers = list[tuple[str, str]]
Reply = tuple[int, Headers, bytes]


class Taker(Protocol):
    """Where granian takes an answer."""

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Send an answer."""
        ...


class Answering(Protocol):
    """What answers without anybody's waiting, from what a request says of itself."""

    def at_hand(self, scope: dict[str, Any], /) -> Reply | None:
        """The reply that stands ready; None without one."""
        ...

    def ask(self, scope: dict[str, Any], heard: Callable[[Reply | None], object], /) -> bool:
        """Have a reply told, or None where there is none after all; whether it will be, on any thread."""
        ...


_Answer = Callable[[Taker, dict[str, Any]], object]


class Turns:
    """Whose turn it is to take requests: one thread's, whenever there is one that has nothing else to do."""

    def __init__(self) -> None:
        self.n_taking = 0
        """Threads that take requests now. There are two for as long as a request takes, when one is new."""
        self._here = threading.local()
        self._lock = threading.RLock()
        self._resting: list[threading.Lock] = []

    def come(self) -> None:
        """Somebody took a request. A thread that was not here before takes them from now on until it ends."""
        try:
            self._here.presence  # noqa: B018
        except AttributeError:
            with self._lock:
                self.n_taking += 1
            self._here.presence = _Presence(self._leave)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile this thread takes none: another one does, if one rests."""
        self._leave()
        try:
            yield
        finally:
            with self._lock:
                self.n_taking += 1

    def rest(self) -> None:
        """Wait until nobody else takes requests."""
        turn = threading.Lock()
        with self._lock:
            if self.n_taking <= 1:
                return
            self.n_taking -= 1
            turn.acquire()
            self._resting.append(turn)
        turn.acquire()

    def _leave(self) -> None:
        with self._lock:
            self.n_taking -= 1
            if not self.n_taking and self._resting:
                self.n_taking += 1
                self._resting.pop().release()


class _Presence:
    """Ends with its thread: granian ends threads that have nothing to do for some time."""

    def __init__(self, at_end: Callable[[], None]) -> None:
        self._at_end = at_end

    def __del__(self) -> None:
        self._at_end()


def answers_directly() -> bool:
    """Whether this release of granian lets us."""
    return hasattr(granian_workers, WRAPPER)


def answer_directly(answering: Answering, n_threads: int) -> None:
    """Have the application that this process is about to serve answered so.

    What Redis was asked for in vain goes the whole way on `n_threads` threads of its own.
    """
    wrap = getattr(granian_workers, WRAPPER)

    def wrap_directly(application: WSGIApplication, *given: Any) -> _Answer:
        whole_way = ThreadPoolExecutor(n_threads, thread_name_prefix="whole way")
        return _directly(answering, wrap(application, *given), whole_way, Turns())

    setattr(granian_workers, WRAPPER, wrap_directly)


def _directly(answering: Answering, answer: _Answer, whole_way: Executor, turns: Turns) -> _Answer:
    def answer_directly(taker: Taker, scope: dict[str, Any]) -> None:
        turns.come()
        # WSGI says that an answer is the last.
        if LEAVING.is_on or not answers_soon(taker, scope):
            with turns.away():
                answer(taker, scope)
        if turns.n_taking > 1:
            turns.rest()

    def answers_soon(taker: Taker, scope: dict[str, Any]) -> bool:
        reply = answering.at_hand(scope)
        if reply is None:
            return answering.ask(scope, partial(heard, taker, scope))
        taker.response_bytes(*reply)
        return True

    def heard(taker: Taker, scope: dict[str, Any], reply: Reply | None) -> None:
        if reply is not None:
            taker.response_bytes(*reply)
        else:
            whole_way.submit(answer, taker, scope)

    return answer_directly
