"""Bound what making lists costs. In: a request. Out: its list, or at once what is popular.

A worker makes so many lists at a time, and a request for many lists spends so much CPU on making them.
Whoever gets no place before the deadline, or has used up what a request may, is answered from memory: with
what is popular for content, with nothing for offers, since nobody was asked whether they are allowed. Such a
list names `load` among what it is without, so that no cache keeps it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace as with_changes

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import ANONYMOUS, Arm, Slate, SlateRequest
from recsvc.serving.engine import Engine

log = structlog.get_logger()

ALLOWANCE_SECONDS = 0.2
"""So much CPU of its thread a request for many lists may take before it makes no more of them."""


@dataclass(frozen=True, slots=True)
class _Allowance:
    """What is left to one request. `at_once` keeps what is popular, so that it is found once for it."""

    cpu_until: float
    places_until: float
    at_once: dict[SlateRequest, Slate] = field(default_factory=dict)


class BoundedEngine:
    """The engine, within bounds. `cpu_clock` tells the CPU seconds of the thread that asks."""

    def __init__(
        self,
        engine: Engine,
        places: threading.Semaphore,
        wait_seconds: float,
        *,
        cpu_clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """Whoever makes a list has one of the `places`; a request waits `wait_seconds` for them, in all."""
        self._engine = engine
        self._places = places
        self._wait_seconds = wait_seconds
        self._cpu_clock = cpu_clock
        self._monotonic = monotonic
        self._of_thread = threading.local()

    def recommend(self, request: SlateRequest) -> Slate:
        """The slate for this request; what is popular where there was no place, or no allowance left."""
        return self._make(request, lambda: self._engine.recommend(request))

    def recommend_ahead(self, request: SlateRequest, champion: str) -> Slate:
        """The slate as it will be by another champion. Nobody waits for it, so it takes nobody's place."""
        return self._engine.recommend_ahead(request, champion)

    def recommend_visitor(self, request: SlateRequest, did: Sequence[Interaction]) -> Slate:
        """The same for somebody of whom nothing is known but what they `did` in this session."""
        return self._make(request, lambda: self._engine.recommend_visitor(request, did))

    def exercise(self) -> None:
        """Make what is popular once, so that it is known to work. A worker does this again and again."""
        self._engine.recommend_at_once(SlateRequest(ItemKind.CONTENT, ANONYMOUS))

    @contextmanager
    def allowance(self) -> Iterator[None]:
        """What the thread asks for meanwhile is made until what one request may take is used up."""
        until = self._cpu_clock() + ALLOWANCE_SECONDS
        self._of_thread.allowance = _Allowance(until, self._monotonic() + self._wait_seconds)
        try:
            yield
        finally:
            self._of_thread.allowance = None

    def _make(self, request: SlateRequest, make: Callable[[], Slate]) -> Slate:
        left: _Allowance | None = getattr(self._of_thread, "allowance", None)
        if left is None:
            left = _Allowance(math.inf, self._monotonic() + self._wait_seconds)
        if self._cpu_clock() >= left.cpu_until:
            return self._at_once(request, left)
        if not self._places.acquire(timeout=max(0.0, left.places_until - self._monotonic())):
            log.warning("list_made_at_once", reason="too many lists are being made")
            return self._at_once(request, left)
        try:
            return make()
        finally:
            self._places.release()

    def _at_once(self, request: SlateRequest, left: _Allowance) -> Slate:
        whoever = with_changes(request, customer_id=ANONYMOUS, arm=_model_alone(request.arm))
        slate = left.at_once.get(whoever)
        if slate is None:
            slate = left.at_once[whoever] = self._engine.recommend_at_once(whoever)
        return self._engine.readdressed(slate, request)


def _model_alone(arm: Arm | None) -> Arm | None:
    """What is popular follows no levers, so that the arms of a model share it."""
    return None if arm is None or arm.model_version is None else Arm("", 0, "", arm.model_version)
