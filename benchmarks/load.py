"""Load over HTTP/1.1 on kept connections. In: a port, requests as bytes. Out: answers and latencies.

Open loop: requests are due at fixed moments whatever becomes of those before, and a latency counts from the
moment when its request was due; a server that stalls does not slow its clients down, and cannot hide it.
"""

from __future__ import annotations

import math
import selectors
import shutil
import socket
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

_WAIT_SECONDS = 10.0
_LEAST_SLEEP_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came back. `statuses` counts answers by status, 0 for a connection that broke; latencies are in
    seconds, one for each answer, in the order of their arrival. `n_dropped` connections ended without a word
    while nothing was on its way: a request that was would have been lost.
    """

    seconds: float
    statuses: Counter[int]
    latencies: Sequence[float]
    n_dropped: int = 0

    @property
    def n_answers(self) -> int:
        return sum(self.statuses.values())

    @property
    def per_second(self) -> float:
        return self.n_answers / self.seconds

    def latency(self, quantile: float) -> float:
        """A quantile of the latencies, 0 to 1, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the n-th request; status 0 and no bytes where its connection broke. Times are
    `time.perf_counter()`'s.
    """

    number: int
    due_at: float
    arrived_at: float
    status: int
    raw: bytes


@dataclass(slots=True)
class _Connection:
    """A kept connection with at most one request on its way."""

    port: int
    socket: socket.socket = field(init=False)
    buffer: bytes = b""
    due_at: float = 0.0
    number: int = -1  # Of the request on its way; -1 of none.
    raw: bytes = b""

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=_WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, request: bytes, due_at: float, number: int) -> None:
        self.due_at, self.number, self.raw = due_at, number, b""
        with suppress(OSError):  # One that broke is found when its answer is read.
            self.socket.sendall(request)

    def read(self) -> int | None:
        """The status of a whole answer; None while it is not whole, 0 where the connection broke."""
        try:
            received = self.socket.recv(65_536)
        except OSError:
            return 0
        if not received:
            return 0
        self.buffer += received
        head_ends = self.buffer.find(b"\r\n\r\n")
        if head_ends < 0 or len(self.buffer) < head_ends + 4 + _length_of(self.buffer[:head_ends]):
            return None
        self.raw, self.buffer = self.buffer, b""
        return int(self.raw[9:12])


def closed_loop(port: int, requests: Callable[[int], bytes], *, n_connections: int, seconds: float) -> Loaded:
    """Each connection asks again as soon as it was answered. `requests` gives the n-th request."""
    until = time.perf_counter() + seconds
    return _drive(port, requests, n_connections, _at_once(until), until + _WAIT_SECONDS)


def saturated(port: int, requests: Sequence[bytes], *, n_connections: int, seconds: float) -> Loaded:
    """What `closed_loop` does, in turns over the requests, by wrk where that is installed.

    wrk asks at a fraction of what our own client costs, which on few cores leaves the server idle between
    answers: then what is measured is how the machine wakes it up. Latencies are not kept.
    """
    binary = shutil.which("wrk")
    if binary is None:
        return closed_loop(
            port, lambda n: requests[n % len(requests)], n_connections=n_connections, seconds=seconds
        )
    with TemporaryDirectory() as folder:
        script = Path(folder) / "turns.lua"
        script.write_text(_TURNS % ",".join(f"[==[{request.decode()}]==]" for request in requests))
        command = [binary, "-t1", f"-c{n_connections}", f"-d{seconds:g}s", "-s", str(script)]
        command.append(f"http://127.0.0.1:{port}/")
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    n_answers, n_others, micros = (int(text) for text in told.rsplit("\n", 2)[-2].split())
    return Loaded(
        micros / 1e6, Counter({200: n_answers - n_others} | ({0: n_others} if n_others else {})), ()
    )


_TURNS = """
local requests, n = {%s}, 0
for i, text in ipairs(requests) do requests[i] = text:gsub("\\r?\\n", "\\r\\n") end
request = function() n = n + 1; return requests[n %% #requests + 1] end
done = function(summary)
  local e = summary.errors
  local others = e.status + e.read + e.write + e.connect + e.timeout
  io.write(string.format("%%d %%d %%d\\n", summary.requests, others, summary.duration))
end
"""


def open_loop(
    port: int,
    requests: Callable[[int], bytes],
    *,
    n_connections: int,
    seconds: float,
    per_second: float,
    heard: Callable[[Answer], None] = lambda answer: None,
    goes_on: Callable[[], bool] = lambda: True,
) -> Loaded:
    """Requests at a fixed rate. `requests` gives the n-th request, and `heard` gets what came of each.

    It ends when `goes_on` says so, if that is before the time is over.
    """
    started = time.perf_counter()
    moments = (started + n / per_second for n in range(int(seconds * per_second)))
    due = takewhile(lambda _: goes_on(), moments)
    return _drive(port, requests, n_connections, due, started + seconds + _WAIT_SECONDS, heard)


def get(path: str, **headers: str) -> bytes:
    """A GET request as bytes."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _at_once(until: float) -> Iterator[float]:
    """Whenever somebody is free to ask, until the time is over."""
    while (now := time.perf_counter()) < until:
        yield now


def _drive(
    port: int,
    requests: Callable[[int], bytes],
    n_connections: int,
    due: Iterator[float],
    until: float,
    heard: Callable[[Answer], None] = lambda answer: None,
) -> Loaded:
    """Send what is due on whatever connection is free, until nothing is due or the time is over."""
    started = time.perf_counter()
    connections = [_Connection(port) for _ in range(n_connections)]
    statuses, latencies = Counter[int](), list[float]()
    selector = selectors.DefaultSelector()
    for one in connections:
        selector.register(one.socket, selectors.EVENT_READ, one)
    free, moment, n_sent, n_dropped = deque(connections), math.nan, 0, 0
    while (now := time.perf_counter()) < until:
        while free:
            moment = next(due, math.inf) if math.isnan(moment) else moment
            if moment > now:
                break
            free.popleft().send(requests(n_sent), moment, n_sent)
            n_sent, moment = n_sent + 1, math.nan
        if moment == math.inf and len(free) == n_connections:
            break
        wait = min(moment - now if free else until - now, until - now)
        # It sleeps in whole milliseconds, and what is due within one would all be sent at its end.
        for key, _ in selector.select(max(0.0, wait - _LEAST_SLEEP_SECONDS)):
            one = key.data
            status = one.read()
            if status is None:
                continue
            if one.number >= 0:  # A server may close a connection on which nothing is on its way.
                arrived_at = time.perf_counter()
                statuses[status] += 1
                latencies.append(arrived_at - one.due_at)
                heard(Answer(one.number, one.due_at, arrived_at, status, one.raw))
                one.number = -1
                free.append(one)
            else:
                n_dropped += status == 0
            if status == 0 or _is_last(one.raw):
                selector.unregister(one.socket)
                one.socket.close()
                one.open()
                selector.register(one.socket, selectors.EVENT_READ, one)
    took = time.perf_counter() - started
    for every in connections:
        every.socket.close()
    return Loaded(took, statuses, latencies, n_dropped)


def _is_last(raw: bytes) -> bool:
    """Whether the server says that it will answer nothing more on this connection."""
    return b"\r\nconnection: close" in raw[: raw.find(b"\r\n\r\n")].lower()


def _length_of(head: bytes) -> int:
    place = head.lower().find(b"content-length:")
    if place < 0:
        return 0
    return int(head[place + 15 :].split(b"\r\n", 1)[0])
