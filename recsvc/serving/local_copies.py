"""Copies of ready slates in this worker's memory. In: a request. Out: the slate, if nothing has outdated it.

A copy is found without a word to anybody: it carries the stamp that was taken before it was begun, and counts
only while the stamps in the memory that all workers of a machine share are still the same. Whoever
acknowledges an event has written another stamp before; so no worker's next answer is a copy from before it,
even while Redis is away or a worker is killed.

That holds for the processes of one machine. `refresh` asks until when it is known that they are all that
there are; from then on there are no copies, and what was kept until then never counts again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from recsvc.domain.slates import EpochStamp, SlateRequest
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.serving.catalogue_view import revision_in
from recsvc.serving.protocols import EpochStamps

log = structlog.get_logger()

TURN_SECONDS = 60.0  # What was not asked for in the last minute or two is let go.
_FRESH_RATIO = 0.8  # Of its life: a copy that is asked for after it is renewed before it ends.
_MAX_AGEING = 500
_OVERHEAD_BYTES = 1_500  # A copy beside its body: the request, its texts, the places in the tables.


@dataclass(slots=True)
class _Copy:
    """A kept slate. `n_found` counts how often it answered, or one before it for the same request."""

    served: ServedSlate
    label: str
    stamp: EpochStamp
    ages_at: float  # By the clock, in seconds.
    ends_at: float
    n_found: int


class LocalCopies:
    """At most `max_bytes` of ready slates. Those that were not asked for lately go first.

    They stand in two tables: what is kept or found goes to the young one; when that is half of all, or old
    enough, it becomes the old one, and what was the old one goes. Copies of what is to come, of which there
    may be one beside another for the same request, stand in a third until they are found: a quarter of
    `max_bytes` of them at most, beside all others.
    """

    def __init__(
        self,
        stamps: EpochStamps,
        max_bytes: int,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        known_until: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """`clock` says the time in seconds since 1970, for that costs a hit less than a `datetime` would.

        `known_until`: until when it is known that everybody who outdates slates writes these stamps.
        """
        self._stamps = stamps
        self._is_current = stamps.is_current
        self._max_bytes = max_bytes
        self._clock = clock
        self._monotonic = monotonic
        self._known_until = known_until
        self._young: dict[SlateRequest, _Copy] = {}
        self._old: dict[SlateRequest, _Copy] = {}
        self._coming: dict[SlateRequest, _Copy] = {}
        self._n_bytes = 0  # Of the young ones.
        self._n_coming_bytes = 0
        self._ageing: dict[SlateRequest, None] = {}
        self._turned_at = monotonic()
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._on_until = -math.inf

    @property
    def is_on(self) -> bool:
        """Whether copies may answer now."""
        return self._monotonic() < self._on_until

    def find(self, request: SlateRequest, label: str) -> ServedSlate | None:
        """The copy for the request that was made of what the label names; None without one that counts."""
        if self._monotonic() >= self._on_until:
            return None
        copy = self._young.get(request)
        if copy is None or not self._counts(request, copy, label):
            copy = self._find_elsewhere(request, label)
            if copy is None:
                return None
            self._add(request, copy)
        copy.n_found += 1
        return copy.served

    def find_of_former_model(self, request: SlateRequest, label: str) -> ServedSlate | None:
        """The copy for the request where only the model changed since it was made; None without one."""
        copy = self._young.get(request) or self._old.get(request)
        if copy is None or not self.is_on or not self._is_current(copy.stamp):
            return None
        is_allowed = revision_in(copy.label) == revision_in(label) and self._clock() < copy.ends_at
        return copy.served if is_allowed else None

    def stamp(self, customer_id: str) -> EpochStamp | None:
        """What to take before a slate is begun or fetched, to keep it by; None while there are no copies."""
        return self._stamps.stamp(customer_id) if self.is_on and self._max_bytes else None

    def keep(self, request: SlateRequest, label: str, stamp: EpochStamp, served: ServedSlate) -> None:
        """Keep a slate that was begun after the stamp was taken."""
        if copy := self._copy_of(request, label, stamp, served):
            self._add(request, copy)

    def keep_coming(self, request: SlateRequest, label: str, stamp: EpochStamp, served: ServedSlate) -> None:
        """Keep a slate as `keep` does, beside the one that counts until there is another label.

        What finds no room is not kept: those that matter most are to come first.
        """
        copy = self._copy_of(request, label, stamp, served)
        if copy is None:
            return
        with self._lock:
            n_bytes = self._n_coming_bytes + _bytes_more(request, copy, self._coming.get(request))
            if n_bytes <= self._max_bytes // 4:
                self._coming[request], self._n_coming_bytes = copy, n_bytes

    def _copy_of(
        self, request: SlateRequest, label: str, stamp: EpochStamp, served: ServedSlate
    ) -> _Copy | None:
        if not self._is_current(stamp):
            return None
        now, ends_at = self._clock(), served.expires_at.timestamp()
        before = self._young.get(request) or self._old.get(request)
        return _Copy(
            msgspec.structs.replace(served, cache=CacheStatus.LOCAL),
            label,
            stamp,
            ages_at=now + _FRESH_RATIO * (ends_at - now),
            ends_at=ends_at,
            n_found=before.n_found if before is not None else 0,
        )

    def take_ageing(self) -> tuple[SlateRequest, ...]:
        """The requests that were answered of late with copies that end before long."""
        with self._lock:
            ageing, self._ageing = self._ageing, {}
        return tuple(ageing)

    def asked_of_late(self) -> tuple[SlateRequest, ...]:
        """The requests that copies are held for, whatever outdated these; those that came last first."""
        with self._lock:
            young, old = tuple(self._young), tuple(self._old)
        return tuple(dict.fromkeys((*reversed(young), *reversed(old))))

    def asked_again(self) -> tuple[SlateRequest, ...]:
        """Those of them that copies have answered; those that came most often first."""
        with self._lock:
            copies = self._old | self._young
        found = {request: copy.n_found for request, copy in copies.items() if copy.n_found}
        return tuple(sorted(found, key=found.__getitem__, reverse=True))

    def refresh(self) -> None:
        """Look who else there is, and let go of what nobody asks for. A worker does this again and again."""
        with self._refreshing:
            until = self._known_until() if self._stamps.is_shared else -math.inf
            now = self._monotonic()
            if self._on_until > -math.inf and now >= min(until, self._on_until):
                self._stop()
            self._on_until = until if until > now else -math.inf
        if self._monotonic() - self._turned_at >= TURN_SECONDS:
            with self._lock:
                self._turn()

    def _stop(self) -> None:
        self._on_until = -math.inf
        # Whatever was begun under the stamps of until now, by any worker, has nobody to outdate it any more.
        self._stamps.move_all()
        with self._lock:
            self._turn()
            self._turn()
        log.warning("local_copies_off")

    def _find_elsewhere(self, request: SlateRequest, label: str) -> _Copy | None:
        for copies in (self._old, self._coming):
            copy = copies.get(request)
            if copy is not None and self._counts(request, copy, label):
                return copy
        return None

    def _counts(self, request: SlateRequest, copy: _Copy, label: str) -> bool:
        if not self._is_current(copy.stamp) or copy.label != label:
            return False
        now = self._clock()
        if now < copy.ages_at:
            return True
        if len(self._ageing) < _MAX_AGEING:
            self._ageing[request] = None
        return now < copy.ends_at

    def _add(self, request: SlateRequest, copy: _Copy) -> None:
        with self._lock:
            self._n_bytes += _bytes_more(request, copy, self._young.get(request))
            self._young[request] = copy
            if self._n_bytes > self._max_bytes // 2:
                self._turn()

    def _turn(self) -> None:
        self._old, self._young, self._n_bytes = self._young, {}, 0
        self._coming, self._n_coming_bytes = {}, 0
        self._turned_at = self._monotonic()


def _bytes_more(request: SlateRequest, copy: _Copy, replaced: _Copy | None) -> int:
    return _bytes_of(request, copy) - (_bytes_of(request, replaced) if replaced else 0)


def _bytes_of(request: SlateRequest, copy: _Copy) -> int:
    texts = sum(map(len, request.exclude)) + 60 * len(request.exclude)
    return _OVERHEAD_BYTES + len(copy.served.body) + texts
