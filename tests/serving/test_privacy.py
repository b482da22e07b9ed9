"""After the receipt, the id occurs nowhere: in no byte of the data folder, in no key or value of Redis."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recsvc.domain.customers import Consents, Customer
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.domain.slates import SlateKey
from recsvc.serving.privacy import PrivacyDesk
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import open_database
from recsvc.stores.decisions import SqlDecisions
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.events import SqlEvents
from recsvc.stores.exposures import SqlExposures
from recsvc.stores.identities import SqlIdentities
from recsvc.stores.redis_client import RestingRedis
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary
from recsvc.stores.rejects_folder import RejectsFolder
from recsvc.stores.slate_cache import RedisSlateCache
from tests.contract.test_decisions import GROUNDS, a_decision
from tests.offer_ledgers import enter

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
ERASED, OTHER = "customer-to-erase-7f3a", "customer-to-keep-91bc"
N_EVENTS = 40


@dataclass
class Branch:
    """One worker with everything that holds something about customers."""

    data_dir: Path
    redis_url: str
    now: datetime = NOW
    cool_down_seconds: float = 0.0
    forgotten_live: list[str] = field(default_factory=list)
    _closers: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        database = self.database = open_database(f"sqlite:///{self.data_dir / 'recsvc.sqlite3'}")
        self.redis = RestingRedis(
            self.redis_url, 0.1, monotonic=time.monotonic, cool_down_seconds=self.cool_down_seconds
        )
        self.customers, self.events = SqlCustomers(database), SqlEvents(database)
        self.exposures = SqlExposures(database)
        self.identities = SqlIdentities(database)
        self.decisions = SqlDecisions(database)
        self.cache = RedisSlateCache(self.redis, rng=random.SystemRandom())
        self.desk = PrivacyDesk(
            SqlErasures(database, tokens=secrets.token_hex),
            self.cache,
            RejectsFolder(self.data_dir / "rejects"),
            self.customers,
            self.events,
            self.exposures,
            self.identities,
            self.decisions,
            rows_in_model=lambda customer_id: int(customer_id == ERASED),
            portrait=lambda customer_id: None,
            forget_live=self.forgotten_live.append,
            clock=lambda: self.now,
            new_id=lambda: secrets.token_hex(16),
        )
        self._closers = [database.close, self.redis.close]

    def fill(self) -> None:
        """Let both customers leave traces everywhere."""
        for name in (ERASED, OTHER):
            self.customers.put(a_record(name), expected=None, now=NOW - timedelta(days=1))
            self.events.append([a_click(name, number) for number in range(N_EVENTS)], received_at=NOW)
            self.exposures.record([an_exposure(name)])
            decision = replace(a_decision(1, name), decision_id=f"s-{name == ERASED}")
            enter(self.database, decision, GROUNDS)
            for page in ("home", "basket"):
                key = SlateKey(name, page)
                self.cache.keep(key, self.cache.fetch(key).epoch, name.encode() * 3, 60.0)
        rejects = self.data_dir / "rejects"
        rejects.mkdir(exist_ok=True)
        lines = [{"source": "events.csv", "row": 1, "raw": {"who": name}} for name in (ERASED, OTHER)]
        (rejects / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def close(self) -> None:
        for close in self._closers:
            close()


def a_record(name: str) -> Customer:
    return Customer(name, {"city": "Bern"}, "de", Consents(personalisation=True))


def a_click(name: str, number: int) -> Interaction:
    return Interaction(
        f"{name}-event-{number}", "click", name, f"i{number}", NOW - timedelta(hours=number + 1)
    )


def an_exposure(name: str) -> Exposure:
    return Exposure("reading", 1, name, "b", NOW - timedelta(hours=1), Channel.WEB, "v2", 3)


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(find_server_binary()) as running:
        yield running


@pytest.fixture
def branch(server: EmbeddedRedis, tmp_path: Path) -> Iterator[Branch]:
    opened = Branch(tmp_path, server.url)
    opened.fill()
    yield opened
    opened.close()


def files_with(folder: Path, text: str) -> list[str]:
    """The files that hold the text. In a process of its own: SQLite's locks end with any close here."""
    found = subprocess.run(
        ["grep", "-rlaF", "-D", "skip", text, str(folder)], capture_output=True, text=True, check=False
    )
    return sorted(Path(line).name for line in found.stdout.splitlines())


