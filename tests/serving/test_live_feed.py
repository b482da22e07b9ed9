"""Every worker's live state follows the event store: of the same events they make the same state."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import structlog

from recsvc.domain.customers import Consents, Customer
from recsvc.domain.interactions import Interaction, TailEvent
from recsvc.errors import StoreError
from recsvc.live.scoring import HalfLives, LiveModel, blend, part_scores, shortlist
from recsvc.live.state import Bounds
from recsvc.policy import load_policy
from recsvc.sample_bank import SampleBank
from recsvc.serving.live_feed import REBUILD_SECONDS, STALE_SECONDS, LiveFeed
from recsvc.serving.live_follower import LiveSources, place_of
from recsvc.serving.live_snapshot import snapshot_of
from recsvc.serving.protocols import EventTail
from recsvc.serving.verification import Model, load_model
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database, open_database
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.event_tail import SqlEventTail
from recsvc.stores.events import SqlEvents
from recsvc.stores.tombstones import SqlTombstones

from ..small_bank import END

POLICY = load_policy()
WEIGHTS = LiveModel(0.25, 7.0, (1.0, 0.2, 0.3, 0.2, 0.5, 0.4, 0.05, 0.0))


@dataclass
class Clock:
    """Both clocks of a worker, moved by hand."""

    now: datetime = END + timedelta(days=2)
    seconds: float = 1_000.0


class Failing:
    """A tail that fails while it is told to."""

    def __init__(self, tail: EventTail) -> None:
        self._tail = tail
        self.is_down = False
        self.n_asked = 0
        self.meanwhile: Callable[[], object] | None = None
        self.afterwards: Callable[[], object] | None = None

    def after(self, sequence: int, limit: int) -> Sequence[TailEvent]:
        return self._tail.after(sequence, limit)

    def meetings_after(self, sequence: int, limit: int, types: Collection[str]) -> Sequence[TailEvent]:
        if self.meanwhile:
            self.meanwhile()
        found = self._tail.meetings_after(sequence, limit, types)
        if self.afterwards:
            self.afterwards()
        return found

    def last_sequence(self) -> int:
        self.n_asked += 1
        if self.is_down:
            raise StoreError("the store is away")
        return self._tail.last_sequence()

    def start_of_last(self, n: int, types: Collection[str], *, after: int = 0) -> int:
        return self._tail.start_of_last(n, types, after=after)


class Bank:
    """A store, and as many workers over it as a test wants; each has connections of its own."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self.database = open_database(self.url)
        self.events = SqlEvents(self.database)
        self.customers = SqlCustomers(self.database)
        self.erasures = SqlErasures(self.database, tokens=secrets.token_hex)
        self.clock = Clock()
        self.tails: list[Failing] = []
        self._opened: list[Database] = [self.database]
        self._n_events = 0

    def close(self) -> None:
        for database in self._opened:
            database.close()

    def worker(
        self,
        *,
        n_last: int = 50_000,
        bounds: Bounds | None = None,
        rebuild_seconds: float = REBUILD_SECONDS,
    ) -> LiveFeed:
        database = open_database(self.url)
        self._opened.append(database)
        self.tails.append(Failing(SqlEventTail(database)))
        sources = LiveSources(self.tails[-1], SqlTombstones(database), SqlCustomers(database), POLICY)
        return LiveFeed(
            sources,
            clock=lambda: self.clock.now,
            monotonic=lambda: self.clock.seconds,
            bounds=bounds or Bounds(500, 500),
            n_last=n_last,
            rebuild_seconds=rebuild_seconds,
        )

    def did(
        self,
        customer_id: str,
        *item_ids: str,
        type: str = "view",
        at: datetime | None = None,
        received_at: datetime | None = None,
    ) -> None:
        moment = at or self.clock.now
        self._n_events += 1
        happened = [
            Interaction(
                f"e{self._n_events}-{place}", type, customer_id, item, moment + timedelta(seconds=place)
            )
            for place, item in enumerate(item_ids)
        ]
        self.events.append(happened, received_at=received_at or moment)

    def erase(self, customer_id: str) -> None:
        now = self.clock.now
        self.erasures.begin(customer_id, receipt_id="r", now=now, claimed_until=now, removed={})


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    with closing(Bank(tmp_path / "store.sqlite3")) as made:
        yield made


