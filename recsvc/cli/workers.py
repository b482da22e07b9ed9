"""Processes that serve on one port, and are replaced unnoticed. In: granian's options. Out: a server.

Each listens on a socket of its own that this process keeps, so what waits there outlives it: its successor
takes it over. A worker is told to leave only once its successor answers. Then it takes no more connections,
and each of its answers ends the connection that it goes out on. It is told to stop when all that are in use
have been ended so: a server that stops closes those that nobody uses, and a request may be on its way there.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from granian._granian import ListenerSpec, SocketHolder
from granian.server.mp import MPServer

log = structlog.get_logger()

LEAVE = signal.SIGUSR1
LEAVE_SECONDS = 2.0
"""So long a worker that leaves still answers: longer than a connection in use rests between two requests."""
READY_SECONDS = 60.0
"""So long a successor may take until it answers."""
_LOOK_SECONDS = 0.05

Loader = Callable[[], WSGIApplication]


class _Worker(Protocol):
    """A worker as granian holds it. Where it `interrupt_by_parent`, its end is no failure."""

    inner: BaseProcess
    interrupt_by_parent: bool


class _Listener(NamedTuple):
    """One socket, as granian and as Python hold it."""

    holder: SocketHolder
    socket: socket.socket


@dataclass(slots=True)
class Leaving:
    """Whether this process is told to leave; it stays so."""

    is_on: bool = False


LEAVING = Leaving()
"""Of this process, as the signal is. Whoever answers past WSGI asks it, too."""


class Farewell:
    """Wraps an application. Once its worker leaves, each answer says that it is its connection's last."""

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not LEAVING.is_on:
            return self.application(environ, start_response)

        def start_last(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("Connection", "close")], exc_info)

        return self.application(environ, start_last)


class Workers(MPServer):
    """granian's server, whose workers come and go without a broken request.

    It overrides inner parts of granian; what becomes of them is found out by a restart under load.
    """

    def _init_shared_socket(self) -> None:
        """None is shared by all: of those who wait at one socket the first takes most connections."""
        self._ssp = self._sso = None
        self._listeners: dict[int, _Listener] = {}
        self._ready: dict[int, Event] = {}

    def _drop_shared_socket(self) -> None:
        """Before all workers are stopped."""
        while self._listeners:
            self._listeners.popitem()[1].socket.close()

    def _listener(self, place: int) -> _Listener:
        if place not in self._listeners:
            built = ListenerSpec(self.bind_addr, self.bind_port, self.backlog).build()
            self._listeners[place] = _Listener(built, socket.socket(fileno=built.get_fd()))
        return self._listeners[place]

    def _spawn_worker(self, *_none: Any, **given: Any) -> Any:
        """A worker that is yet to start, at its own socket. What is given is granian's, by its names."""
        place, load = given["idx"], given["callback_loader"]
        own: Any = self._listener(place)
        self._shd, self._sso, self._ready[place] = own.holder, own.socket, multiprocessing.Event()
        others = tuple(one.socket for other, one in self._listeners.items() if other != place)
        loader = partial(_begin, load, own.socket.fileno(), others, self._ready[place])
        return super()._spawn_worker(**{**given, "callback_loader": loader})

    def _respawn_workers(
        self, workers: Sequence[int], spawn_target: Any, target_loader: Any, delay: float = 0
    ) -> None:
        """Replace them one after the other. `delay` is granian's way to hope that one answers by then."""
        for place in workers:
            self.respawned_wrks[place] = time.monotonic()
            old: _Worker = self.wrks[place]
            if not old.inner.is_alive():  # Nobody is to wait there meanwhile: others answer.
                self._listeners.pop(place).socket.close()
            given = {"idx": place, "target": spawn_target, "callback_loader": target_loader}
            new: Any = self._spawn_worker(**given)
            if old.inner.is_alive():
                self._replace(place, old, new)
            else:
                self.wrks[place] = new
                new.start()
        self._metrics.incr_spawn(len(workers))

    def _replace(self, place: int, old: _Worker, new: Any) -> None:
        new.interrupt_by_parent = True  # One that never answers takes nobody's place, and is not missed.
        new.start()
        if self._comes_to_answer(new.inner, self._ready[place]):
            self.wrks[place], new.interrupt_by_parent = new, False
            old.interrupt_by_parent = True
            self._see_off(old.inner)
        else:
            log.error("worker_not_replaced", worker=place + 1)
            self._end(new.inner)

    def _comes_to_answer(self, worker: BaseProcess, ready: Event) -> bool:
        until = time.monotonic() + READY_SECONDS
        while not ready.wait(_LOOK_SECONDS):
            if self.interrupt_signal or not worker.is_alive() or time.monotonic() > until:
                return False
        return True

    def _see_off(self, worker: BaseProcess) -> None:
        if worker.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, LEAVE)
        until = time.monotonic() + LEAVE_SECONDS
        while worker.is_alive() and not self.interrupt_signal and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        self._end(worker)

    def _end(self, worker: BaseProcess) -> None:
        worker.terminate()
        worker.join(self.workers_kill_timeout)
        if worker.is_alive():
            worker.kill()
            worker.join()


def _begin(load: Loader, listener: int, others: Sequence[socket.socket], ready: Event) -> WSGIApplication:
    """What a worker does first: load the application, and be ready to leave."""
    for one in others:  # Forked with us. While we hold them, nobody who closes them ends them.
        one.close()
    application = load()

    def leave(_number: int, _frame: FrameType | None) -> None:
        LEAVING.is_on = True
        _take_no_more(listener)

    signal.signal(LEAVE, leave)
    ready.set()
    return Farewell(application)


def _take_no_more(listener: int) -> None:
    """Leave new connections to the successor, as far as the system is Linux: nobody here is told of them."""
    for entry in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            if os.readlink(entry) == "anon_inode:[eventpoll]":
                # A copy, for closing the object closes what it was made of.
                with select.epoll.fromfd(os.dup(int(entry.name))) as watched:
                    watched.unregister(listener)
