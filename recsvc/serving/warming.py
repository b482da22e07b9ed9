"""Make lists ready for a new model, before anybody asks. In: who asked of late. Out: lists in the caches.

A promotion leaves no ready list behind it, for the model's version is part of every key. So each worker makes
anew what it was asked for of late, a little at a time, while requests go first: what was asked for again and
again, before answers turn to the model, for as long as that may wait; everything else, afterwards. Of the
workers that want the same list the one that holds its lease makes it; the others copy what that one kept.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import structlog

from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.errors import RedisError
from recsvc.telemetry import Warming

log = structlog.get_logger()

WARM_SECONDS = 0.1
"""How often a worker warms."""
BUSY_SECONDS = 0.005
"""After so much of it it begins no further list: a twentieth of a core, and a request meets one at most."""
AHEAD_SECONDS = 1.5
"""So long answers wait to turn to a new model while lists by it are made ready."""
_RESTS = 3  # So many times as long as a list took: a quarter of a core.


class WarmUp:
    """Makes at most `max_slates` ready after each change of the model."""

    def __init__(
        self,
        asked_of_late: Callable[[], Sequence[SlateRequest]],
        warm: Callable[[SlateRequest], bool],
        model_version: Callable[[], str | None],
        max_slates: int,
        *,
        asked_again: Callable[[], Sequence[SlateRequest]],
        make_ahead: Callable[[SlateRequest, str], bool],
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """`asked_of_late` names the latest first, `asked_again` what came most often. `warm` says whether it
        made the list itself; `make_ahead`, which makes one by a model to come, whether that was for it to do.
        """
        self._asked_of_late = asked_of_late
        self._warm = warm
        self._model_version = model_version
        self._max_slates = max_slates
        self._asked_again = asked_again
        self._make_ahead = make_ahead
        self._monotonic = monotonic
        self._sleep = sleep
        self._version: str | None = None
        self._to_warm: deque[SlateRequest] = deque()
        self._n_made = 0
        self._lock = threading.Lock()

    def state(self) -> Warming:
        """How far it is."""
        return Warming(self._n_made, len(self._to_warm))

    def go_on(self) -> None:
        """Warm for a moment, where there is anything to warm. A worker does this again and again."""
        with self._lock:
            self._look_for_another_model()
            until = self._monotonic() + BUSY_SECONDS
            while self._to_warm and self._monotonic() < until:
                try:
                    self._n_made += self._warm(self._to_warm.popleft())
                except RedisError:
                    self._to_warm.clear()  # Without a lease all workers would make it: whoever asks makes it.

    def go_ahead(self, coming: str | None) -> None:
        """Make lists ready by the model that answers will turn to; None where none is to come."""
        if coming is not None:
            until = self._monotonic() + AHEAD_SECONDS
            # Offers are entered where they are made, and by the champion.
            wanted = (one for one in self._asked_again() if one.kind is ItemKind.CONTENT)
            left = self._made_elsewhere(self._first(wanted), coming, until)
            self._made_elsewhere(left, coming, until)  # By now they are there, and copied.

    def _made_elsewhere(
        self, wanted: Iterable[SlateRequest], coming: str, until: float
    ) -> Sequence[SlateRequest]:
        """Make ready what is wanted, until then. Out: what another worker was making."""
        left = []
        for request in wanted:
            began = self._monotonic()
            if began >= until:
                break
            if not self._make_ahead(request, coming):
                left.append(request)
            self._sleep(_RESTS * (self._monotonic() - began))
        return left

    def _first(self, asked: Iterable[SlateRequest]) -> Iterator[SlateRequest]:
        """As many of them as are made anew for another champion."""
        return islice(filter(_is_by_champion, asked), self._max_slates)

    def _look_for_another_model(self) -> None:
        version = self._model_version()
        if version == self._version:
            return
        is_first, self._version = self._version is None, version
        self._to_warm.clear()
        if not is_first and self._max_slates:
            self._to_warm.extend(self._first(self._asked_of_late()))
            log.info("warming_up", version=version, slates=len(self._to_warm))


def _is_by_champion(request: SlateRequest) -> bool:
    """Whether the champion answers it: the models of other arms do not change with it."""
    return request.arm is None or request.arm.model_version is None
