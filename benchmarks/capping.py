"""Ask for contacts from many clients at once. In: how many, for how long. Out: who was granted one too many.

Processes of several threads share one store, as web workers do, and nothing else. Each thread reserves for a
customer under any of their ids, and shows or forgets what it was granted. What is judged is what
the threads were told, put together afterwards: the store's own counts are not believed.
"""

from __future__ import annotations

import json
import os
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
from recsvc.domain.decisions import Decision, Judged, make_grounds
from recsvc.domain.interactions import IMPRESSION, Interaction
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.offer_terms import Budget, Cap, OfferTerms
from recsvc.policy_offers import ContactCapPolicy, OffersPolicy
from recsvc.stores.contacts import SqlContacts
from recsvc.stores.database import Database, open_database
from recsvc.stores.events import SqlEvents
from recsvc.stores.identities import SqlIdentities
from recsvc.stores.offer_ledger import SqlOfferLedger

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
GROUNDS = make_grounds(OFFERS, POLICY, {})
_ROOT = Path(__file__).resolve().parents[1]
_NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
_HELD = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Granted:
    """A contact that somebody was told they have."""

    customer: int
    offer_id: str


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
    granted, seconds = _in_processes(url, processes, threads, calls)
    returned = _come_back(database)
    database.close()
    n_calls = processes * threads * calls
    return judge(granted, n_calls, seconds, returned=returned)


def judge(granted: list[Granted], n_calls: int, seconds: float, *, returned: bool) -> Report:
    """What is wrong with these grants, given that all were held at one time."""
    of_offer = Counter(one.offer_id for one in granted)
    of_customer = Counter(one.customer for one in granted)
    capped = Counter(one.customer for one in granted if one.offer_id == CAPPED)
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
    ledger = ledger_of(database, POLICY)
    events = SqlEvents(database)

    def ask(number: int) -> list[Granted]:
        rng = random.Random(f"{seed}.{number}")
        turns = (_turn(ledger, events, rng, f"s{seed}-{number}-{turn}") for turn in range(calls))
        return [one for granted in turns for one in granted]

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(threads) as pool:
        granted = [one for granted in pool.map(ask, range(threads)) for one in granted]
    ledger.close()
    database.close()
    return granted


def ledger_of(database: Database, policy: OffersPolicy) -> SqlOfferLedger:
    """A ledger in which nothing is content."""
    contacts = SqlContacts(database, policy, is_content=lambda _: False)
    return SqlOfferLedger(database, contacts, random_bytes=os.urandom)


def _turn(ledger: SqlOfferLedger, events: SqlEvents, rng: random.Random, slate_id: str) -> list[Granted]:
    customer = rng.randrange(N_CUSTOMERS)
    who = _name(customer, rng.choice(("", "device")))
    offers = rng.sample(OFFERS, 2)
    channel = rng.choice((Channel.WEB, Channel.MOBILE, Channel.EMAIL))
    granted = _enter(ledger, _decision(slate_id, who, channel, _NOON), offers)
    if granted and rng.random() < 0.4:
        shown = [
            Interaction(f"{slate_id}.{one}", IMPRESSION, who, one, _NOON, channel=channel, slate_id=slate_id)
            for one in granted
        ]
        events.append(shown, received_at=_NOON)
    return [Granted(customer, one) for one in granted]


def _enter(ledger: SqlOfferLedger, decision: Decision, offers: list[Item]) -> list[str]:
    """Which of the offers were granted: what is short is left out, as lists do."""
    while offers:
        short = ledger.enter(decision, GROUNDS, offers, until=decision.decided_at + _HELD)
        if not short:
            break
        offers = [one for one in offers if one.item_id not in short]
    return [one.item_id for one in offers]


def _decision(slate_id: str, who: str, channel: Channel, at: datetime) -> Decision:
    return Decision(
        decision_id=slate_id,
        customer_id=who,
        decided_at=at,
        channel=channel,
        placement="home",
        locale="en",
        profile_version=None,
        policy_version="p1",
        model_version=None,
        experiment=None,
        variant=None,
        seed=None,
        judged=Judged(),
        chosen=(),
        facts="{}",
        body_digest="",
        grounds=GROUNDS.digest,
    )


def _in_processes(url: str, processes: int, threads: int, calls: int) -> tuple[list[Granted], float]:
    """What all were granted, and how many seconds that took once they had all started."""
    asked = "import sys; from benchmarks.capping import tell; tell(sys.argv)"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", asked, url, str(seed), str(threads), str(calls)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        for seed in range(processes)
    ]
    for one in started:
        assert one.stdout is not None
        one.stdout.readline()  # It is ready.
    began = time.monotonic()
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    granted: list[Granted] = []
    for one in started:
        said, _ = one.communicate()
        if one.returncode != 0:
            raise RuntimeError("a process that asked for contacts failed")
        granted += [Granted(*row) for row in json.loads(said)]
    return granted, time.monotonic() - began


def tell(words: list[str]) -> None:
    """Print what `call` was granted, for the process that started this one."""
    granted = call(words[1], int(words[2]), int(words[3]), int(words[4]))
    print(json.dumps([[one.customer, one.offer_id] for one in granted]))


def _come_back(database: Database) -> bool:
    """Whether, once every reservation has ended, only what was shown still counts against what is shared."""
    ledger = ledger_of(database, OffersPolicy(pacing="none"))
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
            who = f"new-{number}"
            had += len(_enter(ledger, _decision(f"{offer.item_id}-{who}", who, Channel.WEB, later), [offer]))
        if had != free:
            return False
    ledger.close()
    return True


def _name(number: int, kind: str = "") -> str:
    return f"{kind}c{number}"
