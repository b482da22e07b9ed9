"""The slate cache that owes nothing. In: customers whose slates are outdated. Out: no outdated slate.

An epoch that cannot be moved, because Redis fails, is remembered and moved later. Until then this worker
takes nothing of that customer from the cache: the answer is computed.

Other workers cannot know what this one owes. So one that met a failing Redis takes nothing from the cache
until those who owe have had the time to settle, and leaves word for the others of its machine; and one that
starts outdates everything, for what a killed worker owed is forgotten with it.

Copies in the workers' memory are outdated with the epochs, after them: a copy of what Redis held before the
epoch moved was made under the stamp from before. That part cannot fail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import TypeVar

import structlog

from recsvc.domain.slates import Fetched, SlateKey
from recsvc.errors import RedisError
from recsvc.serving.privacy import Traces
from recsvc.serving.protocols import EpochStamps, SlateCache

log = structlog.get_logger()

MAX_REMEMBERED = 10_000

T = TypeVar("T")


class ForgettingTraces:
    """Takes copies out of service with what Redis forgets, also where Redis fails to."""

    def __init__(self, traces: Traces, stamps: EpochStamps) -> None:
        self._traces = traces
        self._stamps = stamps

    def forget(self, customer_id: str) -> int:
        """Remove every key of the customer; how many slates there were. Raises RedisError."""
        try:
            return self._traces.forget(customer_id)
        finally:
            self._stamps.move([customer_id])

    def forget_where(self, is_meant: Callable[[str], bool]) -> int:
        """Remove every key of the customers who are meant; how many slates there were. Raises RedisError."""
        try:
            return self._traces.forget_where(is_meant)
        finally:
            self._stamps.move_all()


class OutdatingCache:
    """A slate cache whose `move_epochs` never fails: it is done, or will be before it matters.

    `settling_seconds` after Redis last failed, every worker that owed has settled: it is longer than a
    client's rest after a failure and the pause between retries together.
    """

    def __init__(
        self,
        cache: SlateCache,
        *,
        monotonic: Callable[[], float],
        settling_seconds: float,
        stamps: EpochStamps,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._cache = cache
        self._stamps = stamps
        self._monotonic = monotonic
        self._max_remembered = max_remembered
        self._settling_seconds = settling_seconds
        self._trusts_from: float | None = None  # Set when Redis failed.
        self._tickets = count(1)
        self._owed: dict[str, int] = {}  # The customers whose epochs are still to be moved.
        self._owed_to_all: int | None = None  # Set when they were too many to remember.
        self._lock = threading.Lock()

    def move_epochs(self, customer_ids: Collection[str]) -> None:
        """Outdate every slate of the customers, now or as soon as Redis answers."""
        try:
            self._cache.move_epochs(customer_ids)
        except RedisError as error:
            self._remember(customer_ids)
            self._distrust()
            self._stamps.distrust(self._monotonic() + self._settling_seconds)
            log.warning("epochs_not_moved", customers=len(customer_ids), reason=str(error))
        # Last of all: what is copied under the new stamps must be what is current by now.
        self._stamps.move(customer_ids)

    def owe_to_all(self) -> None:
        """Owe everybody a new epoch: a worker that was killed may have owed some, and nobody knows whom."""
        with self._lock:
            self._owed_to_all = next(self._tickets)

    def retry(self) -> None:
        """Move what is owed, if Redis answers. A worker does this again and again.

        With nothing owed it asks whether Redis answers and takes writes, so that no failure goes unnoticed
        for long: what another machine cannot outdate must not be taken from there either.
        """
        try:
            if self._owed_to_all is not None:
                self._settle_all()
            if self._owed:
                self._settle(list(self._owed))
            self._cache.ping()
        except RedisError as error:
            self._distrust()
            if self._owed or self._owed_to_all is not None:
                log.warning("epochs_still_not_moved", customers=len(self._owed), reason=str(error))

    def fetch(self, key: SlateKey) -> Fetched:
        """The epoch, and the slate if one was kept in it. Raises RedisError as `fetch_many` does."""
        return self._fetch((key.customer_id,), lambda: self._cache.fetch(key))

    def ask(self, key: SlateKey, heard: Callable[[Fetched | None], object]) -> bool:
        """Ask for what `fetch` brings, without waiting; whether `heard` will be told it, on another thread.

        Nobody is asked while anything is owed: `fetch` knows what it is to wait for.
        """
        if self._owed or self._owed_to_all is not None or self.is_distrusted():
            return False
        return self._cache.ask(key, heard)

    def fetch_many(self, keys: Sequence[SlateKey]) -> list[Fetched]:
        """The same for many customers.

        Raises:
            RedisError: the cache cannot answer, or is behind for one of them and cannot be brought up, or
                another worker may not have brought it up yet.
        """
        return self._fetch([key.customer_id for key in keys], lambda: self._cache.fetch_many(keys))

    def _fetch(self, customer_ids: Collection[str], fetch: Callable[[], T]) -> T:
        if self._owed_to_all is not None:
            raise RedisError("the slate cache is behind for all customers: asked again soon")
        if self.is_distrusted():
            raise RedisError("the slate cache failed a moment ago and may be behind: asked again soon")
        try:
            if self._owed and (owed := self._owed.keys() & customer_ids):
                self._settle(owed)
            return fetch()
        except RedisError:
            self._distrust()
            raise

    def keep(self, key: SlateKey, epoch: int, value: bytes, ttl_seconds: float) -> None:
        """Keep a slate that was made in the epoch. Raises RedisError."""
        self._cache.keep(key, epoch, value, ttl_seconds)

    def claim(self, key: SlateKey, epoch: int, seconds: float) -> bool:
        """Whether the caller, and nobody else for so long, is to renew the slate. Raises RedisError."""
        return self._cache.claim(key, epoch, seconds)

    def ping(self) -> None:
        """Return when the cache answers and takes writes. Raises RedisError."""
        self._cache.ping()

    def is_distrusted(self) -> bool:
        """Whether nothing is taken from the cache now, for it may be behind."""
        now = self._monotonic()
        if self._trusts_from is not None and now < self._trusts_from:
            return True
        # A word that reaches further than anybody gives it was left by a machine that started anew since.
        return now < self._stamps.distrusted_until <= now + self._settling_seconds

    def _distrust(self) -> None:
        self._trusts_from = self._monotonic() + self._settling_seconds

    def _settle(self, customer_ids: Collection[str]) -> None:
        owed = {each: self._owed.get(each) for each in customer_ids}
        self._cache.move_epochs(owed)
        self._stamps.move(owed)
        with self._lock:
            for customer_id, ticket in owed.items():
                # What was remembered meanwhile may be newer than the move, and stays.
                if ticket is not None and self._owed.get(customer_id) == ticket:
                    del self._owed[customer_id]

    def _settle_all(self) -> None:
        ticket = self._owed_to_all
        self._cache.move_every_epoch()
        self._stamps.move_all()
        with self._lock:
            if self._owed_to_all == ticket:
                self._owed_to_all = None

    def _remember(self, customer_ids: Collection[str]) -> None:
        with self._lock:
            ticket = next(self._tickets)
            self._owed.update(dict.fromkeys(customer_ids, ticket))
            if len(self._owed) > self._max_remembered:
                self._owed.clear()
                self._owed_to_all = ticket
