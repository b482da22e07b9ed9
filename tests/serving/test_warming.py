"""After a promotion lists are ready before anybody asks, made once for all workers."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import Arm, SlateKey, SlateRequest
from recsvc.serving.answers import CacheStatus, render_slate
from recsvc.serving.caching import CachedEngine
from recsvc.serving.local_copies import LocalCopies
from recsvc.serving.slate_places import slate_key
from recsvc.serving.warming import AHEAD_SECONDS, BUSY_SECONDS, WarmUp
from recsvc.stores.epoch_table import MemoryEpochTable
from recsvc.stores.memory import MemorySlateCache
from recsvc.telemetry import Warming
from tests.serving.small_workers import FailingCache
from tests.small_bank import World

CUSTOMERS = [f"c{number:04}" for number in range(1, 6)]


def a_request(customer_id: str, arm: Arm | None = None) -> SlateRequest:
    return SlateRequest(ItemKind.CONTENT, customer_id, arm=arm)


class Worker:
    """One worker of a world: it shares all but its copies with the others."""

    def __init__(
        self,
        world: World,
        stamps: MemoryEpochTable,
        max_slates: int = 100,
        *,
        cache: MemorySlateCache | None = None,
        takes_seconds: float = 0.0,
    ) -> None:
        def warm(request: SlateRequest) -> bool:
            world.seconds += takes_seconds
            return self.cached.warm(request)

        def make_ahead(request: SlateRequest, champion: str) -> bool:
            world.seconds += takes_seconds
            return self.cached.make_ahead(request, champion)

        self.world, self.slept = world, list[float]()
        self.copies = LocalCopies(
            stamps, 1_000_000, clock=lambda: world.now.timestamp(), monotonic=lambda: world.seconds
        )
        self.copies.refresh()
        self.cached = CachedEngine(
            world.engine,
            cache or world.cache,
            world.catalogue,
            "p1",
            clock=lambda: world.now,
            copies=self.copies,
        )
        self.warm_up = WarmUp(
            self.copies.asked_of_late,
            warm,
            lambda: world.catalogue.view.model_version,
            max_slates,
            asked_again=self.copies.asked_again,
            make_ahead=make_ahead,
            monotonic=lambda: world.seconds,
            sleep=self.slept.append,
        )
        self.warm_up.go_on()

    def asks(self, *customer_ids: str) -> list[CacheStatus]:
        return [self.cached.recommend(a_request(each)).cache for each in customer_ids]

    def go_ahead(self) -> None:
        self.warm_up.go_ahead(self.world.catalogue.lay_coming())


@pytest.fixture
def stamps() -> MemoryEpochTable:
    return MemoryEpochTable(rng=random.SystemRandom())


def promote_newer(world: World, shelf: tuple[Path, Path]) -> None:
    Registry(shelf[0].parent).promote(shelf[1].name)
    world.refresh()


def test_who_asked_before_a_promotion_finds_the_list_ready_after_it(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    worker = Worker(world, stamps)
    worker.asks(*CUSTOMERS)
    promote_newer(world, shelf)
    worker.warm_up.go_on()
    assert worker.warm_up.state() == Warming(n_made=5, n_waiting=0)
    served = worker.cached.recommend(a_request(CUSTOMERS[0]))
    assert (served.cache, served.model_version) == (CacheStatus.LOCAL, shelf[1].name)


def begin_to_promote(world: World, version: str) -> None:
    """Have the newer model checked and its live state built, while the champion goes on serving."""
    world.registry.promote(version)
    world.bundles.refresh()
    world.feed.follow(world.bundles.model, world.bundles.beside)


def test_what_is_asked_for_again_and_again_is_ready_when_answers_turn_to_another_model(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    """Until then the old lists answer. Of two workers the second copies what the first made."""
    here, there = (Worker(world, stamps, takes_seconds=0.25) for _ in range(2))
    for worker in (here, there):
        worker.asks(*CUSTOMERS, *CUSTOMERS[:2])
    begin_to_promote(world, shelf[1].name)
    here.go_ahead()
    there.go_ahead()
    for worker in (here, there):
        served = worker.cached.recommend(a_request(CUSTOMERS[0]))
        assert (served.cache, served.model_version) == (CacheStatus.LOCAL, shelf[0].name)
    world.catalogue.refresh()
    for worker in (here, there):
        served = worker.cached.recommend(a_request(CUSTOMERS[1]))
        assert (served.cache, served.model_version) == (CacheStatus.LOCAL, shelf[1].name)
        assert worker.slept == [0.75, 0.75]  # Three times as long as each took.
        again = world.engine.recommend(a_request(CUSTOMERS[1]))
        assert msgspec.json.decode(served.body)["items"] == msgspec.json.decode(render_slate(again))["items"]
    assert here.asks(CUSTOMERS[0], CUSTOMERS[3]) == [CacheStatus.LOCAL, CacheStatus.MISS]


def test_what_another_worker_makes_ahead_is_looked_for_once_more(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    worker = Worker(world, stamps, cache=HeldElsewhere(monotonic=lambda: world.seconds))
    worker.asks("c0001", "c0001")
    begin_to_promote(world, shelf[1].name)
    worker.go_ahead()
    assert len(worker.slept) == 2
    world.catalogue.refresh()
    assert worker.asks("c0001") == [CacheStatus.MISS]


def test_without_redis_each_worker_makes_its_own_ahead(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    redis = FailingCache()
    worker = Worker(world, stamps, cache=redis)
    worker.asks("c0001", "c0001")
    redis.fails = True
    begin_to_promote(world, shelf[1].name)
    worker.go_ahead()
    world.catalogue.refresh()
    assert worker.asks("c0001") == [CacheStatus.LOCAL]


def test_an_event_outdates_what_was_made_ahead(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    worker = Worker(world, stamps)
    worker.asks("c0001", "c0001")
    begin_to_promote(world, shelf[1].name)
    worker.go_ahead()
    stamps.move(["c0001"])
    world.cache.move_epochs(["c0001"])
    world.catalogue.refresh()
    assert worker.asks("c0001") == [CacheStatus.MISS]


def test_what_comes_most_often_is_made_ahead_first_and_no_longer_than_that_may_wait(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    worker = Worker(world, stamps, takes_seconds=AHEAD_SECONDS)
    worker.asks(*CUSTOMERS, "c0002", "c0004", "c0004", "c0003")
    begin_to_promote(world, shelf[1].name)
    worker.go_ahead()
    world.catalogue.refresh()
    assert worker.asks("c0002", "c0003", "c0004") == [CacheStatus.MISS, CacheStatus.MISS, CacheStatus.LOCAL]


def test_a_list_by_another_model_than_the_one_to_come_is_not_kept_for_it(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    """Its files were touched meanwhile, so the champion answered in its stead."""
    worker = Worker(world, stamps)
    worker.asks("c0001", "c0001")
    begin_to_promote(world, shelf[1].name)
    os.utime(shelf[1] / "popularity.npy", (0, 0))
    worker.go_ahead()
    label = world.catalogue.view_for(shelf[1].name).label
    assert worker.copies.find(a_request("c0001"), label) is None
    assert world.cache.fetch(slate_key(a_request("c0001"), label, "p1")).value is None


def test_offers_are_not_made_ahead(world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]) -> None:
    worker = Worker(world, stamps)
    for _ in range(2):
        worker.cached.recommend(SlateRequest(ItemKind.OFFER, "c0001"))
    assert worker.copies.asked_again()
    begin_to_promote(world, shelf[1].name)
    worker.go_ahead()
    assert worker.slept == []


def test_nothing_is_made_ahead_where_no_model_is_to_come(world: World, stamps: MemoryEpochTable) -> None:
    worker = Worker(world, stamps)
    worker.asks("c0001", "c0001")
    worker.go_ahead()
    assert worker.slept == []


def test_without_a_promotion_nothing_is_warmed(world: World, stamps: MemoryEpochTable) -> None:
    worker = Worker(world, stamps)
    worker.asks(*CUSTOMERS)
    worker.warm_up.go_on()
    assert worker.warm_up.state() == Warming()


def test_of_two_workers_one_makes_a_list_and_the_other_copies_it(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    here, there = (Worker(world, stamps) for _ in range(2))
    for worker in (here, there):
        worker.asks(*CUSTOMERS)
    promote_newer(world, shelf)
    here.warm_up.go_on()
    there.warm_up.go_on()
    assert [one.warm_up.state().n_made for one in (here, there)] == [5, 0]
    assert there.asks(*CUSTOMERS) == [CacheStatus.LOCAL] * 5


class HeldElsewhere(MemorySlateCache):
    """Every lease is another worker's."""

    def claim(self, key: SlateKey, epoch: int, seconds: float) -> bool:
        return False


