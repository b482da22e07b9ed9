"""A training run as server-sent events. In: how to read the run. Out: an event each time it has changed.

A worker has few threads and a stream holds one, so few streams may be open at once and none for long: a
client comes back with the id of the last event that it saw.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from werkzeug.exceptions import ServiceUnavailable

from recsvc.settings import Settings

EVENT_STREAM = "text/event-stream"
MAX_STREAMS = 2
STREAM_SECONDS = 60.0
LOOK_SECONDS = 0.5
RETRY_MILLISECONDS = 1_000
_QUIET_SECONDS = 15.0


def most_streams(settings: Settings) -> int:
    """How many may be open, so that one thread is left to answer everybody else."""
    takes_beside = settings.local_slates_mb > 0  # Then a worker has a thread more than may wait.
    return min(MAX_STREAMS, settings.threads - 1 + takes_beside)


class StreamPlaces:
    """The streams that may be open at once in this process. A place is free again when its time is over."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._taken_until: dict[object, float] = {}

    def take(self, most: int = MAX_STREAMS) -> Callable[[], None]:
        """Take one of so many places; what gives it back. Raises ServiceUnavailable where all are taken."""
        place, now = object(), self._monotonic()
        with self._lock:
            # Whoever broke off without a word is not waited for.
            self._taken_until = {one: until for one, until in self._taken_until.items() if until > now}
            if len(self._taken_until) >= most:
                raise ServiceUnavailable("too many follow training runs here already; poll the run instead")
            self._taken_until[place] = now + STREAM_SECONDS + _QUIET_SECONDS
        return lambda: self._give_back(place)

    def _give_back(self, place: object) -> None:
        with self._lock:
            self._taken_until.pop(place, None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run as it is told: its bytes, and whether more will follow."""

    content: bytes
    is_open: bool

    @property
    def event_id(self) -> str:
        """Equal snapshots have equal ids."""
        return hashlib.blake2b(self.content, digest_size=8).hexdigest()


def events_of(
    read: Callable[[], Snapshot],
    *,
    last_seen: str,
    pause: Callable[[float], None],
    monotonic: Callable[[], float],
) -> Iterator[bytes]:
    """The run now, unless it was `last_seen`, and whenever it has changed, until it or the time ends."""
    started = spoken_at = monotonic()
    yield b"retry: %d\n\n" % RETRY_MILLISECONDS
    while True:
        snapshot = read()
        if snapshot.event_id != last_seen:
            last_seen, spoken_at = snapshot.event_id, monotonic()
            yield b"id: %s\nevent: run\ndata: %s\n\n" % (last_seen.encode(), snapshot.content)
        elif monotonic() - spoken_at >= _QUIET_SECONDS:
            spoken_at = monotonic()
            yield b": nothing new\n\n"
        if not snapshot.is_open or monotonic() - started >= STREAM_SECONDS:
            return
        pause(LOOK_SECONDS)
