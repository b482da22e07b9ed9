"""Who is served from which arm, and what is noted of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import pytest
import structlog
from msgspec.structs import fields
from msgspec.structs import replace as with_changes

from recsvc.domain.experiments import ExperimentStatus
from recsvc.domain.exposures import Exposure
from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.slates import SlateRequest, Source
from recsvc.errors import StoreError
from recsvc.experimentation.allocations import allocation_of
from recsvc.experimentation.exposed import ALARM_SECONDS, ExposedEngine
from recsvc.experimentation.exposure_notes import ExposureNotes
from recsvc.experimentation.units import Units
from recsvc.stores.epoch_table import MemoryEpochTable
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities

from .test_running import CUSTOMERS, NOW, Process, Registered, a_test


@dataclass(frozen=True)
class Answer:
    """What the engine below answered, and to what."""

    request: SlateRequest
    model_version: str | None
    source: Source = Source.PERSONALISED


class Inner:
    """Serves the arm that a request names, else the champion, unless it is told otherwise."""

    def __init__(self) -> None:
        self.instead: str | None = None
        self.source = Source.PERSONALISED
        self.champion = "v0"
        self.ready: set[str] = set()

    def recommend(self, request: SlateRequest) -> Answer:
        wanted = request.arm.model_version if request.arm else None
        return Answer(request, self.instead or wanted or self.champion, self.source)

    def recommend_many(self, requests: Sequence[SlateRequest]) -> Iterator[Answer]:
        return map(self.recommend, requests)

    def at_hand(self, request: SlateRequest) -> Answer | None:
        return self.recommend(request) if request.customer_id in self.ready else None

    def ask(self, request: SlateRequest, heard: Callable[[Answer | None], object]) -> bool:
        heard(self.at_hand(request))
        return True


class Store(MemoryExposures):
    """Exposures in a store that fails while it is told to."""

    is_down = False

    def record(self, met: object) -> None:
        if self.is_down:
            raise StoreError("the store is away")
        super().record(met)  # type: ignore[arg-type]


class Worker:
    """A process that serves."""

    def __init__(
        self, registered: Registered, store: Store, *, holdout_percent: int = 0, max_notes: int = 1_000
    ) -> None:
        self.process = Process(registered, holdout_percent=holdout_percent)
        self.inner = Inner()
        self.seconds = 0.0
        self.notes = ExposureNotes(store, max_notes=max_notes)
        self.engine = ExposedEngine(
            self.inner,
            self.process.running,
            Units(MemoryIdentities(MemoryExposures())),
            self.notes,
            clock=lambda: self.process.now,
            monotonic=self._tick,
        )

    def _tick(self) -> float:
        self.seconds += 0.001
        return self.seconds

    def ask(self, customer_id: str, channel: Channel = Channel.WEB, **wanted: object) -> Answer:
        return self.engine.recommend(SlateRequest(ItemKind.CONTENT, customer_id, channel=channel, **wanted))  # type: ignore[arg-type]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def registered() -> Registered:
    return Registered(a_test())


def exposures(store: Store, experiment: str = "reading", phase: int = 1) -> list[Exposure]:
    return list(store.of_phase(experiment, phase))


def test_without_an_experiment_the_request_goes_down_as_it_came(store: Store) -> None:
    worker = Worker(Registered(), store)
    request = SlateRequest(ItemKind.CONTENT, "c1")
    assert worker.engine.recommend(request).request is request
    worker.notes.write()
    assert list(store.of_customer("c1")) == []


def test_every_customer_is_served_their_arm_on_every_channel_and_after_a_restart(
    registered: Registered, store: Store
) -> None:
    deals = allocation_of(a_test())
    workers = [Worker(registered, store) for _ in range(2)]
    for customer_id in CUSTOMERS[:200]:
        answers = [worker.ask(customer_id, channel) for worker in workers for channel in Channel]
        assert {one.request.arm.variant for one in answers if one.request.arm} == {
            deals.assign(customer_id).variant
        }
        assert len({one.model_version for one in answers}) == 1


def test_many_at_once_are_answered_and_noted_as_each_alone(registered: Registered, store: Store) -> None:
    one_by_one, at_once = Worker(registered, store), Worker(registered, store)
    requests = [SlateRequest(ItemKind.CONTENT, customer_id) for customer_id in CUSTOMERS[:50]]
    alone = [one_by_one.engine.recommend(request) for request in requests]
    one_by_one.notes.write()
    noted = {one.customer_id: (one.variant, one.n_answers) for one in exposures(store)}
    assert list(at_once.engine.recommend_many(requests)) == alone
    at_once.notes.write()
    again = {one.customer_id: (one.variant, one.n_answers) for one in exposures(store)}
    assert again == {customer_id: (variant, 2 * n) for customer_id, (variant, n) in noted.items()}
    assert len(again) == 50 and len({one.model_version for one in alone}) > 1


def test_many_at_once_go_down_as_they_came_without_an_experiment(store: Store) -> None:
    worker = Worker(Registered(), store)
    requests = [SlateRequest(ItemKind.CONTENT, customer_id) for customer_id in CUSTOMERS[:3]]
    answers = list(worker.engine.recommend_many(requests))
    assert [one.request is request for one, request in zip(answers, requests, strict=True)] == [True] * 3


def test_what_was_looked_up_for_many_counts_for_each_in_its_share(
    registered: Registered, store: Store
) -> None:
    class Slow(Inner):
        def recommend_many(self, requests: Sequence[SlateRequest]) -> Iterator[Answer]:
            worker.seconds += 1.0
            return super().recommend_many(requests)

    worker = Worker(registered, store)
    slow = worker.engine._recommend_many = Slow().recommend_many  # type: ignore[method-assign]
    list(worker.engine.recommend_many([SlateRequest(ItemKind.CONTENT, one) for one in CUSTOMERS[:50]]))
    worker.notes.write()
    each = [one.latency_micros for one in exposures(store)]
    assert slow is not None and sum(each) == pytest.approx(1_051_000, abs=1_000)
    assert max(each) - min(each) <= 1


def test_what_stands_ready_is_the_same_answer_and_is_noted_as_one(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store)
    worker.inner.ready.add("c1")
    requests = [SlateRequest(ItemKind.CONTENT, customer_id) for customer_id in ("c1", "c2")]
    expected = [worker.engine.recommend(requests[0]), None]
    assert [worker.engine.at_hand(each) for each in requests] == expected
    heard: list[Answer | None] = []
    assert all(worker.engine.ask(each, heard.append) for each in requests)
    assert heard == expected
    worker.notes.write()
    assert {one.customer_id: one.n_answers for one in exposures(store)} == {"c1": 3}


def test_nothing_stands_ready_while_somebody_linked_ids_that_nobody_looked_at_yet(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store)
    worker.inner.ready.add("c1")
    stamps = MemoryEpochTable(rng=random.SystemRandom())
    worker.engine._units = units = Units(MemoryIdentities(MemoryExposures()), stamps)
    request = SlateRequest(ItemKind.CONTENT, "c1")
    assert worker.engine.at_hand(request) is not None
    stamps.move_all()
    assert worker.engine.at_hand(request) is None
    assert not worker.engine.ask(request, [].append)
    units.unit_of("c1")
    assert worker.engine.at_hand(request) is not None


def test_every_field_of_a_request_goes_along(registered: Registered, store: Store) -> None:
    request = SlateRequest(
        ItemKind.OFFER, "c1", 7, Channel.PUSH, "home", "zh", ("saving",), ("a1",), 0.5, True
    )
    given = Worker(registered, store).engine.recommend(request).request
    assert given.arm is not None
    assert with_changes(given, arm=None) == request
    plain = SlateRequest(ItemKind.CONTENT, "x")
    alike = [one.name for one in fields(request) if getattr(request, one.name) == getattr(plain, one.name)]
    assert alike == ["arm"]  # Or else a field that is left out would not be noticed.


def test_whoever_is_served_in_an_arm_has_one_exposure_of_it_with_all_answers(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store)
    for channel in (Channel.MOBILE, Channel.WEB, Channel.WEB):
        answer = worker.ask("c1", channel)
        worker.process.now += timedelta(seconds=1)
    worker.notes.write()
    worker.ask("c1")
    worker.notes.write()
    assert answer.request.arm is not None
    assert exposures(store) == [
        Exposure(
            "reading",
            1,
            "c1",
            answer.request.arm.variant,
            NOW,
            Channel.MOBILE,
            answer.model_version,
            n_answers=4,
            latency_micros=exposures(store)[0].latency_micros,
        )
    ]
    assert 3_900 < exposures(store)[0].latency_micros < 4_100


def test_whoever_is_in_no_arm_or_did_not_ask_is_not_exposed(store: Store) -> None:
    worker = Worker(Registered(a_test(coverage=0.3)), store)
    for customer_id in CUSTOMERS[:300]:
        worker.ask(customer_id)
    worker.notes.write()
    deals = allocation_of(a_test(coverage=0.3))
    expected = {one for one in CUSTOMERS[:300] if deals.assign(one).variant}
    assert {one.customer_id for one in exposures(store)} == expected
    assert 50 < len(expected) < 130


def test_paused_everybody_gets_the_champion_and_nobody_is_exposed(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store)
    before = {one: worker.ask(one).model_version for one in CUSTOMERS[:50]}
    assert set(before.values()) == {"v1", "v2"}
    worker.notes.write()
    n_answers = sum(one.n_answers for one in exposures(store))
    registered.put(replace(a_test(), status=ExperimentStatus.PAUSED))
    worker.process.refresh()
    assert {worker.ask(one).model_version for one in CUSTOMERS[:50]} == {"v0"}
    worker.notes.write()
    assert sum(one.n_answers for one in exposures(store)) == n_answers
    registered.put(a_test())
    worker.process.refresh()
    assert {one: worker.ask(one).model_version for one in CUSTOMERS[:50]} == before


def test_the_promotion_of_another_champion_moves_nobody_out_of_their_arm(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store)
    before = {one: worker.ask(one).model_version for one in CUSTOMERS[:50]}
    worker.inner.champion = "v9"
    worker.process.refresh(served=("v1", "v2", "v9"))
    assert {one: worker.ask(one).model_version for one in CUSTOMERS[:50]} == before


def test_whoever_is_held_out_gets_the_champion_and_is_counted_as_held_out(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store, holdout_percent=20)
    answers = {one: worker.ask(one) for one in CUSTOMERS[:300]}
    worker.notes.write()
    held = {one.customer_id: one.variant for one in exposures(store, "holdout", 20)}
    assert held.keys() == answers.keys()
    for customer_id, answer in answers.items():
        assert (answer.request.arm is None) == (held[customer_id] == "held_out")
    assert {one.customer_id for one in exposures(store)} == {
        one for one, variant in held.items() if variant == "in_experiments"
    }


def test_an_answer_from_another_model_than_assigned_is_counted_and_told_once_a_minute(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store)
    worker.inner.instead = "v0"
    with structlog.testing.capture_logs() as logged:
        for customer_id in CUSTOMERS[:20]:
            worker.ask(customer_id)
        worker.seconds += ALARM_SECONDS
        worker.ask("c1")
    worker.notes.write()
    assert sum(one.n_mismatched for one in exposures(store)) == worker.engine.count_mismatches() == 21
    alarms = [one for one in logged if one["event"] == "served_another_model_than_assigned"]
    assert [(one["log_level"], one["experiment"], one["answers"]) for one in alarms] == [
        ("error", "reading", 1),
        ("error", "reading", 20),
    ]


def test_answers_from_below_the_customers_own_lists_are_counted(registered: Registered, store: Store) -> None:
    worker = Worker(registered, store)
    for worker.inner.source in Source:
        worker.ask("c1")
    worker.notes.write()
    (met,) = exposures(store)
    assert (met.n_answers, met.n_fallbacks, met.n_mismatched) == (5, 3, 0)


def test_while_the_store_is_away_answers_go_on_and_exposures_come_later(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store)
    store.is_down = True
    for second in range(3):
        worker.process.now = NOW + timedelta(seconds=second)
        assert worker.ask("c1").request.arm is not None
        worker.ask(f"c{second + 5}")
        worker.notes.write()
    assert exposures(store) == []
    store.is_down = False
    worker.notes.write()
    assert [(one.customer_id, one.n_answers) for one in exposures(store)] == [
        ("c1", 3),
        ("c5", 1),
        ("c6", 1),
        ("c7", 1),
    ]
    assert exposures(store)[0].exposed_at == NOW


def test_a_store_that_is_away_for_long_takes_no_more_memory_and_those_left_out_are_told(
    registered: Registered, store: Store
) -> None:
    worker = Worker(registered, store, max_notes=10)
    store.is_down = True
    for first, last in pairwise(range(0, 60, 8)):
        for customer_id in CUSTOMERS[first:last]:
            worker.ask(customer_id)
        worker.notes.write()
    store.is_down = False
    with structlog.testing.capture_logs() as logged:
        worker.notes.write()
    assert {one.customer_id for one in exposures(store)} == set(CUSTOMERS[:10])
    assert [one["event"] for one in logged] == []
    for customer_id in CUSTOMERS[:20]:
        worker.ask(customer_id)
    with structlog.testing.capture_logs() as logged:
        worker.notes.write()
    assert [(one["event"], one["answers"]) for one in logged] == [("exposures_left_out", 10)]


def test_what_goes_wrong_with_an_experiment_costs_no_answer(registered: Registered, store: Store) -> None:
    class Broken(Units):
        def unit_of(self, customer_id: str) -> str:
            raise ZeroDivisionError

    worker = Worker(registered, store)
    worker.engine = ExposedEngine(
        worker.inner,
        worker.process.running,
        Broken(MemoryIdentities(store)),
        worker.notes,
        clock=lambda: NOW,
        monotonic=lambda: 0.0,
    )
    assert worker.ask("c1").model_version == "v0"


def test_ids_of_one_customer_share_the_arm_and_the_exposure(registered: Registered, store: Store) -> None:
    class Linked:
        """Whoever comes with a cookie is a customer who was dealt to a variant by another one."""

        def canonical_of(self, customer_id: str) -> str:
            return "c1"

        def unit_of(self, customer_id: str) -> str:
            return "first-cookie"

    worker = Worker(registered, store)
    worker.engine = ExposedEngine(
        worker.inner,
        worker.process.running,
        Linked(),
        worker.notes,
        clock=lambda: NOW,
        monotonic=lambda: 0.0,
    )
    arms = {worker.ask(one).request.arm for one in ("first-cookie", "second-cookie", "c1")}
    worker.notes.write()
    assert {arm.variant for arm in arms if arm} == {allocation_of(a_test()).assign("first-cookie").variant}
    assert [(one.customer_id, one.n_answers) for one in exposures(store)] == [("c1", 3)]