def redis_holds(redis: RestingRedis, text: str) -> bool:
    return any(
        text.encode() in key or text.encode() in (redis.command("GET", key) or b"")
        for key in redis.command("KEYS", "*")
    )


def test_before_an_erasure_the_customer_is_everywhere(branch: Branch) -> None:
    assert {"events.jsonl", "recsvc.sqlite3-wal"} <= set(files_with(branch.data_dir, ERASED))
    assert redis_holds(branch.redis, ERASED)


def test_after_the_receipt_the_customer_is_nowhere_and_the_other_is_whole(branch: Branch) -> None:
    receipt = branch.desk.erase(ERASED)
    assert receipt.requested_at == receipt.checked_at == NOW
    assert receipt.removed == {
        "events": N_EVENTS,
        "customer": 1,
        "exposures": 1,
        "identities": 0,
        "decisions": 1,
        "slates": 2,
        "rejects": 1,
        "bundles": 1,
    }
    assert files_with(branch.data_dir, ERASED) == []
    assert not redis_holds(branch.redis, ERASED)
    assert branch.forgotten_live == [ERASED]
    assert len(list(branch.events.of_customer(OTHER))) == N_EVENTS
    kept = branch.customers.get(OTHER)
    assert kept and kept.value == a_record(OTHER)
    assert redis_holds(branch.redis, OTHER)
    assert "events.jsonl" in files_with(branch.data_dir, OTHER)
    assert branch.cache.fetch(SlateKey(OTHER, "home")).value is not None


def test_an_erased_customer_looks_like_one_who_never_was(branch: Branch) -> None:
    branch.desk.erase(ERASED)
    exports = [json.loads(b"".join(branch.desk.export(name))) for name in (ERASED, "nobody-at-all")]
    for export in exports:
        del export["customer_id"]
    assert exports[0] == exports[1]
    assert branch.customers.get(ERASED) is branch.customers.get("nobody-at-all") is None


def test_who_is_erased_is_erased_under_every_id_that_belongs_to_them(branch: Branch) -> None:
    nameless = "nameless-before-login-5e1d"
    branch.identities.link(ERASED, nameless, now=NOW)
    branch.events.append([a_click(nameless, 1)], received_at=NOW)
    branch.exposures.record([an_exposure(nameless)])
    branch.cache.keep(
        SlateKey(nameless, "home"), branch.cache.fetch(SlateKey(nameless, "home")).epoch, b"x", 9
    )
    export = json.loads(b"".join(branch.desk.export(ERASED)))
    assert [link["identity_id"] for link in export["identities"]] == [nameless]
    receipt = branch.desk.erase(ERASED)
    counted = {"events": N_EVENTS + 1, "customer": 1, "exposures": 2, "identities": 1, "slates": 3}
    assert (receipt.checked_at, receipt.removed | counted) == (NOW, receipt.removed)
    assert branch.desk.erase(ERASED) == receipt
    assert branch.customers.erased_at(nameless) == NOW
    assert branch.forgotten_live == [nameless, ERASED, ERASED]
    for name in (nameless, ERASED):
        assert files_with(branch.data_dir, name) == []
        assert not redis_holds(branch.redis, name)


def test_erasing_twice_is_the_same_answer_and_leaves_nothing_either(branch: Branch) -> None:
    first = branch.desk.erase(ERASED)
    branch.now += timedelta(minutes=1)
    branch.cache.fetch(SlateKey(ERASED, "home"))  # Somebody asks for the customer meanwhile.
    assert branch.desk.erase(ERASED) == first
    assert files_with(branch.data_dir, ERASED) == []
    assert not redis_holds(branch.redis, ERASED)


def test_a_stranger_gets_a_receipt_of_the_same_shape_and_leaves_nothing(branch: Branch) -> None:
    stranger = "customer-nobody-knows"
    receipt = branch.desk.erase(stranger)
    assert set(receipt.removed) == set(branch.desk.erase(ERASED).removed)
    assert set(receipt.removed.values()) == {0}
    assert receipt.checked_at is not None
    assert files_with(branch.data_dir, stranger) == []


