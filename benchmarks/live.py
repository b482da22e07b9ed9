"""What is live: what an event costs on the live state, and how much memory the state takes."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from benchmarks.bench import POLICY, SEED, Bench, Finding, NoDataError, cpu_seconds_of
from recsvc.domain.customers import Consents, Customer
from recsvc.domain.interactions import Interaction
from recsvc.live.state import DEFAULT_BOUNDS, Bounds, LiveState
from recsvc.serving.live_feed import HALF_LIVES_DAYS, LiveFeed
from recsvc.serving.live_follower import LiveSources
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database, open_database
from recsvc.stores.event_tail import SqlEventTail
from recsvc.stores.events import SqlEvents
from recsvc.stores.tombstones import SqlTombstones

DESKDROP = "deskdrop/dev_lt_2017-02-01.parquet"
N_MADE_UP, N_BATCH, N_LOOKS, N_STRANGERS = 50_000, 1_000, 2_000, 4_096
N_GONE = 15_000
START = datetime(2026, 1, 1, tzinfo=UTC)
MOST_MICROS = 50.0
"""What an event may cost."""


def live(bench: Bench) -> Iterator[Finding]:
    """The cost of an event, then the memory."""
    name, history = _history(bench)
    yield Finding(f"events measured ({name})", len(history))
    yield from _cost(history, bench.work)
    yield from _forgetting()
    yield from _memory()


def _history(bench: Bench) -> tuple[str, list[Interaction]]:
    """Deskdrop where it is there, else events that are made up."""
    try:
        table = bench.read(DESKDROP, "deskdrop")
    except NoDataError:
        return "made up", _made_up(N_MADE_UP)
    return "Deskdrop", sorted(table.interactions(), key=lambda one: one.occurred_at)


def _made_up(n_events: int) -> list[Interaction]:
    """A few items that many take and many that few take, over a month."""
    chance = random.Random(SEED)
    return [
        Interaction(
            f"{chance.getrandbits(64):016x}",
            "view",
            f"c{chance.randrange(5_000)}",
            f"i{int(chance.paretovariate(0.5)) % 3_000}",
            START + timedelta(days=30) * number / n_events,
        )
        for number in range(n_events)
    ]


def _cost(history: Sequence[Interaction], work: Path) -> Iterator[Finding]:
    meetings = [
        (one.customer_id, one.item_id, one.occurred_at.timestamp())
        for one in history
        if one.item_id is not None and POLICY.interaction_types[one.type].strength > 0
    ]
    state = LiveState(HALF_LIVES_DAYS)

    def record() -> None:
        for meeting in meetings:
            state.record(*meeting)

    alone = cpu_seconds_of(record) / len(meetings) * 1e6
    yield Finding("an event on the live state, recorded alone", alone, "µs of CPU", most=MOST_MICROS)
    with closing(open_database(f"sqlite:///{work / 'live.sqlite3'}")) as database:
        _store(database, history)
        sources = LiveSources(SqlEventTail(database), SqlTombstones(database), SqlCustomers(database), POLICY)
        feed = LiveFeed(
            sources, clock=lambda: datetime.now(UTC), monotonic=time.monotonic, n_last=len(history)
        )
        with structlog.testing.capture_logs():
            followed = cpu_seconds_of(lambda: feed.follow(None)) / len(history) * 1e6
        yield Finding(
            "an event through the feed, with the store's rows", followed, "µs of CPU", most=MOST_MICROS
        )

        def look() -> None:
            for _ in range(N_LOOKS):
                with feed.reading(None):
                    pass

        looked = cpu_seconds_of(look) / N_LOOKS * 1e6
        yield Finding("a look at a store that has nothing new", looked, "µs of CPU")


def _store(database: Database, history: Sequence[Interaction]) -> None:
    """Everything as a service would have it: each customer has a record that must be asked for consent."""
    known = {one.customer_id for one in history}
    records = [Customer(each, consents=Consents(personalisation=True)) for each in sorted(known)]
    SqlCustomers(database).put_many(records, now=START)
    events = SqlEvents(database)
    for start in range(0, len(history), N_BATCH):
        events.append(history[start : start + N_BATCH], received_at=START)


def _forgetting() -> Iterator[Finding]:
    """What those cost whose consent is missing when a state begins, all at once."""
    state = LiveState(HALF_LIVES_DAYS)
    for number in range(DEFAULT_BOUNDS.n_items):
        state.record(f"customer-{number}", f"item-{number}", 1e9 + number)
    gone = [f"customer-{number}" for number in range(N_GONE)]
    taken = cpu_seconds_of(lambda: state.forget(gone)) * 1e3
    yield Finding(f"forgetting {N_GONE:,} of {state.n_items:,} readers", taken, "ms of CPU")


def _memory() -> Iterator[Finding]:
    """What Python says it took, of states that are full of ids of 36 characters."""
    few = Bounds(n_items=N_STRANGERS, n_customers=N_STRANGERS)
    empty = _traced(few, n_items=0, n_customers=0)
    per_item = (_traced(few, n_items=N_STRANGERS, n_customers=1) - empty) / N_STRANGERS
    per_customer = (_traced(few, n_items=1, n_customers=N_STRANGERS) - empty) / N_STRANGERS
    yield Finding("memory of an item", per_item, "bytes")
    yield Finding("memory of a customer", per_customer, "bytes")
    bounds = DEFAULT_BOUNDS
    full = _traced(bounds, n_items=bounds.n_items, n_customers=bounds.n_customers)
    note = f"{bounds.n_items:,} items, {bounds.n_customers:,} customers"
    yield Finding("memory of a full state, as bounded by default", full / 1e6, "MB", note=note)


def _traced(bounds: Bounds, *, n_items: int, n_customers: int) -> int:
    """Bytes of a state that met so many items and customers."""
    tracemalloc.start()
    try:
        state = LiveState(HALF_LIVES_DAYS, bounds)
        for number in range(max(n_items, n_customers) if n_items and n_customers else 0):
            customer, item = number % n_customers, number % n_items
            state.record(f"customer-{customer:027}", f"item-{item:031}", 1e9 + number)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
