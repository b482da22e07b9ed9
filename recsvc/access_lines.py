"""The line that every request leaves. In: facts of a request. Out: JSON lines on a stream.

A request that costs microseconds cannot pay for a chain of processors and a system call of its own. So it
leaves four facts, one of them the end of its line, which is made once for all requests that went the same
way; a worker makes and writes its lines some at a time: in pieces of whole lines that a pipe takes whole,
since several workers write to the same one.

Whoever leaves the last line of a piece writes it, if the stream takes it at once, and little of what others
left before: a thread that wrote the lines of thousands of requests would take the interpreter from those who
answer for as long as that takes. A thread writes five times a second what is left, and whatever a slow reader
held up; it is no daemon, so an interpreter that ends waits for its last piece. Only what a killed process had
not written yet is lost.
"""

from __future__ import annotations

import json
import math
import os
import select
import stat
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import TextIO

import structlog

FLUSH_SECONDS = 0.2
_IN_A_PIECE = 10
"""So many lines, the longest too, are less than the 4,096 bytes that a pipe takes on Linux whole or not at
all, without anybody in between."""
_PIECES_AT_ONCE = 2  # Enough to catch up, and no more than a request can bear.
_MAX_WAITING = 20_000  # More than a worker can answer between two looks; whoever leaves one more writes them.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_DIGITS = tuple(f"{number:03}" for number in range(1_000))  # Half the price of having them formatted.
_PARTS_OF_ONE = tuple(f"0.{digits}" for digits in _DIGITS)

_Kind = tuple[str, str, int, str | None, str | None]
_TryWrite = Callable[[str], bool]  # Writes a piece where nobody has to wait for that; whether it did.
_Facts = tuple[str, str, float, float]  # A request's id, the end of its line, when it began and ended.


@dataclass(slots=True)
class RequestRecord:
    """What is told of one request. The layers that it passes fill it in on the way."""

    request_id: str
    method: str
    started: float  # perf_counter seconds
    route: str = "none"
    source: str | None = None
    cache: str | None = None
    made_at: datetime | None = None  # The list that was answered with; not logged.
    key_id: str | None = None  # Whose call it is; not logged.

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the request came in."""
        return (perf_counter() - self.started) * 1000


class AccessLines:
    """Writes the lines, at once or some at a time."""

    def __init__(self) -> None:
        self._is_on = False
        self._stream: TextIO = sys.stderr
        self._try_write: _TryWrite = self._write
        self._waiting: deque[_Facts] = deque()
        self._collects = False
        self._lock = threading.Lock()
        self._ends: dict[_Kind, str] = {}
        self._second_began, self._second_text = -math.inf, ""  # By the machine's own seconds, and as a text.

    def write_to(self, stream: TextIO | None) -> None:
        """Write lines to the stream, each at once; None writes none."""
        self.flush()
        self._is_on = stream is not None
        self._stream = stream or sys.stderr
        self._try_write = self._way_to_try()

    def collect(self) -> None:
        """From now on write lines some at a time."""
        if not self._collects:
            self._collects = True
            threading.Thread(target=self._write_on, name="access log").start()

    def end_of(self, record: RequestRecord, status: int) -> str:
        """How the lines of all requests end that went the way of this one. There are few ways."""
        kind = (record.method, record.route, status, record.source, record.cache)
        return self._ends.get(kind) or self._learn(kind)

    def tell(self, request_id: str, end: str, started: float, ended: float) -> None:
        """Leave one line. The id holds nothing that JSON would have to escape; times are perf_counter's."""
        if not self._is_on:
            return
        self._waiting.append((request_id, end, started, ended))
        n_waiting = len(self._waiting)
        if not self._collects or n_waiting >= _MAX_WAITING:
            self.flush()
        elif n_waiting % _IN_A_PIECE == 0 and self._lock.acquire(blocking=False):
            try:
                self._write_at_once()
            finally:
                self._lock.release()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            while self._waiting:
                self._write("".join(self._lines(self._take())))

    def _write_at_once(self) -> None:
        for _ in range(_PIECES_AT_ONCE):
            if len(self._waiting) < _IN_A_PIECE:
                return
            taken = self._take()
            if not self._try_write("".join(self._lines(taken))):
                self._waiting.extendleft(reversed(taken))
                return

    def _take(self) -> Sequence[_Facts]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), _IN_A_PIECE))]

    def _lines(self, taken: Sequence[_Facts]) -> Iterator[str]:
        for request_id, end, started, ended in taken:
            into = ended - self._second_began
            if not 0 <= into < 1:
                into = self._begin_second(ended)
            micros, took = int(into * 1_000_000), round((ended - started) * 1_000_000)
            millis = _PARTS_OF_ONE[took] if took < 1_000 else f"{took // 1_000}.{_DIGITS[took % 1_000]}"
            yield (
                f'{{"timestamp":"{self._second_text}{_DIGITS[micros // 1_000]}{_DIGITS[micros % 1_000]}Z",'
                f'"request_id":"{request_id}","duration_ms":{millis},{end}'
            )

    def _learn(self, kind: _Kind) -> str:
        method, route, status, source, cache = kind
        facts = {
            "event": "request",
            "level": "info",
            "method": method if method in _METHODS else "other",
            "route": route,
            "status": status,
            "source": source,
            "cache": cache,
        }
        end = json.dumps(facts)[1:] + "\n"
        if method in _METHODS:
            self._ends[kind] = end
        return end

    def _write(self, piece: str) -> bool:
        """Write a piece, however long that takes; true, for it never stays to be written."""
        # A log that nobody reads any more is no reason to answer nobody.
        with suppress(OSError, ValueError):
            self._stream.write(piece)
            self._stream.flush()
        return True

    def _way_to_try(self) -> _TryWrite:
        """What writes to the stream without waiting. One that is no file never lets wait."""
        try:
            outlet = self._stream.fileno()
        except (OSError, ValueError):
            return self._write
        with suppress(OSError):
            if stat.S_ISFIFO(os.fstat(outlet).st_mode):
                return _Pipe(outlet).try_write
        ready = select.poll()
        ready.register(outlet, select.POLLOUT)
        return lambda piece: bool(ready.poll(0)) and self._write(piece)

    def _write_on(self) -> None:
        main = threading.main_thread()
        while main.is_alive():
            main.join(FLUSH_SECONDS)
            self.flush()

    def _begin_second(self, moment: float) -> float:
        """Find the second of the clock that a moment of the machine's own seconds falls in, and how far."""
        stamp = structlog.processors.TimeStamper(fmt=None, utc=True)
        time = float(stamp(None, "", {})["timestamp"]) - (perf_counter() - moment)
        into = time % 1
        self._second_began = moment - into
        self._second_text = datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return into


class _Pipe:
    """A pipe that several processes write to, so that to ask it first tells nothing: another may be quicker.

    It is opened anew: else whoever else writes to it would not wait any more either.
    """

    def __init__(self, outlet: int) -> None:
        """Raises OSError where the system has no such way, or the pipe belongs to somebody else."""
        self._own = os.open(f"/proc/self/fd/{outlet}", os.O_WRONLY | os.O_NONBLOCK)
        weakref.finalize(self, os.close, self._own).atexit = False  # Lines may still come then.

    def try_write(self, piece: str) -> bool:
        """Write the piece whole or not at all."""
        try:
            os.write(self._own, piece.encode())
        except BlockingIOError:
            return False
        except OSError:  # Nobody reads any more.
            pass
        return True
