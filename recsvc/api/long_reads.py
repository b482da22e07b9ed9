"""Answers that read much of the store. In: a request for one. Out: the place to make it, or the refusal.

A worker has few threads and answers customers with the same ones. So such answers are made, or waited for,
one at a time in each process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.exceptions import ServiceUnavailable

WAIT_SECONDS = 0.25
"""So long one that comes meanwhile waits: most are made sooner."""


class LongReads:
    """The one place of a process. Safe to share between threads."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold the place. Raises ServiceUnavailable where it is not free in time."""
        if not self._lock.acquire(timeout=self._wait_seconds):
            raise ServiceUnavailable("another answer that reads much is being made here; try again soon")
        try:
            yield
        finally:
            self._lock.release()


LONG_READS = LongReads()
