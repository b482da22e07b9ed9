"""Is there another machine? In: a Redis that all use. Out: until when it is known that there is none.

Copies in memory are outdated through memory that the processes of one machine share. Another machine's
workers cannot write there, so where one may be, copies must not answer. Every worker says over pub/sub, five
times a second, which machine it is on, and hears what the others say and what it said itself. Its own word
that comes back proves that it would hear theirs; a connection that drops, or falls silent for most of a
second, proves nothing any more, and the copies go at once.

A machine that starts says so, and waits before it serves for longer than it takes the others to hear it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import redis
import structlog

from recsvc.stores.redis_client import make_client
from recsvc.stores.slate_cache import PREFIX

log = structlog.get_logger()

SAID_SECONDS = 0.2
HEARD_SECONDS = 0.75  # For how long one's own word that came back counts.
LISTENED_SECONDS = 1.0  # Whoever listens anew hears everybody within it.
REMEMBERED_SECONDS = 5.0  # For how long another machine's word counts.
START_SECONDS = 2 * SAID_SECONDS + HEARD_SECONDS
_TIMEOUT_SECONDS = 0.25


class MachineWatch:
    """Says which machine this is, and listens. `tell` is called whenever the answer may have changed."""

    def __init__(
        self,
        url: str,
        machine: str,
        *,
        monotonic: Callable[[], float],
        prefix: str = PREFIX,
    ) -> None:
        """Connects to nothing yet. Raises RedisError where the URL cannot be used."""
        self._client = make_client(url, _TIMEOUT_SECONDS)
        self._machine = machine.encode()
        self._monotonic = monotonic
        self._channel = f"{prefix}machines"
        self._tell: Callable[[], None] = lambda: None
        self._listens_since = math.inf
        self._own_at = -math.inf
        self._others_at = -math.inf
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machine watch", daemon=True)

    def known_until(self) -> float:
        """Until when this is known to be the only machine, in monotonic seconds; past where it is not."""
        now = self._monotonic()
        if now - self._listens_since < LISTENED_SECONDS or now - self._others_at < REMEMBERED_SECONDS:
            return -math.inf
        return self._own_at + HEARD_SECONDS

    def start(self, tell: Callable[[], None]) -> None:
        """Listen from now on, and return when every machine has heard of this one."""
        self._tell = tell
        self._thread.start()
        self._stop.wait(START_SECONDS)

    def stop(self) -> None:
        """Fall silent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._client.close()

    def _run(self) -> None:
        was_heard = True
        while not self._stop.is_set():
            try:
                with self._client.pubsub(ignore_subscribe_messages=True) as channel:
                    channel.subscribe(self._channel)
                    self._listen(channel)
            except (redis.RedisError, OSError) as error:
                if was_heard:
                    log.warning("machine_watch_lost", error=type(error).__name__)
                was_heard = False
            else:
                was_heard = True
            self._listens_since, self._own_at = math.inf, -math.inf
            self._tell()
            self._stop.wait(SAID_SECONDS)

    def _listen(self, channel: Any) -> None:
        self._listens_since = self._monotonic()
        while not self._stop.is_set():
            said_at = self._monotonic()
            self._client.publish(self._channel, self._machine)
            while (left := said_at + SAID_SECONDS - self._monotonic()) > 0:
                self._hear(channel.get_message(timeout=left))

    def _hear(self, message: Any) -> None:
        if message is None:
            return
        if message["data"] == self._machine:
            self._own_at = self._monotonic()
        else:
            self._others_at = self._monotonic()
        self._tell()
