"""After a promotion lists are ready before anybody asks, made once for all workers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import Arm, SlateKey, SlateRequest
from recsvc.serving.answers import CacheStatus
from recsvc.serving.caching import CachedEngine
from recsvc.serving.local_copies import LocalCopies
from recsvc.serving.warming import BUSY_SECONDS, WarmUp
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
            monotonic=lambda: world.seconds,
        )
        self.warm_up.go_on()

    def asks(self, *customer_ids: str) -> list[CacheStatus]:
        return [self.cached.recommend(a_request(each)).cache for each in customer_ids]


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