@pytest.fixture(scope="module")
def model(published: tuple[Path, Path]) -> Model:
    return load_model(published[0])


def followed(feed: LiveFeed, model: Model | None = None) -> LiveFeed:
    feed.follow(model)
    return feed


def scores_of(feed: LiveFeed, customers: Collection[str], model: Model | None = None) -> dict[str, object]:
    """What a worker answers each of the customers: the shortlist and its scores, to the last bit."""
    answers: dict[str, object] = {}
    with feed.reading(model) as live:
        assert live is not None
        for customer_id in customers:
            rows = shortlist(live.state, np.empty(0, np.int64), 0, live.moment)
            parts = part_scores(live.state, customer_id, rows, HalfLives(0, 1), live.moment)
            scores = blend(parts, WEIGHTS.weights)
            answers[customer_id] = ([live.state.item_ids[row] for row in rows], scores.tobytes())
    return answers


def counts_of(feed: LiveFeed, model: Model | None = None) -> dict[str, float]:
    """The decayed count of every item at the moment of the reading, half-life of seven days."""
    with feed.reading(model) as live:
        assert live is not None
        counts = np.exp2(live.state.log_counts(1, live.moment))
        return {one: round(float(count), 6) for one, count in zip(live.state.item_ids, counts, strict=True)}


def readers_of(feed: LiveFeed, item_id: str, model: Model | None = None) -> set[str]:
    with feed.reading(model) as live:
        assert live is not None
        state = live.state
        names = {state.customer_row(one): one for one in state.customer_ids()}
        rows = state.readers(state.item_rows([item_id])).ravel()
        return {names[row] for row in rows.tolist() if row >= 0}


# The same events, the same state


def events_of(bank: SampleBank, n: int) -> list[Interaction]:
    """The last events of the sample bank."""
    columns = ("event_id", "type", "customer_id", "item_id", "occurred_at")
    rows = bank.events.sort("occurred_at").tail(n).select(columns).iter_rows()
    return [Interaction(*row) for row in rows]


def test_workers_agree_to_the_last_bit_whenever_they_began(bank: Bank, bank_in_small: SampleBank) -> None:
    history = events_of(bank_in_small, 6_000)
    bank.customers.put_many(bank_in_small.customers, now=END)
    asked = [customer.customer_id for customer in bank_in_small.customers[:200]]
    old = followed(bank.worker())
    for start in range(0, len(history), 700):
        batch = history[start : start + 700]
        bank.events.append(batch[::-1], received_at=batch[-1].occurred_at)
        if start == 2_100:
            other = followed(bank.worker())
        old.refresh()
    other.refresh()
    restarted = followed(bank.worker())
    answers = scores_of(old, asked)
    assert len(set(map(str, answers.values()))) > 100
    assert scores_of(other, asked) == scores_of(restarted, asked) == answers


def test_workers_agree_over_a_trained_model(bank: Bank, bank_in_small: SampleBank, model: Model) -> None:
    bank.customers.put_many(bank_in_small.customers, now=END)
    asked = [customer.customer_id for customer in bank_in_small.customers[:200]]
    old = followed(bank.worker(), model)
    items = model.bundle.items.ids_of(range(20))
    for place, customer_id in enumerate(asked):
        bank.did(customer_id, items[place % 20], items[place % 7], at=END + timedelta(minutes=place + 1))
        if place % 30 == 0:
            old.refresh()
    answers = scores_of(old, asked, model)
    assert scores_of(followed(bank.worker(), model), asked, model) == answers
    assert answers != scores_of(
        followed(Bank(Path(bank.url[10:]).parent / "none").worker(), model), asked, model
    )


