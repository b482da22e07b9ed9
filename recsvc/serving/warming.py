"""Make lists ready after a promotion, before anybody asks. In: who asked of late. Out: lists in the caches.

A promotion leaves no ready list behind it, for the model's version is part of every key. So each worker makes
anew what it was asked for of late, a little at a time, while requests go first. Of the workers that want the
same list the one that holds its lease makes it; the others copy what that one kept.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from recsvc.domain.slates import SlateRequest
from recsvc.errors import RedisError
from recsvc.telemetry import Warming

log = structlog.get_logger()

WARM_SECONDS = 0.25
"""How often a worker warms."""
BUSY_SECONDS = 0.025
"""So much of it at most it spends on that: a tenth of a core."""


class WarmUp:
    """Makes at most `max_slates` ready after each change of the model."""

    def __init__(
        self,
        asked_of_late: Callable[[], Sequence[SlateRequest]],
        warm: Callable[[SlateRequest], bool],
        model_version: Callable[[], str | None],
        max_slates: int,
        *,
        monotonic: Callable[[], float],
    ) -> None:
        """`asked_of_late` names the latest first; `warm` says whether it made the list itself."""
        self._asked_of_late = asked_of_late
        self._warm = warm
        self._model_version = model_version
        self._max_slates = max_slates
        self._monotonic = monotonic
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

    def _look_for_another_model(self) -> None:
        version = self._model_version()
        if version == self._version:
            return
        is_first, self._version = self._version is None, version
        self._to_warm.clear()
        if not is_first and self._max_slates:
            asked = (one for one in self._asked_of_late() if _is_by_champion(one))
            self._to_warm.extend(one for one, _ in zip(asked, range(self._max_slates), strict=False))
            log.info("warming_up", version=version, slates=len(self._to_warm))


def _is_by_champion(request: SlateRequest) -> bool:
    """Whether the champion answers it: the models of other arms do not change with it."""
    return request.arm is None or request.arm.model_version is None
