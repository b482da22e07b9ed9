"""Build the object graph: the one place that knows every part. It constructs, and never decides."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from threadpoolctl import threadpool_limits

from recsvc.bundles.registry import Registry
from recsvc.domain.access import ApiKey
from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.profiles import Portrait
from recsvc.domain.records import ErasureReceipt, Taken, Versioned, Written
from recsvc.domain.slates import SlateRequest
from recsvc.policy import Policy, load_policy
from recsvc.serving.answers import HealthReport, ItemList, ServedSlate
from recsvc.serving.browsing import Browser as CatalogueBrowser
from recsvc.serving.caching import CachedEngine
from recsvc.serving.customers import SubjectReader
from recsvc.serving.desks import CatalogueDesk as ItemDesk
from recsvc.serving.desks import CustomerDesk as RecordDesk
from recsvc.serving.desks import MerchandisingDesk
from recsvc.serving.engine import Engine as SlateEngine
from recsvc.serving.epochs import OutdatingCache
from recsvc.serving.health import Health as WorkerHealth
from recsvc.serving.intake import EventIntake
from recsvc.serving.live_access import LiveReader
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.live_feed import FOLLOW_SECONDS, REBUILD_SECONDS, LiveFeed
from recsvc.serving.live_follower import LiveSources
from recsvc.serving.portraits import Portraits as PortraitDrawer
from recsvc.serving.privacy import PrivacyDesk
from recsvc.serving.refreshing import Refresher
from recsvc.settings import Settings
from recsvc.stores.api_keys import SqlApiKeys
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import open_database
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.event_tail import SqlEventTail
from recsvc.stores.event_writer import EventWriter
from recsvc.stores.events import SqlEvents
from recsvc.stores.key_ring import KeyRing
from recsvc.stores.merchandising import SqlMerchandising
from recsvc.stores.redis_client import COOL_DOWN_SECONDS, RestingRedis
from recsvc.stores.redis_server import open_redis
from recsvc.stores.rejects_folder import RejectsFolder
from recsvc.stores.slate_cache import RedisSlateCache
from recsvc.stores.tombstones import SqlTombstones


class Engine(Protocol):
    """Answers with slates, whatever trouble the model or the cache is in."""

    def recommend(self, request: SlateRequest) -> ServedSlate:
        """The slate for the request."""
        ...


class Browser(Protocol):
    """Answers with lists that are nobody's own."""

    def similar(self, item_id: str, *, limit: int, channel: Channel, locale: str | None) -> ItemList:
        """Items like the item. Raises NotFoundError for an unknown item."""
        ...

    def trending(
        self, *, kind: ItemKind, limit: int, channel: Channel, locale: str | None, categories: tuple[str, ...]
    ) -> ItemList:
        """What everybody turns to now."""
        ...


class Keys(Protocol):
    """Knows API keys by their text."""

    def authenticate(self, key_text: str) -> ApiKey | None:
        """The key; None when it is unknown or revoked. Raises StoreError."""
        ...


class Health(Protocol):
    """Knows how this worker is."""

    def report(self) -> HealthReport:
        """Whether it can answer, and what it has to do without."""
        ...


class Intake(Protocol):
    """Takes events in. Once `take` returns, they are durable and the next answer knows them."""

    def take(self, events: Sequence[Interaction]) -> Taken:
        """Store all events or none. Raises EventConflictError, StoreError."""
        ...


class CustomerDesk(Protocol):
    """Keeps what is recorded about customers."""

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The record. Raises StoreError."""
        ...

    def put(self, customer: Customer, *, expected: str | None) -> Written:
        """Create the record, or replace the version `expected` ("*" is any version).

        Raises PreconditionRequiredError, PreconditionFailedError, StoreError.
        """
        ...


class CatalogueDesk(Protocol):
    """Keeps the items."""

    def get(self, item_id: str) -> Versioned[Item] | None:
        """The item, whatever its status. Raises StoreError."""
        ...

    def put(self, item: Item, *, expected: str | None) -> Written:
        """Create the item, or replace the version `expected`. Raises as `CustomerDesk.put` does."""
        ...

    def put_many(self, items: Sequence[Item]) -> int:
        """Create or replace all items or none; how many. Raises StoreError."""
        ...

    def retire(self, item_id: str, *, expected: str | None) -> bool:
        """Take the item out of service for good; whether there was one. Raises as `put` does."""
        ...


class Portraits(Protocol):
    """Draws customers."""

    def portrait(self, customer_id: str) -> Portrait | None:
        """What is known of the customer now; None of one of whom nothing is known. Raises StoreError."""
        ...


class Privacy(Protocol):
    """Gives customers what is held about them, and forgets it."""

    def erase(self, customer_id: str) -> ErasureReceipt:
        """Forget the customer, tombstone first. Twice is the same answer. Raises StoreError."""
        ...

    def export(self, customer_id: str) -> Iterator[bytes]:
        """Everything that is held about the customer as one JSON document, piece by piece."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that answers requests in one process. `new_id` makes request ids."""

    settings: Settings
    policy: Policy
    engine: Engine
    browser: Browser
    keys: Keys
    health: Health
    intake: Intake
    customers: CustomerDesk
    catalogue: CatalogueDesk
    merchandising: MerchandisingDesk
    portraits: Portraits
    privacy: Privacy
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    closers: tuple[Callable[[], None], ...] = ()

    def close(self) -> None:
        """Let go of what the process holds."""
        for close in self.closers:
            close()