def test_a_short_id_is_erased_without_harm_to_those_that_contain_it(branch: Branch) -> None:
    path = branch.data_dir / "rejects" / "events.jsonl"
    path.write_text('{"raw": {"who": "17"}}\n{"raw": {"who": "177", "sum": "4.17"}}\n')
    branch.customers.put(Customer("177"), expected=None, now=NOW)
    receipt = branch.desk.erase("17")
    assert (receipt.removed["rejects"], receipt.checked_at) == (1, NOW)
    assert path.read_text() == '{"raw": {"who": "177", "sum": "4.17"}}\n'
    kept = branch.customers.get("177")
    assert kept and kept.value == Customer("177")


def test_nothing_is_left_while_other_workers_keep_connections_open_and_read(branch: Branch) -> None:
    idle = [open_database(f"sqlite:///{branch.data_dir / 'recsvc.sqlite3'}") for _ in range(3)]
    stop = threading.Event()

    def read() -> None:
        customers = SqlCustomers(idle[0])
        while not stop.is_set():
            customers.get(ERASED)
            list(customers.each())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        receipt = branch.desk.erase(ERASED)
        assert receipt.checked_at is not None
        assert files_with(branch.data_dir, ERASED) == []
    finally:
        stop.set()
        reader.join()
        for database in idle:
            database.close()


