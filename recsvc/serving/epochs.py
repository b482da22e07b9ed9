"""The slate cache that owes nothing. In: customers whose slates are outdated. Out: no outdated slate.

An epoch that cannot be moved, because Redis fails, is remembered and moved later. Until then this worker
takes nothing of that customer from the cache: the answer is computed.

Other workers cannot know what this one owes. So one that met a failing Redis takes nothing from the cache
until those who owe have had the time to settle; and one that starts outdates everything, for what a killed
worker owed is forgotten with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from itertools import count

import structlog

from recsvc.domain.slates import Fetched, SlateKey
from recsvc.errors import RedisError
from recsvc.serving.protocols import SlateCache

log = structlog.get_logger()

MAX_REMEMBERED = 10_000


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
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._cache = cache
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
            log.warning("epochs_not_moved", customers=len(customer_ids), reason=str(error))

    def owe_to_all(self) -> None:
        """Owe everybody a new epoch: a worker that was killed may have owed some, and nobody knows whom."""
        with self._lock:
            self._owed_to_all = next(self._tickets)

    def retry(self) -> None:
        """Move what is owed, if Redis answers. A worker does this again and again.

        With nothing owed it asks whether Redis answers, so that no failure goes unnoticed for long.
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
        """The epoch, and the slate if one was kept in it.

        Raises:
            RedisError: the cache cannot answer, or is behind for this customer and cannot be brought up, or
                another worker may not have brought it up yet.
        """
        if self._owed_to_all is not None:
            raise RedisError("the slate cache is behind for all customers: asked again soon")
        if self._trusts_from is not None and self._monotonic() < self._trusts_from:
            raise RedisError("the slate cache failed a moment ago and may be behind: asked again soon")
        try:
            if key.customer_id in self._owed:
                self._settle({key.customer_id})
            return self._cache.fetch(key)
        except RedisError:
            self._distrust()
            raise

    def keep(self, key: SlateKey, epoch: int, value: bytes, ttl_seconds: float) -> None:
        """Keep a slate that was made in the epoch. Raises RedisError."""
        self._cache.keep(key, epoch, value, ttl_seconds)

    def ping(self) -> None:
        """Return when the cache answers. Raises RedisError."""
        self._cache.ping()

    def _distrust(self) -> None:
        self._trusts_from = self._monotonic() + self._settling_seconds

    def _settle(self, customer_ids: Collection[str]) -> None:
        owed = {each: self._owed.get(each) for each in customer_ids}
        self._cache.move_epochs(owed)
        with self._lock:
            for customer_id, ticket in owed.items():
                # What was remembered meanwhile may be newer than the move, and stays.
                if ticket is not None and self._owed.get(customer_id) == ticket:
                    del self._owed[customer_id]

    def _settle_all(self) -> None:
        ticket = self._owed_to_all
        self._cache.move_every_epoch()
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