def test_what_another_worker_makes_at_this_moment_is_left_to_it(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    worker = Worker(world, stamps, cache=HeldElsewhere(monotonic=lambda: world.seconds))
    worker.asks(*CUSTOMERS)
    promote_newer(world, shelf)
    worker.warm_up.go_on()
    assert worker.warm_up.state() == Warming()


def test_while_redis_is_away_nothing_is_warmed(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    redis = FailingCache()
    worker = Worker(world, stamps, cache=redis)
    worker.asks(*CUSTOMERS)
    redis.fails = True
    promote_newer(world, shelf)
    worker.warm_up.go_on()
    assert worker.warm_up.state() == Warming()


@pytest.mark.parametrize(("most", "made"), [(0, 0), (2, 2)])
def test_the_latest_are_warmed_and_no_more_than_the_setting_says(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path], most: int, made: int
) -> None:
    worker = Worker(world, stamps, most)
    worker.asks(*CUSTOMERS)
    promote_newer(world, shelf)
    worker.warm_up.go_on()
    assert worker.warm_up.state() == Warming(n_made=made)
    expected = [CacheStatus.MISS] * (5 - made) + [CacheStatus.LOCAL] * made
    assert worker.asks(*CUSTOMERS) == expected


def test_a_worker_warms_for_a_moment_only_and_goes_on_the_next_time(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    worker = Worker(world, stamps, takes_seconds=BUSY_SECONDS / 2)
    worker.asks(*CUSTOMERS)
    promote_newer(world, shelf)
    found = []
    for _ in range(3):
        worker.warm_up.go_on()
        found.append(worker.warm_up.state())
    assert found == [Warming(2, 3), Warming(4, 1), Warming(5, 0)]


def test_lists_of_an_arm_with_a_model_of_its_own_are_not_warmed(
    world: World, stamps: MemoryEpochTable, shelf: tuple[Path, Path]
) -> None:
    worker = Worker(world, stamps)
    for arm in (Arm("e1", 1, "a", shelf[0].name), Arm("e1", 1, "b", None, (("calibration", 0.5),))):
        worker.cached.recommend(a_request("c0001", arm))
    promote_newer(world, shelf)
    worker.warm_up.go_on()
    assert worker.warm_up.state() == Warming(n_made=1)