def test_an_event_is_known_to_every_worker_that_is_asked(bank: Bank) -> None:
    workers = [followed(bank.worker()) for _ in range(3)]
    bank.did("c1", "i1")
    for worker in workers:
        assert counts_of(worker) == {"i1": 1.0}
    assert {worker.report().sequence for worker in workers} == {1}


def test_readers_writers_and_refreshes_at_once_leave_the_state_of_a_new_worker(bank: Bank) -> None:
    worker = followed(bank.worker())

    def work(part: int) -> None:
        for number in range(25):
            bank.events.append(
                [Interaction(f"e{part}-{number}", "view", f"c{part}", f"i{number}", END)], received_at=END
            )
            worker.refresh()
            with worker.reading(None) as live:
                assert live is not None
                assert live.state.n_items == len(live.state.item_ids)
            worker.forget(f"stranger{number}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    asked = [f"c{part}" for part in range(6)]
    assert worker.report().n_behind == 0
    assert scores_of(worker, asked) == scores_of(followed(bank.worker()), asked)
    assert readers_of(worker, "i24") == set(asked)


# What counts


def test_only_what_speaks_for_an_item_counts(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.did("c1", "liked", type="like")
    bank.did("c1", "shown", type="impression")
    bank.did("c1", "refused", type="dismiss")
    bank.events.append(
        [Interaction("s1", "nps", "c1", None, bank.clock.now, score=9.0)], received_at=bank.clock.now
    )
    assert list(counts_of(worker)) == ["liked"]
    assert worker.report().n_behind == 0


def test_whoever_refused_personalisation_is_left_out(bank: Bank) -> None:
    refused = Customer("no", consents=Consents(personalisation=False))
    agreed = Customer("yes", consents=Consents(personalisation=True))
    bank.customers.put_many([refused, agreed, Customer("unasked")], now=END)
    worker = followed(bank.worker())
    for customer_id in ("no", "yes", "unasked", "unknown"):
        bank.did(customer_id, "i1")
    assert POLICY.consent_without_record.personalisation
    assert readers_of(worker, "i1") == {"yes", "unasked", "unknown"}
    assert counts_of(worker)["i1"] == 3.0


def test_whoever_withdraws_consent_is_forgotten_at_the_next_look(bank: Bank) -> None:
    workers = [followed(bank.worker()) for _ in range(2)]
    for number in range(500):
        bank.did(f"c{number:03}", "i1")
    for worker in workers:
        worker.refresh()
    bank.customers.put_many([Customer("c499", consents=Consents(personalisation=False))], now=END)
    for worker in workers:
        with worker.reading(None) as live:
            assert live is not None and live.state.customer_row("c499") is None
            assert live.state.customer_row("c498") is not None


def consent(bank: Bank, customer_id: str, *, agrees: bool) -> None:
    bank.customers.put_many([Customer(customer_id, consents=Consents(personalisation=agrees))], now=END)


def test_whoever_agrees_later_counts_some_time_after_as_in_a_new_worker(bank: Bank) -> None:
    consent(bank, "c1", agrees=False)
    worker = followed(bank.worker())
    bank.did("c1", "i1")
    bank.did("c2", "i1")
    assert readers_of(worker, "i1") == {"c2"}
    consent(bank, "c1", agrees=True)
    bank.did("c1", "i2")
    worker.refresh()
    assert readers_of(worker, "i2") == {"c1"}
    bank.clock.seconds += REBUILD_SECONDS + 1
    worker.refresh()
    assert readers_of(worker, "i1") == {"c1", "c2"}
    assert counts_of(worker) == counts_of(followed(bank.worker()))


def test_whoever_withdraws_and_agrees_again_counts_again_some_time_after(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.did("c1", "i1")
    for agrees in (False, True):
        consent(bank, "c1", agrees=agrees)
        worker.refresh()
        assert readers_of(worker, "i1") == set()
    bank.clock.seconds += REBUILD_SECONDS + 1
    worker.refresh()
    assert readers_of(worker, "i1") == {"c1"}


def test_whoever_the_snapshot_knows_and_agrees_later_comes_back(bank: Bank, model: Model) -> None:
    with followed(bank.worker(), model).reading(model) as live:
        assert live is not None
        known = live.state.customer_ids()[0]
    consent(bank, known, agrees=False)
    worker = followed(bank.worker(), model)
    consent(bank, known, agrees=True)
    worker.refresh()
    bank.clock.seconds += REBUILD_SECONDS + 1
    worker.refresh()
    with worker.reading(model) as live:
        assert live is not None and live.state.customer_row(known) is not None


def test_a_record_that_changes_nothing_of_a_consent_builds_nothing_anew(bank: Bank) -> None:
    worker = followed(bank.worker())
    consent(bank, "no", agrees=False)
    bank.did("no", "i1")
    bank.did("yes", "i1")
    worker.refresh()
    consent(bank, "no", agrees=False)
    for each in ("yes", "new"):
        consent(bank, each, agrees=True)
    assert n_built(bank, worker) == 0


def n_built(bank: Bank, worker: LiveFeed, *, rounds: int = 3) -> int:
    """How often a worker builds its state anew in so many times the time after which it may."""
    with structlog.testing.capture_logs() as logged:
        for _ in range(rounds):
            worker.refresh()
            bank.clock.seconds += REBUILD_SECONDS + 1
            worker.refresh()
    return [line["event"] for line in logged].count("live_state_built")


def test_the_snapshot_is_not_counted_twice(bank: Bank, model: Model) -> None:
    facts = model.bundle.manifest
    item_id = model.bundle.items.id_of(0)
    until = facts.data_window.until
    assert until is not None
    alone = counts_of(followed(bank.worker(), model), model)
    before, after = facts.created_at - timedelta(seconds=1), facts.created_at + timedelta(seconds=1)
    bank.did("in-snapshot", item_id, at=until, received_at=before)
    assert counts_of(followed(bank.worker(), model), model) == alone
    bank.did("late", item_id, at=until, received_at=after)
    bank.did("meanwhile", item_id, at=until + timedelta(seconds=1), received_at=before)
    worker = followed(bank.worker(), model)
    assert counts_of(worker, model)[item_id] == pytest.approx(alone[item_id] + 2, abs=1e-4)
    assert {"late", "meanwhile"} <= readers_of(worker, item_id, model)


def test_what_was_trained_on_from_a_file_and_imported_later_is_not_counted_twice(
    bank: Bank, bank_in_small: SampleBank, model: Model
) -> None:
    bank.customers.put_many(bank_in_small.customers, now=END)
    alone = counts_of(followed(bank.worker(), model), model)
    later = model.bundle.manifest.created_at + timedelta(minutes=1)
    history = [event for event in events_of(bank_in_small, 8_000) if event.occurred_at < END]
    assert len(history) > 5_000
    for start in range(0, len(history), 1_000):
        bank.events.append(history[start : start + 1_000], received_at=later)
    assert counts_of(followed(bank.worker(), model), model) == alone


def test_what_is_older_than_the_meetings_of_the_snapshot_is_not_counted(bank: Bank, model: Model) -> None:
    first, facts = snapshot_of(model.bundle).seconds[0], model.bundle.manifest
    first_at = datetime.fromtimestamp(first, UTC)
    for name, at in (("before", first_at - timedelta(seconds=1)), ("since", first_at)):
        bank.did(name, model.bundle.items.id_of(0), at=at, received_at=facts.created_at)
    with followed(bank.worker(), model).reading(model) as live:
        assert live is not None
        assert live.state.customer_row("since") is not None
        assert live.state.customer_row("before") is None


def test_a_start_reads_no_more_than_the_last_events(bank: Bank) -> None:
    for number in range(7):
        bank.did("c1", f"i{number}")
    assert list(counts_of(followed(bank.worker(n_last=3)))) == ["i4", "i5", "i6"]


def test_what_speaks_for_no_item_takes_no_place_among_the_last_events(bank: Bank, model: Model) -> None:
    old = followed(bank.worker(n_last=3), model)
    for number in range(3):
        bank.did("c1", f"i{number}", at=END + timedelta(hours=1))
        bank.did("c1", *(f"shown{place}" for place in range(5)), type="impression")
        old.refresh()
    new = followed(bank.worker(n_last=3), model)
    assert counts_of(new, model) == counts_of(old, model)
    assert {"i0", "i1", "i2"} <= set(counts_of(new, model))
    assert new.report() == old.report()
    assert new.report().n_behind == 0


def test_the_place_of_a_moment_is_before_all_that_came_later(bank: Bank) -> None:
    for number in range(9):
        bank.did("c1", f"i{number}", received_at=END + timedelta(hours=number))
    tail = SqlEventTail(bank.database)
    for hours, expected in ((-1.0, "i0"), (0.0, "i0"), (3.5, "i4"), (8.0, "i8")):
        found = tail.after(place_of(tail, END + timedelta(hours=hours)), 1)
        assert [event.item_id for event in found] == [expected]
    assert place_of(tail, END + timedelta(hours=9)) == tail.last_sequence()


# The moment of a score


def test_scores_are_those_of_the_latest_event(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.did("c1", "i1", at=END - timedelta(days=300))
    with worker.reading(None) as live:
        assert live is not None and live.moment == (END - timedelta(days=300)).timestamp()
    at_first = scores_of(worker, ["c1"])
    bank.clock.now += timedelta(days=30)
    assert scores_of(worker, ["c1"]) == at_first


def test_no_event_moves_the_moment_ahead_of_the_clock(bank: Bank) -> None:
    worker = followed(bank.worker())
    with worker.reading(None) as live:
        assert live is not None and live.moment == bank.clock.now.timestamp()
    bank.did("c1", "i1", at=bank.clock.now + timedelta(minutes=4))
    with worker.reading(None) as live:
        assert live is not None and live.moment == bank.clock.now.timestamp()


def test_a_young_look_is_not_repeated(bank: Bank) -> None:
    worker = followed(bank.worker())
    n_asked = bank.tails[0].n_asked
    bank.clock.seconds += 0.04
    with worker.reading(None, at_most_age_seconds=0.05):
        assert bank.tails[0].n_asked == n_asked
    bank.clock.seconds += 0.02
    with worker.reading(None, at_most_age_seconds=0.05):
        assert bank.tails[0].n_asked == n_asked + 1


def test_after_an_event_of_its_own_a_worker_looks_at_once(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.did("c1", "i1")
    for knows, announced in ((False, False), (True, True), (True, False)):
        if announced:
            worker.expect()
        with worker.reading(None, at_most_age_seconds=60) as live:
            assert live is not None and (live.state.n_items == 1) is knows


# A store that fails


def test_a_store_that_fails_leaves_the_state_as_it_is(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.did("c1", "i1")
    known = counts_of(worker)
    bank.did("c1", "i2")
    bank.tails[0].is_down = True
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            bank.clock.seconds += 2
            worker.refresh()
            assert counts_of(worker) == known
    assert [line["event"] for line in logged] == ["live_state_stands_still"]
    assert worker.is_stale
    assert worker.report().n_behind is None
    bank.tails[0].is_down = False
    bank.clock.seconds += 2
    assert set(counts_of(worker)) == {"i1", "i2"}
    assert not worker.is_stale


def test_requests_leave_a_failing_store_in_peace_for_a_second(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.tails[0].is_down = True
    asked = [bank.tails[0].n_asked]
    for _ in range(4):
        bank.clock.seconds += 0.4
        with worker.reading(None):
            asked.append(bank.tails[0].n_asked)
    assert np.diff(asked).tolist() == [1, 0, 0, 1]


def test_while_nobody_can_say_who_refused_the_events_wait(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = followed(bank.worker())
    bank.customers.put_many([Customer("no", consents=Consents(personalisation=False))], now=END)
    bank.did("no", "i1")
    bank.did("yes", "i2")
    with bank.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE customers RENAME TO away")
    assert counts_of(worker) == {}
    with bank.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO customers")
    bank.clock.seconds += 2
    assert list(counts_of(worker)) == ["i2"]


def test_a_state_that_no_store_would_build_is_built_later(bank: Bank) -> None:
    worker = bank.worker()
    bank.tails[0].is_down = True
    worker.follow(None)
    with worker.reading(None) as live:
        assert live is None
    bank.tails[0].is_down = False
    bank.did("c1", "i1")
    worker.follow(None)
    assert counts_of(worker) == {"i1": 1.0}


def test_who_is_behind_says_so(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.events.append(
        [Interaction(f"e{n}", "view", "c1", f"i{n}", END) for n in range(2_500)], received_at=END
    )
    bank.clock.seconds += STALE_SECONDS + 1
    assert (worker.report().sequence, worker.report().is_stale) == (0, True)
    seen: list[tuple[int | None, bool]] = []
    bank.tails[0].meanwhile = lambda: seen.append((worker.report().n_behind, worker.report().is_stale))
    worker.refresh()
    assert seen == [(2_500, True), (1_500, True), (500, True)]
    assert (worker.report().n_behind, worker.report().is_stale) == (0, False)


# Erasures


@pytest.mark.parametrize("n_other", [0, 3])
def test_an_erasure_reaches_every_worker(bank: Bank, n_other: int) -> None:
    workers = [followed(bank.worker()) for _ in range(2)]
    for number in range(n_other):
        bank.did(f"other{number}", "i1")
    bank.did("gone", "i1", "i2")
    for worker in workers:
        assert "gone" in readers_of(worker, "i1")
    bank.erase("gone")
    for worker in workers:
        assert readers_of(worker, "i1") == {f"other{number}" for number in range(n_other)}
        with worker.reading(None) as live:
            assert live is not None and live.state.customer_row("gone") is None


def test_one_who_comes_back_after_an_erasure_begins_anew(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.did("gone", "i1")
    assert readers_of(worker, "i1") == {"gone"}
    bank.erase("gone")
    bank.clock.now += timedelta(minutes=1)
    bank.did("gone", "i2")
    assert (readers_of(worker, "i1"), readers_of(worker, "i2")) == (set(), {"gone"})


def test_a_bundle_that_knows_an_erased_customer_says_nothing_of_them(bank: Bank, model: Model) -> None:
    worker = followed(bank.worker(), model)
    with worker.reading(model) as live:
        assert live is not None
        gone = live.state.customer_ids()[0]
    bank.did(gone, "i1")
    bank.erase(gone)
    with followed(bank.worker(), model).reading(model) as live:
        assert live is not None and live.state.customer_row(gone) is None


def test_some_time_after_an_erasure_the_counts_are_those_of_a_new_worker(bank: Bank) -> None:
    worker = followed(bank.worker())
    an_hour_ago = bank.clock.now - timedelta(hours=1)
    bank.did("gone", "i1", at=an_hour_ago)
    bank.did("c1", "i1", "i2", at=an_hour_ago)
    assert counts_of(worker)["i1"] > 1.5
    bank.erase("gone")
    assert n_built(bank, worker) == 1
    assert counts_of(worker) == counts_of(followed(bank.worker())) == {"i1": 0.999999, "i2": 1.0}


def test_a_state_that_goes_further_back_than_a_new_one_is_built_anew_after_an_erasure(bank: Bank) -> None:
    worker = followed(bank.worker(n_last=2))
    bank.did("gone", "i1")
    for number in range(4):
        bank.did("c1", f"j{number}")
    worker.refresh()
    assert {"i1", "j0", "j1"} <= set(counts_of(worker))
    bank.erase("gone")
    assert n_built(bank, worker) == 1
    assert set(counts_of(worker)) == set(counts_of(followed(bank.worker(n_last=2)))) == {"j2", "j3"}


def test_all_who_are_forgotten_in_a_quarter_of_an_hour_cost_one_build(bank: Bank) -> None:
    workers = [bank.worker(), bank.worker(rebuild_seconds=2 * REBUILD_SECONDS)]
    for number in range(4):
        bank.did(f"c{number}", "i1")
    for worker in workers:
        worker.follow(None)
    with structlog.testing.capture_logs() as logged:
        for number in range(3):
            bank.erase(f"c{number}")
            for worker in workers:
                worker.refresh()
            bank.clock.seconds += REBUILD_SECONDS / 4
    assert logged == []
    assert n_built(bank, workers[0], rounds=1) == 1
    bank.clock.seconds -= REBUILD_SECONDS / 2
    assert n_built(bank, workers[1], rounds=1) == 1


def test_an_erasure_between_two_reads_of_a_look_is_found_at_the_next(bank: Bank) -> None:
    for is_starting in (False, True):
        gone = f"gone-{is_starting}"
        worker = bank.worker()
        if not is_starting:
            worker.follow(None)
        bank.did(gone, "i1")
        bank.did("c1", "i1")
        bank.tails[-1].afterwards = lambda gone=gone: erase_once(bank, gone)
        worker.follow(None)
        for _ in range(3):
            worker.refresh()
        with worker.reading(None) as live:
            assert live is not None and live.state.customer_row(gone) is None
        assert bank.customers.erased_at(gone) is not None


def test_an_erasure_while_a_state_is_built_leaves_no_share_for_good(bank: Bank) -> None:
    bank.did("gone", "i1")
    bank.did("c1", "i1", *(f"j{number % 400}" for number in range(1_100)), at=END)
    worker = bank.worker()
    bank.tails[-1].afterwards = lambda: erase_once(bank, "gone")
    worker.follow(None)
    assert n_built(bank, worker) == 1
    assert counts_of(worker)["i1"] == counts_of(followed(bank.worker()))["i1"]


def erase_once(bank: Bank, customer_id: str) -> None:
    if bank.customers.erased_at(customer_id) is None:
        bank.clock.now += timedelta(seconds=5)
        bank.erase(customer_id)


# Threads


def test_an_event_that_is_stored_while_a_request_asks_is_expected_by_the_next(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.did("c1", "i1")

    def store_another() -> None:
        bank.tails[0].afterwards = None
        bank.did("c1", "i2")
        worker.expect()

    bank.tails[0].afterwards = store_another
    with worker.reading(None) as live:
        assert live is not None and live.state.n_items == 1
    with worker.reading(None, at_most_age_seconds=60) as live:
        assert live is not None and live.state.n_items == 2


def test_nobody_changes_a_state_while_it_is_read(bank: Bank) -> None:
    worker = followed(bank.worker())
    with ThreadPoolExecutor(1) as pool:
        with worker.reading(None) as live:
            assert live is not None
            bank.did("c1", "i1")
            changing = pool.submit(worker.refresh)
            assert not wait([changing], timeout=0.2).done
            assert live.state.n_items == 0
        changing.result()
    assert counts_of(worker) == {"i1": 1.0}


def test_a_request_does_not_wait_for_one_who_asks_a_slow_store(bank: Bank) -> None:
    worker = followed(bank.worker())
    bank.did("c1", "i1")
    is_asking, may_go_on = Event(), Event()

    def hang() -> None:
        is_asking.set()
        assert may_go_on.wait(20)

    bank.tails[0].meanwhile = hang
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(worker.refresh)
        try:
            assert is_asking.wait(20)
            request = pool.submit(counts_of, worker)
            assert request.result(10) == {}
            assert not asking.done()
        finally:
            may_go_on.set()
    assert counts_of(worker) == {"i1": 1.0}


# Models


def test_a_new_model_finds_its_state_beside_the_one_before(
    bank: Bank, model: Model, published: tuple[Path, Path]
) -> None:
    later = load_model(published[1])
    worker = followed(bank.worker(), model)
    with worker.reading(later) as live:
        assert live is None
    worker.follow(later)
    for each in (model, later):
        with worker.reading(each) as live:
            assert live is not None
    worker.follow(later)
    with worker.reading(model) as live:
        assert live is None


def test_every_model_that_serves_has_a_state_that_is_up_to_date(
    bank: Bank, model: Model, published: tuple[Path, Path]
) -> None:
    later = load_model(published[1])
    worker = bank.worker()
    worker.follow(model, (later,))
    bank.clock.seconds += 1
    bank.did("c1", "i1")
    for each in (model, later):
        assert "c1" in readers_of(worker, "i1", each)
    bank.did("c2", "i1")
    for each in (model, later):
        with worker.reading(each, at_most_age_seconds=60) as live:
            assert live is not None and live.state.customer_row("c2") is None
    worker.expect()
    for each in (model, later):
        with worker.reading(each, at_most_age_seconds=60) as live:
            assert live is not None and live.state.customer_row("c2") is not None
    worker.follow(model)
    with worker.reading(later) as live:
        assert live is None


def test_whoever_is_forgotten_is_so_in_every_state_and_every_state_is_built_anew(
    bank: Bank, model: Model, published: tuple[Path, Path]
) -> None:
    later = load_model(published[1])
    worker = bank.worker()
    worker.follow(model, (later,))
    bank.did("gone", "i1")
    worker.refresh()
    bank.erase("gone")
    worker.forget("gone")
    for each in (model, later):
        assert readers_of(worker, "i1", each) == set()
    assert n_built(bank, worker) == 2
    fresh = bank.worker()
    fresh.follow(model, (later,))
    for each in (model, later):
        assert counts_of(worker, each) == counts_of(fresh, each)


def test_a_state_that_cannot_be_built_keeps_no_other_from_being_built(
    bank: Bank, model: Model, published: tuple[Path, Path]
) -> None:
    later = load_model(published[1])
    arrays = {name: array for name, array in later.bundle.arrays.items() if name != "live_firsts"}
    broken = replace(later, bundle=replace(later.bundle, arrays=arrays))
    worker = bank.worker()
    with pytest.raises(KeyError):
        worker.follow(model, (broken,))
    with worker.reading(model) as live:
        assert live is not None
    assert worker.is_stale
    worker.follow(model)
    assert not worker.is_stale


def test_a_model_without_live_parts_has_the_state_of_the_store(bank: Bank, model: Model) -> None:
    manifest = replace(model.bundle.manifest, live=None)
    plain = replace(model, bundle=replace(model.bundle, manifest=manifest))
    bank.did("c1", "i1")
    worker = followed(bank.worker(), plain)
    assert counts_of(worker, plain) == {"i1": 1.0}
    with worker.reading(plain) as live:
        assert live is not None and live.state.half_lives_days == (0.25, 7.0)


def test_a_model_whose_files_were_touched_is_not_read(bank: Bank, model: Model, tmp_path: Path) -> None:
    copy = shutil.copytree(model.bundle.path, tmp_path / model.bundle.path.name)
    touched = load_model(copy)
    with next(copy.glob("live_*.npy")).open("ab") as stream:
        stream.write(b"x")
    worker = followed(bank.worker(), touched)
    with worker.reading(touched) as live:
        assert live is None


def test_a_new_model_whose_state_cannot_be_built_is_reported(
    bank: Bank, model: Model, published: tuple[Path, Path]
) -> None:
    worker = followed(bank.worker(), model)
    bank.did("c1", "i1")
    worker.refresh()
    assert (worker.report().sequence, worker.is_stale) == (1, False)
    later = load_model(published[1])
    arrays = {name: array for name, array in later.bundle.arrays.items() if name != "live_firsts"}
    broken = replace(later, bundle=replace(later.bundle, arrays=arrays))
    with pytest.raises(KeyError):
        worker.follow(broken)
    worker.refresh()
    assert worker.is_stale
    assert (worker.report().sequence, worker.report().n_behind) == (0, None)
    worker.follow(later)
    assert not worker.is_stale
    assert worker.report().sequence == 1