def test_a_reader_who_holds_an_old_state_delays_the_end_and_not_the_erasure(branch: Branch) -> None:
    with closing(sqlite3.connect(branch.data_dir / "recsvc.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        receipt = branch.desk.erase(ERASED)
        assert receipt.checked_at is None
        assert branch.customers.erased_at(ERASED) == NOW
    branch.desk.finish_pending()
    assert branch.desk.erase(ERASED).checked_at is not None
    assert files_with(branch.data_dir, ERASED) == []


@contextmanager
def hung(redis: RestingRedis) -> Iterator[None]:
    """Redis keeps what it holds and answers nobody."""
    server_id = int(redis.command("INFO", "server")["process_id"])
    os.kill(server_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server_id, signal.SIGCONT)


def test_with_redis_away_the_store_is_done_and_redis_follows_when_it_is_back(branch: Branch) -> None:
    with hung(branch.redis):
        receipt = branch.desk.erase(ERASED)
        assert (receipt.checked_at, receipt.removed["events"]) == (None, N_EVENTS)
        assert files_with(branch.data_dir, ERASED) == []
        branch.desk.finish_pending()
        assert branch.desk.erase(ERASED) == receipt
    assert redis_holds(branch.redis, ERASED)
    branch.now += timedelta(seconds=1)
    branch.desk.finish_pending()
    assert not redis_holds(branch.redis, ERASED)
    assert redis_holds(branch.redis, OTHER)
    finished = branch.desk.erase(ERASED)
    assert (finished.checked_at, finished.removed["slates"]) == (branch.now, 2)
    assert files_with(branch.data_dir, ERASED) == []


def test_what_redis_missed_is_made_up_for_after_a_restart(branch: Branch) -> None:
    with hung(branch.redis):
        branch.desk.erase(ERASED)
    restarted = Branch(branch.data_dir, branch.redis_url)
    restarted.desk.finish_pending()
    assert not redis_holds(branch.redis, ERASED)
    assert files_with(branch.data_dir, ERASED) == []
    assert restarted.desk.erase(ERASED).checked_at is not None
    restarted.close()


def test_slates_go_first_and_one_that_was_being_made_meanwhile_goes_last(branch: Branch) -> None:
    key = SlateKey(ERASED, "home")
    begun_in = branch.cache.fetch(key).epoch
    pipe = branch.data_dir / "rejects" / "a-pipe-that-is-written-to-later.jsonl"
    os.mkfifo(pipe)
    erasing = threading.Thread(target=branch.desk.erase, args=(ERASED,))
    erasing.start()
    with pipe.open("wb"):  # Opens once the erasure has come so far as to read it.
        assert not redis_holds(branch.redis, ERASED)
        branch.cache.keep(key, begun_in, ERASED.encode(), 60.0)
    erasing.join()
    pipe.unlink()
    assert not redis_holds(branch.redis, ERASED)


ERASE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_privacy import Branch, ERASED
Branch(Path(sys.argv[2]), sys.argv[3]).desk.erase(ERASED)
"""


def start_to_erase(branch: Branch) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", ERASE, here, str(branch.data_dir), branch.redis_url]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def wait_until_erased(branch: Branch) -> None:
    deadline = time.monotonic() + 30
    while branch.customers.erased_at(ERASED) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_erasure_that_was_killed_half_way_is_finished_at_the_next_start(branch: Branch) -> None:
    stuck = branch.data_dir / "rejects" / "a-pipe-that-nobody-writes-to.jsonl"
    os.mkfifo(stuck)
    process = start_to_erase(branch)
    try:
        wait_until_erased(branch)
    finally:
        process.kill()
        process.wait()
    stuck.unlink()
    assert files_with(branch.data_dir, ERASED) != []
    assert list(branch.events.of_customer(ERASED)) == []
    restarted = Branch(branch.data_dir, branch.redis_url)
    restarted.desk.finish_pending()
    receipt = restarted.desk.erase(ERASED)
    assert (receipt.checked_at, receipt.removed["events"], receipt.removed["rejects"]) == (NOW, N_EVENTS, 1)
    assert files_with(branch.data_dir, ERASED) == []
    assert not redis_holds(branch.redis, ERASED)
    restarted.close()


@pytest.mark.parametrize("delay_ms", [0, 2, 5, 10, 20, 40, 80])
def test_whenever_an_erasure_is_killed_it_is_finished_at_the_next_start(
    branch: Branch, delay_ms: int
) -> None:
    process = start_to_erase(branch)
    try:
        wait_until_erased(branch)
        time.sleep(delay_ms / 1000)
    finally:
        process.kill()
        process.wait()
    restarted = Branch(branch.data_dir, branch.redis_url)
    restarted.desk.finish_pending()
    assert files_with(branch.data_dir, ERASED) == []
    assert not redis_holds(branch.redis, ERASED)
    assert restarted.desk.erase(ERASED).removed["events"] == N_EVENTS
    restarted.close()


def test_many_are_erased_from_a_store_of_many_pages_and_none_is_left(branch: Branch) -> None:
    chance = random.Random(7)
    names = [f"{chance.getrandbits(64):016x}" for _ in range(600)]
    for _ in range(30):
        batch = [
            Interaction(
                f"{chance.getrandbits(64):x}", "click", chance.choice(names), "i1", NOW - timedelta(1)
            )
            for _ in range(500)
        ]
        branch.events.append(batch, received_at=NOW)
    for name in names[:25]:
        assert branch.desk.erase(name).checked_at is not None
    left = [name for name in names[:25] if files_with(branch.data_dir, name)]
    assert left == []


def test_an_export_holds_everything_about_the_customer_and_nobody_else(branch: Branch) -> None:
    pieces = list(branch.desk.export(ERASED))
    export = json.loads(b"".join(pieces))
    assert export["record"]["attributes"] == {"city": "Bern"}
    assert export["consents"] == {"personalisation": True, "marketing": []}
    assert [event["event_id"] for event in export["events"]] == [
        a_click(ERASED, number).event_id for number in reversed(range(N_EVENTS))
    ]
    (decided,) = export["decisions"]
    assert (decided["decision_id"], decided["customer_id"], export["portrait"]) == ("s-True", ERASED, None)
    assert [(one["offer_id"], one["refused_by"]) for one in decided["judged"]] == [("loan", "not_suitable")]
    (met,) = export["exposures"]
    assert (met["experiment"], met["variant"], met["n_answers"]) == ("reading", "b", 3)
    assert OTHER.encode() not in b"".join(pieces)


def test_an_export_comes_in_pieces_however_long_it_is(branch: Branch) -> None:
    branch.events.append([a_click(ERASED, number) for number in range(N_EVENTS, 3_000)], received_at=NOW)
    pieces = list(branch.desk.export(ERASED))
    assert max(map(len, pieces)) < 300_000
    assert len(json.loads(b"".join(pieces))["events"]) == 3_000


def test_the_export_of_a_stranger_has_the_same_shape(branch: Branch) -> None:
    known, stranger = (json.loads(b"".join(branch.desk.export(name))) for name in (ERASED, "nobody"))
    assert set(known) == set(stranger)
    assert (stranger["events"], stranger["record"], stranger["consents"]) == ([], None, None)
