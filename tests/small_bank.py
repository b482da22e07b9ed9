"""A bank that is small enough to train on in a test, and everything that serves it, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.manifest import Manifest
from recsvc.bundles.opening import read_manifest
from recsvc.bundles.registry import Registry
from recsvc.domain.contacts import Shortage
from recsvc.domain.customers import Customer
from recsvc.domain.decisions import Decision, Grounds
from recsvc.domain.interactions import Deed, Interaction, Known
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.merchandising import MerchandisingRule, RuleAction
from recsvc.domain.records import Versioned
from recsvc.domain.slates import Slate, SlateRequest
from recsvc.errors import RedisError, StoreError
from recsvc.policy import Policy, load_policy
from recsvc.sample_bank import SampleBank, make_sample_bank
from recsvc.serving.browsing import Browser
from recsvc.serving.caching import CachedEngine
from recsvc.serving.customers import SubjectReader
from recsvc.serving.engine import Engine
from recsvc.serving.health import Health
from recsvc.serving.live_access import LiveReader
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.live_feed import LiveFeed
from recsvc.serving.live_follower import LiveSources
from recsvc.stores.memory import MemoryCatalogue, MemoryCustomers, MemoryEvents, MemorySlateCache
from recsvc.stores.memory_contacts import MemoryContacts, MemoryOfferLedger
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities
from recsvc.stores.memory_merchandising import MemoryMerchandising

Arrays = dict[str, NDArray[Any]]

END = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
POLICY = load_policy()
CONTENT, OFFER = ItemKind.CONTENT, ItemKind.OFFER


def small_bank() -> SampleBank:
    return make_sample_bank(end=END, n_customers=300, n_articles=80, n_offers=12, n_days=30, n_events=8_000)


def train_on(bank: SampleBank, folder: Path, *, created_at: datetime = END) -> str:
    """Train on the bank and publish into the folder; the version."""
    from recsvc.history.interactions import InteractionTable
    from recsvc.training.families import FAMILIES
    from recsvc.training.material import Source
    from recsvc.training.pipeline import train

    report = train(
        Source(InteractionTable.from_frame(bank.events), bank.items, bank.customers),
        POLICY,
        Registry(folder),
        families=FAMILIES,
        seed=1,
        created_at=created_at,
    )
    return report.manifest.version


def publish_changed(
    bundle: Path, change: Callable[[Arrays], object], facts: Mapping[str, Any] | None = None
) -> Path:
    """Publish a bundle beside another: the same, but for a change of its arrays. Its checksums match."""
    manifest = read_manifest(bundle)
    arrays = {name: np.load(bundle / f"{name}.npy") for name in manifest.arrays}
    change(arrays)
    changed: Manifest = replace(manifest, **{"name": "changed", **(facts or {})})
    published = Registry(bundle.parent).publish(changed, arrays)
    assert published.version != bundle.name
    return bundle.parent / published.version


def drop_live(arrays: Arrays) -> None:
    """Take the live arrays out of a bundle whose manifest will name no live parts."""
    for name in [name for name in arrays if name.startswith("live_")]:
        del arrays[name]


def publish_without_live(bundle: Path) -> Path:
    """The same bundle where nothing live counts, as a training publishes it that has no times to replay."""
    return publish_changed(bundle, drop_live, {"live": None})


def flip(file: Path, position: int, mask: int = 0xFF) -> None:
    """Change one byte of a file in place."""
    with file.open("r+b") as stream:
        stream.seek(position)
        (byte,) = stream.read(1)
        stream.seek(position)
        stream.write(bytes([byte ^ mask]))


class World:
    """The object graph over the stores in memory, with a clock that stands still until it is moved."""

    def __init__(
        self,
        folder: Path,
        *,
        items: Iterable[Item] = (),
        customers: Iterable[Customer] = (),
        policy: Policy = POLICY,
        now: datetime = END,
        is_untouched: Callable[[Bundle], bool] = Bundle.is_untouched,
    ) -> None:
        self.now = now
        self.seconds = 0.0
        self.policy = policy
        self.registry = Registry(folder)
        self.items, self.customers, self.events = (
            MemoryCatalogue(items),
            MemoryCustomers(customers),
            MemoryEvents(),
        )
        self.cache = MemorySlateCache(monotonic=lambda: self.seconds)
        self.wanted: set[str] = set()
        self.bundles = LiveBundles(self.registry, wanted_versions=lambda: self.wanted)
        self.rules = MemoryMerchandising(self.items)
        self.catalogue = LiveCatalogue(self.items, self.bundles, self.rules.rules, is_untouched=is_untouched)
        sources = LiveSources(self.events, self.customers, self.customers, policy)
        self.feed = LiveFeed(sources, clock=lambda: self.now, monotonic=lambda: self.seconds)
        self.live = LiveReader(self.feed, monotonic=lambda: self.seconds)
        self._ids = count(1)
        self.contacts = MemoryContacts(
            self.events,
            MemoryIdentities(MemoryExposures()),
            policy.offers,
            is_content=lambda item_id: self._kind_of(item_id) is CONTENT,
        )
        self.decisions = KeptDecisions(self.contacts)
        self.engine = self.engine_over(SubjectReader(self.customers, self.events, policy))
        self.cached = self.cached_over(self.cache)
        self.browser = Browser(self.catalogue, policy, clock=lambda: self.now, live=self.live)
        self.health = Health(self.bundles, self.catalogue, self.cache, self.feed, self.live)
        self.refresh()

    def engine_over(self, subjects: SubjectReader) -> Engine:
        return Engine(
            self.catalogue,
            subjects,
            self.policy,
            clock=lambda: self.now,
            new_id=lambda: str(next(self._ids)),
            live=self.live,
            contacts=self.contacts,
            ledger=self.decisions,
        )

    def _kind_of(self, item_id: str) -> ItemKind | None:
        item = self.catalogue.view.known.get(item_id)
        return item.kind if item else None

    def cached_over(self, cache: Any, *, policy_version: str = "p1") -> CachedEngine:
        return CachedEngine(self.engine, cache, self.catalogue, policy_version, clock=lambda: self.now)

    def refresh(self) -> None:
        self.bundles.refresh()
        self.feed.follow(self.bundles.model, self.bundles.beside)
        self.catalogue.refresh()

    def put(self, *items: Item) -> None:
        self.items.put_many(items)
        self.catalogue.refresh()

    def rule(self, action: str, **fields: Any) -> MerchandisingRule:
        """Put a rule that is on now and for an hour, but for what is given."""
        fields = {
            "rule_id": action,
            "starts_at": self.now,
            "ends_at": self.now + timedelta(hours=1),
            **fields,
        }
        rule = MerchandisingRule(action=RuleAction(action), **fields)
        expected = "*" if self.rules.get(rule.rule_id) else None
        self.rules.put(rule, expected=expected, now=self.now)
        self.catalogue.refresh()
        return rule

    def record(self, *customers: Customer) -> None:
        self.customers.put_many(customers, now=self.now)

    def slate(self, kind: ItemKind, customer_id: str, **wanted: Any) -> Slate:
        return self.engine.recommend(SlateRequest(kind, customer_id, **wanted))

    def did(self, customer_id: str, type: str, *item_ids: str, after: timedelta = timedelta(0)) -> None:
        """The customer did something to items, one after the other, just after the end of the training."""
        moment = self.now + after
        self.events.append(
            [
                Interaction(
                    f"e{next(self._ids)}", type, customer_id, item_id, moment + timedelta(milliseconds=place)
                )
                for place, item_id in enumerate(item_ids)
            ],
            received_at=moment,
        )


def alike_in_worth(world: World) -> World:
    """Where no offer is worth more than another, so that places are told by scores and rules alone."""
    offers = [item for item in world.items.items() if item.kind is OFFER]
    worth = {"value": Decimal(40), "priority": 0, "weight": 1.0, "exclusive_group": None}
    world.put(*(replace(item, terms=replace(item.offer_terms, **worth)) for item in offers))
    return world


class KeptDecisions(MemoryOfferLedger):
    """A ledger in memory, which can be down."""

    is_down = False

    def enter(
        self, decision: Decision, grounds: Grounds, counted: Sequence[Item], *, until: datetime
    ) -> Mapping[str, Shortage]:
        if self.is_down:
            raise StoreError("the ledger does not answer")
        return super().enter(decision, grounds, counted, until=until)


class DownStore:
    """A store that does not answer."""

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        raise StoreError("the store does not answer")

    def erased_at(self, customer_id: str) -> datetime | None:
        raise StoreError("the store does not answer")

    def known(self, customer_id: str, **options: object) -> Known:
        raise StoreError("the store does not answer")

    def deeds(self, customer_id: str, types: object, **options: object) -> Sequence[Deed]:
        raise StoreError("the store does not answer")

    def revision(self) -> int:
        raise StoreError("the store does not answer")

    def items(self) -> tuple[Item, ...]:
        raise StoreError("the store does not answer")

    def changed_after(self, revision: int) -> tuple[Item, ...]:
        raise StoreError("the store does not answer")


class DownCache:
    """A cache that does not answer."""

    def fetch(self, key: object) -> Any:
        raise RedisError("Redis does not answer")

    def fetch_many(self, keys: object) -> Any:
        raise RedisError("Redis does not answer")

    def keep(self, key: object, epoch: int, value: bytes, ttl_seconds: float) -> None:
        raise RedisError("Redis does not answer")

    def ping(self) -> None:
        raise RedisError("Redis does not answer")


def ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def categories(slate: Slate) -> list[str | None]:
    return [item.category for item in slate.items]


def who(customers: Sequence[Customer], *, personalisation: bool = True) -> list[str]:
    """Customers who were asked and gave this answer."""
    return [c.customer_id for c in customers if c.consents and c.consents.personalisation is personalisation]
