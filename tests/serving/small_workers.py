"""Workers over one store and one Redis that can be taken away, for tests of what they know of each other."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from recsvc.bundles.registry import Registry
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.slates import Fetched, Slate, SlateItem, SlateKey, SlateRequest, Source
from recsvc.errors import RedisError
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.serving.caching import CachedEngine
from recsvc.serving.epochs import OutdatingCache
from recsvc.serving.intake import EventIntake
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.local_copies import LocalCopies
from recsvc.stores.epoch_table import MemoryEpochTable
from recsvc.stores.memory import MemoryCatalogue, MemoryEvents, MemorySlateCache
from recsvc.stores.slate_cache import RedisSlateCache

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
REQUEST = SlateRequest(ItemKind.CONTENT, "c1")
SETTLING_SECONDS = 2.0


def a_click(event_id: str, customer_id: str = "c1") -> Interaction:
    return Interaction(event_id, "click", customer_id, "i1", NOW)


@dataclass
class EventShowingEngine:
    """Makes slates of the customer's events, so that a slate tells what it knows."""

    log: MemoryEvents
    meanwhile: Callable[[], object] | None = None
    now: Callable[[], datetime] = lambda: NOW
    n_made: int = 0

    def recommend(self, request: SlateRequest) -> Slate:
        self.n_made += 1
        known = list(self.log.of_customer(request.customer_id))
        if self.meanwhile:
            self.meanwhile()
        items = [
            SlateItem(event.event_id, position, 1.0, None, None, None, None, None)
            for position, event in enumerate(known, start=1)
        ]
        return Slate(
            slate_id="s_1",
            customer_id=request.customer_id,
            kind=request.kind,
            channel=Channel.WEB,
            placement="home",
            locale="en",
            items=tuple(items),
            source=Source.PERSONALISED,
            model_version=None,
            policy_version="1",
            generated_at=self.now(),
            expires_at=self.now() + timedelta(minutes=1),
        )


@dataclass
class FailingCache(MemorySlateCache):
    """A cache whose Redis can be taken away. `moved` names the customers whose epochs were moved."""

    fails: bool = False
    before_move: Callable[[], object] | None = None
    meanwhile: Callable[[], object] | None = None
    moved: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(monotonic=time.monotonic)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile it fails."""
        self.fails = True
        yield
        self.fails = False

    def _check(self) -> None:
        if self.fails:
            raise RedisError("Redis is away")

    def fetch(self, key: SlateKey) -> Fetched:
        self._check()
        return super().fetch(key)

    def ask(self, key: SlateKey, heard: Callable[[Fetched | None], object]) -> bool:
        if self.fails:
            return False
        return super().ask(key, heard)

    def ping(self) -> None:
        self._check()

    def move_epochs(self, customer_ids: Collection[str]) -> None:
        self._check()
        if self.before_move:
            self.before_move()
        super().move_epochs(customer_ids)
        self.moved += sorted(customer_ids)
        if self.meanwhile:
            self.meanwhile()

    def move_every_epoch(self) -> None:
        self._check()
        super().move_every_epoch()


class Worker:
    """One worker's cache, intake and engine, over what all share; those of one machine share stamps too."""

    def __init__(
        self,
        log: MemoryEvents,
        redis: MemorySlateCache | RedisSlateCache,
        folder: Path,
        stamps: MemoryEpochTable | None = None,
        *,
        copies_bytes: int = 0,
    ) -> None:
        self.seconds = 0.0
        self.now = NOW
        stamps = stamps or MemoryEpochTable(rng=random.SystemRandom())
        self.cache = OutdatingCache(
            redis,
            monotonic=lambda: self.seconds,
            settling_seconds=SETTLING_SECONDS,
            stamps=stamps,
            max_remembered=3,
        )
        self.copies = LocalCopies(
            stamps, copies_bytes, clock=lambda: self.now.timestamp(), monotonic=lambda: self.seconds
        )
        self.copies.refresh()
        self.n_announced: list[int] = []  # How many events were stored by then.
        self.intake = EventIntake(
            log,
            self.cache,
            clock=lambda: NOW,
            announce=lambda: self.n_announced.append(log.count()),
        )
        self.inner = EventShowingEngine(log, now=lambda: self.now)
        catalogue = LiveCatalogue(MemoryCatalogue(), LiveBundles(Registry(folder)))
        inner: Any = self.inner
        self.engine = CachedEngine(
            inner, self.cache, catalogue, "1", clock=lambda: self.now, copies=self.copies
        )

    def shows(self, customer_id: str = "c1") -> tuple[list[str], CacheStatus]:
        """What the next answer knows, and where it came from."""
        return _told_in(self.engine.recommend(SlateRequest(ItemKind.CONTENT, customer_id)))

    def hears(self, customer_id: str = "c1") -> tuple[list[str], CacheStatus] | None:
        """The same of what Redis is asked for without waiting; None where only `shows` can say."""
        heard: list[ServedSlate | None] = []
        asks = self.engine.ask(SlateRequest(ItemKind.CONTENT, customer_id), heard.append)
        assert len(heard) == asks
        return _told_in(heard[0]) if heard and heard[0] else None


def _told_in(served: ServedSlate) -> tuple[list[str], CacheStatus]:
    return [event_id for event_id in ("e1", "e2", "e3") if event_id.encode() in served.body], served.cache