def build_services(settings: Settings) -> Services:
    """Build every part from the settings.

    Raises:
        RecsvcError: the policy, the store or Redis cannot be used.
    """
    threadpool_limits(1, user_api="blas")  # Workers share the cores; threads within a request only fight.
    policy = load_policy(settings.policy_file)
    database = open_database(settings.store_url)
    redis_url, server = (settings.redis_url, None) if settings.redis_url else open_redis(settings)
    redis = RestingRedis(redis_url, settings.redis_timeout_seconds, monotonic=time.monotonic)
    slates = RedisSlateCache(redis, rng=random.SystemRandom())
    settling_seconds = settings.refresh_seconds + 2 * COOL_DOWN_SECONDS
    cache = OutdatingCache(slates, monotonic=time.monotonic, settling_seconds=settling_seconds)
    cache.owe_to_all()
    records, events, writer = SqlCustomers(database), SqlEvents(database), EventWriter(SqlEvents(database))
    items, rules = SqlCatalogue(database), SqlMerchandising(database)
    bundles = LiveBundles(Registry(settings.models_dir))
    live = LiveCatalogue(items, bundles, rules.rules)
    sources = LiveSources(SqlEventTail(database), SqlTombstones(database), records, policy)
    # Drawn for each worker, so that not all build their states anew at once.
    rebuild_seconds = REBUILD_SECONDS * random.SystemRandom().uniform(1.0, 1.5)
    feed = LiveFeed(sources, clock=now, monotonic=time.monotonic, rebuild_seconds=rebuild_seconds)
    live_reader = LiveReader(feed, monotonic=time.monotonic)
    subjects = SubjectReader(records, events, policy)
    engine = SlateEngine(live, subjects, policy, clock=now, new_id=new_id, live=live_reader)
    portraits = PortraitDrawer(records, events, live, policy, clock=now)
    privacy = PrivacyDesk(
        SqlErasures(database, tokens=secrets.token_hex),
        slates,
        RejectsFolder(settings.rejects_dir),
        records,
        events,
        rows_in_model=bundles.rows_of,
        portrait=portraits.portrait,
        forget_live=feed.forget,
        clock=now,
        new_id=new_id,
    )
    # A model that comes finds its live state ready: it is built before answers turn to the model.
    refresher = Refresher(
        (bundles.refresh, lambda: feed.follow(bundles.model), live.refresh, cache.retry),
        settings.refresh_seconds,
    )
    # What an erasure still has to do may take long, and must not keep a new catalogue waiting.
    eraser = Refresher((privacy.finish_pending,), settings.refresh_seconds)
    refresher.start()
    # Every worker follows the store by itself, so that all know of an event within a second.
    follower = Refresher((feed.refresh,), FOLLOW_SECONDS)
    eraser.start()
    follower.start()
    return Services(
        settings=settings,
        policy=policy,
        engine=CachedEngine(engine, cache, live, policy.version, clock=now),
        browser=CatalogueBrowser(live, policy.serving.default_locale, clock=now, live=live_reader),
        keys=KeyRing(SqlApiKeys(database), monotonic=time.monotonic),
        health=WorkerHealth(bundles, live, slates, feed, live_reader),
        intake=EventIntake(writer, cache, clock=now, announce=feed.expect),
        customers=RecordDesk(records, outdate=cache.move_epochs, clock=now),
        catalogue=ItemDesk(items, live),
        merchandising=MerchandisingDesk(rules, items=lambda: live.view.items, clock=now),
        portraits=portraits,
        privacy=privacy,
        clock=now,
        new_id=new_id,
        closers=(
            refresher.stop,
            eraser.stop,
            follower.stop,
            writer.close,
            redis.close,
            *([server.stop] if server else []),
            database.close,
        ),
    )


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """An id that nobody had before: 32 hexadecimal digits."""
    return uuid.uuid4().hex
