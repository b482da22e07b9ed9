"""When a server that fails is left alone. In: how each call went. Out: whether the next one may be made.

Open after a failure, or after several slow answers in a row. Once `cool_down_seconds` are over, one caller
tries while the others are still refused: what it meets decides. One quick answer closes the breaker for all;
one more failure or slow answer keeps it open for as long again. A refusal is an answer: where Redis takes no
writes, it is still asked for what it holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

MAX_SLOW = 5  # Slow answers in a row.


class Breaker:
    """For one server, shared by all threads of a process."""

    def __init__(
        self, slow_seconds: float, cool_down_seconds: float, *, monotonic: Callable[[], float]
    ) -> None:
        self._slow_seconds = slow_seconds
        self._cool_down_seconds = cool_down_seconds
        self._monotonic = monotonic
        self._n_slow = 0
        self._open_until: float | None = None
        self._lock = threading.Lock()
        self.n_openings = 0

    @property
    def is_open(self) -> bool:
        """Whether the server is left alone, or tried by one caller to see whether it still must be."""
        return self._open_until is not None

    def lets_through(self) -> bool:
        """Whether the caller may ask now."""
        if self._open_until is None:
            return True
        with self._lock:
            if self._open_until is None:
                return True
            now = self._monotonic()
            if now < self._open_until:
                return False
            self._open_until = now + self._cool_down_seconds
            return True

    def note_failure(self) -> None:
        """The server did not answer."""
        with self._lock:
            self._open()

    def note_answer(self, seconds: float) -> None:
        """The server answered, after so long, if only to refuse."""
        if seconds < self._slow_seconds:
            self._n_slow, self._open_until = 0, None
            return
        with self._lock:
            self._n_slow += 1
            if self._n_slow >= MAX_SLOW:
                self._open()
            else:
                self._open_until = None

    def _open(self) -> None:
        if self._open_until is None:
            self.n_openings += 1
        self._open_until = self._monotonic() + self._cool_down_seconds
