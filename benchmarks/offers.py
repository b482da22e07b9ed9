"""What one offer list costs. In: how many live offers. Out: CPU of lists that no cache answers.

Customers and events are read from SQLite in a file. The offers have rules, target markets and disclosures. No
contacts are counted, and no log waits for the disk. The model knows who responds to what.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from recsvc.bundles.registry import Registry
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.offer_terms import OfferTerms, TargetMarket
from recsvc.domain.slates import SlateRequest
from recsvc.history.interactions import InteractionTable
from recsvc.policy import load_policy
from recsvc.sample_bank import make_sample_bank
from recsvc.serving.customers import SubjectReader
from recsvc.serving.engine import Engine
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.untouched import LatelyUntouched
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import open_database
from recsvc.stores.events import SqlEvents
from recsvc.stores.memory import MemoryCatalogue
from recsvc.training.families import FAMILIES
from recsvc.training.material import Source
from recsvc.training.pipeline import train

END = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
N_CUSTOMERS = 400
N_EVENTS = 60_000
ADULTS = {
    "all": [
        {"field": "attributes.age", "op": "at_least", "value": 18},
        {"not": {"field": "attributes.country", "op": "equals", "value": "US"}},
    ]
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of CPU of one list: the median customer's, and the ninth tenth's."""

    offers: int
    listed: float
    median_ms: float
    p90_ms: float


def measure(folder: Path, n_offers: int, n_lists: int) -> Cost:
    """What uncached lists of ten cost a bank with so many live offers."""
    bank = make_sample_bank(
        end=END, n_customers=N_CUSTOMERS, n_articles=80, n_offers=n_offers, n_days=90, n_events=N_EVENTS
    )
    items = [_open(item, place) for place, item in enumerate(bank.items)]
    policy = load_policy()
    registry = Registry(folder / "models")
    material = Source(InteractionTable.from_frame(bank.events), items, bank.customers)
    families = [one for one in FAMILIES if one.name == "als"]
    trained = train(material, policy, registry, families=families, seed=1, created_at=END)
    assert trained.propensity.model is not None, trained.propensity.why
    registry.promote(trained.manifest.version)
    database = open_database(f"sqlite:///{folder / 'recsvc.db'}")
    customers = SqlCustomers(database)
    customers.put_many(bank.customers, now=END)
    events = SqlEvents(database)
    events.append(list(material.table.interactions()), received_at=END)
    bundles = LiveBundles(registry)
    catalogue = LiveCatalogue(MemoryCatalogue(items), bundles, is_untouched=LatelyUntouched(time.monotonic))
    bundles.refresh()
    catalogue.refresh()
    ids = count()
    engine = Engine(
        catalogue,
        SubjectReader(customers, events, policy),
        policy,
        clock=lambda: END,
        new_id=lambda: str(next(ids)),
    )
    whose = [one.customer_id for one in bank.customers if one.consents and one.consents.marketing]
    listed = [len(engine.recommend(SlateRequest(ItemKind.OFFER, one)).items) for one in whose]
    del bank, material
    gc.collect()
    gc.freeze()  # What the training left is no part of a server.
    asked = [whose[place % len(whose)] for place in range(n_lists)]
    requests = [SlateRequest(ItemKind.OFFER, one) for one in asked]
    costs = sorted(_cpu_ms(partial(engine.recommend, request)) for request in requests)
    n_live = sum(one.kind is ItemKind.OFFER for one in catalogue.view.items.values())
    database.close()
    return Cost(n_live, sum(listed) / len(listed), median(costs), costs[int(0.9 * len(costs))])


def _open(item: Item, place: int) -> Item:
    """The item as it was; an offer live, valid, on every channel, and with terms to look at."""
    if item.kind is not ItemKind.OFFER:
        return item
    terms: OfferTerms = replace(
        item.offer_terms,
        eligibility=ADULTS if place % 3 == 0 else None,
        negative_target_market=TargetMarket(knowledge=("none",)) if place % 4 == 0 else None,
        exclusive_group=f"group {place}" if place % 5 == 0 else None,
        jurisdictions=(),
    )
    title = {locale: f"{text} {place}" for locale, text in item.title.items()}
    return replace(item, title=title, valid_from=None, valid_to=None, channels=(), terms=terms)


def _cpu_ms(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1_000
