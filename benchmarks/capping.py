"""Ask for contacts from many clients at once. In: how many, for how long. Out: who was granted one too many.

Processes of several threads share one store, as web workers do, and nothing else. Each thread reserves for a
customer under any of their ids, and shows, gives back or forgets what it was granted. What is judged is what
the threads were told, put together afterwards: the store's own counts are not believed.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from recsvc.domain.contacts import is_paid_for
from recsvc.domain.interactions import IMPRESSION, Interaction
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.offer_terms import Budget, Cap, OfferTerms
from recsvc.policy_offers import ContactCapPolicy, OffersPolicy
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.database import Database, open_database
from recsvc.stores.events import SqlEvents
from recsvc.stores.identities import SqlIdentities

N_CUSTOMERS = 12
FATIGUE = 4
CAPPED, FUNDED, FEW = "capped", "funded", "few"
LIMITS = {CAPPED: 2, FUNDED: 25, FEW: 9}
"""How many contacts there may be: of each customer, from the budget, in all."""
_CAP = Cap(LIMITS[CAPPED], 24)
_BUDGET = Budget(Decimal("25.50"), Decimal(1))  # Half a unit is left that pays for nobody.
OFFERS = (
    Item(CAPPED, ItemKind.OFFER, terms=OfferTerms(caps=(_CAP,))),
    Item(FUNDED, ItemKind.OFFER, terms=OfferTerms(budget=_BUDGET)),
    Item(FEW, ItemKind.OFFER, terms=OfferTerms(inventory=LIMITS[FEW])),
)
POLICY = OffersPolicy(contact_caps=(ContactCapPolicy("calm", FATIGUE, 24),), pacing="none")
_ROOT = Path(__file__).resolve().parents[1]
_NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
_HELD = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Granted:
    """A contact that somebody was told they have. `kept` is false where they gave it back."""

    customer: int
    offer_id: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. `over` names every limit that was broken; `unused` those that were never reached.

    `returned` says whether all that was granted and never shown could be had again when its time was over.
    """

    calls: int
    grants: int
    over: tuple[str, ...]
    unused: tuple[str, ...]
    returned: bool
    calls_per_second: float

    @property
    def holds(self) -> bool:
        """Whether no limit was broken, each was reached, and what was not shown came back."""
        return not self.over and not self.unused and self.returned


def run(url: str, *, processes: int, threads: int, calls: int) -> Report:
    """Let each thread make so many calls, then judge them. The store must be empty."""
    database = open_database(url)
    identities = SqlIdentities(database)
    for number in range(N_CUSTOMERS):
        identities.link(_name(number), _name(number, "device"), now=_NOON)
    began = time.monotonic()
    granted = _in_processes(url, processes, threads, calls)
    seconds = time.monotonic() - began
    returned = _come_back(database)
    database.close()
    n_calls = processes * threads * calls
    return judge(granted, n_calls, seconds, returned=returned)


def judge(granted: list[Granted], n_calls: int, seconds: float, *, returned: bool) -> Report:
    """What is wrong with these grants, given that those kept were all held at one time."""
    kept = [one for one in granted if one.kept]
    of_offer = Counter(one.offer_id for one in kept)
    of_customer = Counter(one.customer for one in kept)
    capped = Counter(one.customer for one in kept if one.offer_id == CAPPED)
    counts = {
        CAPPED: (max(capped.values(), default=0), LIMITS[CAPPED]),
        FUNDED: (of_offer[FUNDED], LIMITS[FUNDED]),
        FEW: (of_offer[FEW], LIMITS[FEW]),
        "calm": (max(of_customer.values(), default=0), FATIGUE),
    }
    return Report(
        calls=n_calls,
        grants=len(granted),
        over=tuple(name for name, (n, limit) in counts.items() if n > limit),
        unused=tuple(name for name, (n, limit) in counts.items() if n < limit and name not in (FUNDED, FEW)),
        returned=returned,
        calls_per_second=round(n_calls / seconds, 1),
    )


def call(url: str, seed: int, threads: int, calls: int) -> list[Granted]:
    """What the threads of one process were granted."""
    database = open_database(url)
    contacts = SqlContacts(database, POLICY, is_content=lambda _: False)
    events = SqlEvents(database)

    def ask(number: int) -> list[Granted]:
        rng = random.Random(f"{seed}.{number}")
        turns = (_turn(contacts, events, rng, f"s{seed}-{number}-{turn}") for turn in range(calls))
        return [one for granted in turns for one in granted]

    with ThreadPoolExecutor(threads) as pool:
        granted = [one for granted in pool.map(ask, range(threads)) for one in granted]
    database.close()
    return granted


def _turn(contacts: SqlContacts, events: SqlEvents, rng: random.Random, slate_id: str) -> list[Granted]:
    customer = rng.randrange(N_CUSTOMERS)
    who = _name(customer, rng.choice(("", "device")))
    offers = rng.sample(OFFERS, 2)
    channel = rng.choice((Channel.WEB, Channel.MOBILE, Channel.EMAIL))
    found = contacts.reserve(who, slate_id, offers, channel=channel, now=_NOON, until=_NOON + _HELD)
    fate = rng.random()
    if fate < 0.2:
        contacts.release(who, slate_id)
    elif fate < 0.6:
        shown = [
            Interaction(f"{slate_id}.{one}", IMPRESSION, who, one, _NOON, channel=channel, slate_id=slate_id)
            for one in found.granted
        ]
        if shown:
            events.append(shown, received_at=_NOON)
    return [Granted(customer, one, fate >= 0.2) for one in found.granted]


def _in_processes(url: str, processes: int, threads: int, calls: int) -> list[Granted]:
    asked = "import sys; from benchmarks.capping import tell; tell(sys.argv)"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", asked, url, str(seed), str(threads), str(calls)],
            stdout=subprocess.PIPE,
            cwd=_ROOT,
        )
        for seed in range(processes)
    ]
    granted: list[Granted] = []
    for one in started:
        said, _ = one.communicate()
        if one.returncode != 0:
            raise RuntimeError("a process that asked for contacts failed")
        granted += [Granted(*row) for row in json.loads(said)]
    return granted


def tell(words: list[str]) -> None:
    """Print what `call` was granted, for the process that started this one."""
    granted = call(words[1], int(words[2]), int(words[3]), int(words[4]))
    print(json.dumps([[one.customer, one.offer_id, one.kept] for one in granted]))


def _come_back(database: Database) -> bool:
    """Whether, once every reservation has ended, only what was shown still counts against what is shared."""
    contacts = SqlContacts(database, OffersPolicy(pacing="none"), is_content=lambda _: False)
    later = _NOON + _HELD
    with database.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT item_id, count(*) FROM events WHERE type = 'impression' GROUP BY item_id"
        )
        shown = {str(item_id): int(n) for item_id, n in rows}
    for offer in filter(is_paid_for, OFFERS):
        free = LIMITS[offer.item_id] - shown.get(offer.item_id, 0)
        had = 0
        for number in range(free + 1):
            found = contacts.reserve(
                f"new-{number}",
                f"late-{number}",
                [offer],
                channel=Channel.WEB,
                now=later,
                until=later + _HELD,
            )
            had += len(found.granted)
        if had != free:
            return False
    return True


def _name(number: int, kind: str = "") -> str:
    return f"{kind}c{number}"
