"""So many lists at a time, so much of them for a request; whoever gets none is answered all the same."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from recsvc.domain.items import Item
from recsvc.domain.slates import Arm, Slate, SlateRequest, Source
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.serving.bounded import BoundedEngine
from recsvc.serving.caching import CachedEngine
from recsvc.serving.local_copies import LocalCopies
from recsvc.stores.epoch_table import MemoryEpochTable

from ..small_bank import CONTENT, OFFER, World, ids, who

N_PLACES = 2
STANDS = float  # float() is 0.0: a clock that stands still.


class NoPlaces:
    """Says that there is no place, and keeps how long each asker would have waited for one."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def acquire(self, *, timeout: float) -> bool:
        self.waits.append(timeout)
        return False


def bounded_over(
    world: World,
    engine: Any = None,
    places: Any = None,
    *,
    cpu: Callable[[], float] = STANDS,
    monotonic: Callable[[], float] = STANDS,
    wait_seconds: float = 0.0,
) -> BoundedEngine:
    return BoundedEngine(
        engine or world.engine,
        places or threading.BoundedSemaphore(N_PLACES),
        wait_seconds,
        cpu_clock=cpu,
        monotonic=monotonic,
    )


def each_look(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much at each look."""
    ticks: Iterator[float] = count(0.0, seconds)
    return lambda: next(ticks)


class Meeting:
    """An engine that makes a list only when so many are being made at once, and keeps how many that were."""

    def __init__(self, world: World, n_at_once: int) -> None:
        self._engine = world.engine
        self._all_are_here = threading.Barrier(n_at_once)
        self._lock = threading.Lock()
        self.n_now = self.n_most = self.n_made = 0
        self.recommend_at_once = world.engine.recommend_at_once
        self.readdressed = world.engine.readdressed

    def recommend(self, request: SlateRequest) -> Slate:
        with self._lock:
            self.n_now += 1
            self.n_most = max(self.n_most, self.n_now)
            self.n_made += 1
        self._all_are_here.wait(30)
        with self._lock:
            self.n_now -= 1
        return self._engine.recommend(request)


def at_once(ask: Callable[[str], Slate], customer_ids: list[str]) -> list[Slate]:
    slates: list[Slate] = []
    threads = [
        threading.Thread(target=lambda one=one: slates.append(ask(one)))  # type: ignore[misc]
        for one in customer_ids
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return slates


def test_so_many_lists_are_made_at_a_time_and_the_others_wait_for_their_turn(world: World) -> None:
    meeting = Meeting(world, N_PLACES)
    bounded = bounded_over(world, meeting, wait_seconds=60)
    asking = who(world.customers.each())[:8]
    slates = at_once(lambda one: bounded.recommend(SlateRequest(CONTENT, one)), asking)
    assert {slate.customer_id for slate in slates} == set(asking)
    assert all(slate.degraded == () for slate in slates)
    assert (meeting.n_most, meeting.n_made) == (N_PLACES, 8)


def test_who_gets_no_place_gets_what_is_popular_at_once(world: World) -> None:
    meeting = Meeting(world, N_PLACES + 1)  # Two makers, and this test, which lets them go on.
    bounded = bounded_over(world, meeting)
    *makers, late = who(world.customers.each())[: N_PLACES + 1]
    popular: list[Slate] = []

    def ask_late() -> None:
        while meeting.n_now < N_PLACES:
            pass
        popular.append(bounded.recommend(SlateRequest(CONTENT, late)))
        meeting._all_are_here.wait(30)

    asker = threading.Thread(target=ask_late)
    asker.start()
    whole = at_once(lambda one: bounded.recommend(SlateRequest(CONTENT, one)), makers)
    asker.join()
    assert meeting.n_made == N_PLACES
    (slate,) = popular
    assert (slate.source, slate.degraded, slate.customer_id) == (Source.POPULAR, ("load",), late)
    assert len(slate.items) == 10
    assert [one.degraded for one in whole] == [()] * N_PLACES


def test_a_place_comes_back_when_making_fails(world: World) -> None:
    class Failing:
        is_broken = True

        def recommend(self, request: SlateRequest) -> Slate:
            if self.is_broken:
                raise RuntimeError("broken")
            return world.engine.recommend(request)

    failing = Failing()
    bounded = bounded_over(world, failing)
    request = SlateRequest(CONTENT, "c0001")
    for _ in range(N_PLACES + 1):
        with pytest.raises(RuntimeError):
            bounded.recommend(request)
    failing.is_broken = False
    assert bounded.recommend(request).degraded == ()


def test_a_request_waits_until_its_deadline_however_many_lists_it_wants(world: World) -> None:
    places = NoPlaces()
    # A look when the allowance begins, and one for each customer.
    bounded = bounded_over(world, places=places, monotonic=each_look(0.125), wait_seconds=0.25)
    with bounded.allowance():
        for _ in range(4):
            assert bounded.recommend(SlateRequest(CONTENT, "c0001")).degraded == ("load",)
    assert places.waits == [0.125, 0.0, 0.0, 0.0]
    bounded.recommend(SlateRequest(CONTENT, "c0001"))
    assert places.waits[-1] == 0.125  # The next request has a deadline of its own.


def test_a_request_makes_lists_until_its_allowance_is_used_up(world: World) -> None:
    bounded = bounded_over(world, cpu=each_look(0.08))
    request = SlateRequest(CONTENT, "c0001")
    with bounded.allowance():
        degraded = [bounded.recommend(request).degraded for _ in range(5)]
    assert degraded == [(), (), ("load",), ("load",), ("load",)]
    assert bounded.recommend(request).degraded == ()  # The next request begins anew.


def test_an_allowance_is_the_threads_own(world: World) -> None:
    bounded = bounded_over(world, cpu=each_look(1.0))
    request = SlateRequest(CONTENT, "c0001")
    with bounded.allowance():
        assert bounded.recommend(request).degraded == ("load",)
        (other,) = at_once(lambda one: bounded.recommend(SlateRequest(CONTENT, one)), ["c0001"])
    assert other.degraded == ()


def test_what_is_popular_is_found_once_for_a_request_and_belongs_to_each(world: World) -> None:
    found: list[SlateRequest] = []

    class Counting:
        readdressed = world.engine.readdressed

        def recommend_at_once(self, request: SlateRequest) -> Slate:
            found.append(request)
            return world.engine.recommend_at_once(request)

    bounded = bounded_over(world, Counting(), cpu=each_look(1.0))
    arms = [
        Arm("reading", 1, "a", "v1"),
        Arm("reading", 1, "b", "v1", (("calibration", 0.5),)),
        Arm("reading", 1, "c"),
        None,
    ]
    with bounded.allowance():
        slates = [
            bounded.recommend(SlateRequest(CONTENT, f"c{place}", arm=arm)) for place, arm in enumerate(arms)
        ]
    assert len(found) == 2  # One by the arms' model, one by the champion.
    assert [slate.customer_id for slate in slates] == ["c0", "c1", "c2", "c3"]
    assert len({slate.slate_id for slate in slates}) == 4
    told = [slate.experiment and slate.experiment["variant"] for slate in slates]
    assert told == ["a", "b", "c", None]


def test_without_a_place_no_offer_is_made_and_nothing_is_reserved_or_logged(world: World) -> None:
    bounded = bounded_over(world, places=NoPlaces())
    customer_id = next(one for one in who(world.customers.each()) if ids(world.slate(OFFER, one)))
    kept = len(world.decisions.kept)
    slate = bounded.recommend(SlateRequest(OFFER, customer_id))
    assert (slate.items, slate.degraded, slate.customer_id) == ((), ("load",), customer_id)
    assert len(world.decisions.kept) == kept


def test_visitors_are_answered_at_once_too(world: World) -> None:
    slate = bounded_over(world, places=NoPlaces()).recommend_visitor(SlateRequest(CONTENT, ""), [])
    assert slate.degraded == ("load",) and slate.customer_id is None and slate.items


def test_what_is_popular_is_exercised_without_anybody_asking(world: World) -> None:
    class Broken:
        def recommend_at_once(self, request: SlateRequest) -> Slate:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bounded_over(world, Broken()).exercise()
    bounded_over(world).exercise()


class Overloaded:
    """A worker with copies, whose engine has no time for anybody while it is told so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stamps = MemoryEpochTable(rng=random.SystemRandom())
        self.copies = LocalCopies(
            self.stamps, 1_000_000, clock=lambda: world.now.timestamp(), monotonic=lambda: world.seconds
        )
        self.copies.refresh()
        self.is_overloaded = False
        self.engines = {True: bounded_over(world, places=NoPlaces()), False: bounded_over(world)}
        self.cached = CachedEngine(
            self, world.cache, world.catalogue, "p1", clock=lambda: world.now, copies=self.copies
        )

    def recommend(self, request: SlateRequest) -> Slate:
        return self.engines[self.is_overloaded].recommend(request)

    def ask(self, request: SlateRequest) -> ServedSlate:
        return self.cached.recommend(request)

    def promote(self, version: str) -> None:
        self.world.registry.promote(version)
        self.world.refresh()


@pytest.fixture
def worker(world: World) -> Overloaded:
    return Overloaded(world)


REQUEST = SlateRequest(CONTENT, "c0001")


def test_a_list_made_at_once_is_kept_by_nobody(worker: Overloaded) -> None:
    worker.is_overloaded = True
    assert b'"degraded":["load"]' in worker.ask(REQUEST).body
    worker.is_overloaded = False
    whole = worker.ask(REQUEST)
    assert b'"degraded":[]' in whole.body and whole.cache is CacheStatus.MISS


@pytest.mark.parametrize("kind", [CONTENT, OFFER])
def test_after_a_promotion_the_list_by_the_model_before_is_better_than_none(
    worker: Overloaded, shelf: tuple[Path, Path], kind: Any
) -> None:
    request = SlateRequest(kind, who(worker.world.customers.each())[0])
    before = worker.ask(request)
    worker.promote(shelf[1].name)
    worker.is_overloaded = True
    former = worker.ask(request)
    assert former.model_version == before.model_version == shelf[0].name
    assert former.body == before.body.replace(b'"degraded":[]', b'"degraded":["load"]')
    assert former.body != before.body and former.etag != before.etag
    worker.is_overloaded = False
    assert worker.ask(request).model_version == shelf[1].name


def changed_catalogue(worker: Overloaded) -> None:
    worker.world.put(Item("brand-new"))


def moved_epoch(worker: Overloaded) -> None:
    worker.stamps.move(["c0001"])
    worker.world.cache.move_epoch("c0001")


def ended_list(worker: Overloaded) -> None:
    found = worker.copies.find(REQUEST, worker.world.catalogue.view.label)
    assert found is not None
    worker.world.now = found.expires_at


@pytest.mark.parametrize("outdate", [changed_catalogue, moved_epoch, ended_list])
def test_a_list_that_anything_else_outdated_is_never_served(
    worker: Overloaded, shelf: tuple[Path, Path], outdate: Callable[[Overloaded], None]
) -> None:
    worker.ask(REQUEST)
    outdate(worker)
    worker.promote(shelf[1].name)
    worker.is_overloaded = True
    at_once = worker.ask(REQUEST)
    assert (at_once.source, at_once.model_version) == (Source.POPULAR, shelf[1].name)


def test_an_arm_that_names_its_model_is_served_by_no_other(
    worker: Overloaded, shelf: tuple[Path, Path]
) -> None:
    request = SlateRequest(CONTENT, "c0001", arm=Arm("e", 1, "a", shelf[1].name))
    assert worker.ask(request).model_version == shelf[0].name  # It does not serve yet: the champion does.
    worker.promote(shelf[1].name)
    worker.is_overloaded = True
    assert worker.ask(request).model_version == shelf[1].name
