"""Bound what making lists costs. In: a request. Out: its list, or at once what is popular.

A worker makes so many lists at a time, and one request so many milliseconds of them. Whoever gets no place
soon, or has used up what a request may, is answered from memory: what is popular for content, nothing for
offers, since nobody was asked whether they are allowed. Such a list names `load` among what it is without, so
that no cache keeps it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from recsvc.domain.interactions import Interaction
from recsvc.domain.slates import Slate, SlateRequest
from recsvc.serving.engine import Engine

log = structlog.get_logger()

WAIT_SECONDS = 0.25
"""So long a request waits for a place."""
ALLOWANCE_SECONDS = 0.25
"""So much CPU of its thread a request for many lists may spend on making them."""


class BoundedEngine:
    """The engine, so many lists at a time. `cpu_clock` tells the CPU seconds of the thread that asks."""

    def __init__(
        self,
        engine: Engine,
        *,
        n_places: int,
        cpu_clock: Callable[[], float],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._engine = engine
        self._places = threading.BoundedSemaphore(n_places)
        self._cpu_clock = cpu_clock
        self._wait_seconds = wait_seconds
        self._of_thread = threading.local()

    def recommend(self, request: SlateRequest) -> Slate:
        """The slate for this request; what is popular where there was no place, or no allowance left."""
        return self._make(request, lambda: self._engine.recommend(request))

    def recommend_visitor(self, request: SlateRequest, did: Sequence[Interaction]) -> Slate:
        """The same for somebody of whom nothing is known but what they `did` in this session."""
        return self._make(request, lambda: self._engine.recommend_visitor(request, did))

    @contextmanager
    def allowance(self, seconds: float = ALLOWANCE_SECONDS) -> Iterator[None]:
        """What the thread asks for meanwhile may cost it so much CPU in all."""
        self._of_thread.until = self._cpu_clock() + seconds
        try:
            yield
        finally:
            self._of_thread.until = None

    def _make(self, request: SlateRequest, make: Callable[[], Slate]) -> Slate:
        if not self._is_allowed():
            return self._engine.recommend_at_once(request)
        if not self._places.acquire(timeout=self._wait_seconds):
            log.warning("list_made_at_once", reason="too many lists are being made")
            return self._engine.recommend_at_once(request)
        try:
            return make()
        finally:
            self._places.release()

    def _is_allowed(self) -> bool:
        until: float | None = getattr(self._of_thread, "until", None)
        return until is None or self._cpu_clock() < until
