"""Lists of many customers at once are those of their own calls, and Redis is asked for all together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from recsvc.domain.items import ItemKind
from recsvc.domain.slates import Fetched, SlateKey, SlateRequest
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.stores.epoch_table import MemoryEpochTable
from recsvc.stores.memory import MemoryEvents

from .small_workers import SETTLING_SECONDS, FailingCache, Worker, a_click

CUSTOMERS = ("c1", "c2", "c3")
LOCAL, HIT, MISS = CacheStatus.LOCAL, CacheStatus.HIT, CacheStatus.MISS


class CountingCache(FailingCache):
    """A cache that keeps what it was asked for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked: list[Sequence[str]] = []

    def fetch_many(self, keys: Sequence[SlateKey]) -> list[Fetched]:
        self.asked.append([key.customer_id for key in keys])
        return [FailingCache.fetch(self, key) for key in keys]

    def fetch(self, key: SlateKey) -> Fetched:
        self.asked.append(key.customer_id)
        return super().fetch(key)


@pytest.fixture
def redis() -> CountingCache:
    return CountingCache()


@pytest.fixture
def workers(redis: CountingCache, tmp_path: Path) -> tuple[Worker, Worker]:
    """Two of one machine, with copies."""
    log, stamps = MemoryEvents(), MemoryEpochTable(rng=random.SystemRandom())
    here = Worker(log, redis, tmp_path, stamps, copies_bytes=1_000_000)
    return here, Worker(log, redis, tmp_path, stamps, copies_bytes=1_000_000)


def many(worker: Worker, customer_ids: Sequence[str] = CUSTOMERS) -> list[ServedSlate]:
    return list(worker.engine.recommend_many([SlateRequest(ItemKind.CONTENT, each) for each in customer_ids]))


def statuses(worker: Worker) -> list[CacheStatus]:
    return [served.cache for served in many(worker)]


def test_each_gets_the_bytes_of_their_own_call_wherever_these_come_from(
    workers: tuple[Worker, Worker], redis: CountingCache
) -> None:
    here, there = workers
    here.intake.take([a_click("e1"), a_click("e2", "c2"), a_click("e3", "c3")])
    own = [here.engine.recommend(SlateRequest(ItemKind.CONTENT, "c1"))]
    own += [there.engine.recommend(SlateRequest(ItemKind.CONTENT, "c2"))]
    redis.asked.clear()
    found = many(here)
    assert [served.cache for served in found] == [LOCAL, HIT, MISS]
    assert redis.asked == [["c2", "c3"]]
    own += [there.engine.recommend(SlateRequest(ItemKind.CONTENT, "c3"))]
    assert [served.body for served in found] == [served.body for served in own]
    assert [served.etag for served in found] == [served.etag for served in own]
    assert own[2].cache is HIT  # What was made is kept for everybody, and here too.
    redis.asked.clear()
    assert statuses(here) == [LOCAL] * 3 and redis.asked == []


def test_without_redis_all_are_made_and_it_is_asked_once(
    workers: tuple[Worker, Worker], redis: CountingCache
) -> None:
    here, _ = workers
    redis.fails = True
    assert statuses(here) == [CacheStatus.BYPASSED] * 3
    assert redis.asked == [["c1", "c2", "c3"]]
    assert statuses(here) == [LOCAL] * 3


def test_what_ends_before_its_turn_is_not_served(
    workers: tuple[Worker, Worker], redis: CountingCache
) -> None:
    here, there = workers
    many(there, ["c2"])
    many(here, ["c3"])

    def an_hour_passes() -> None:
        here.inner.meanwhile = None
        here.now += timedelta(hours=1)

    here.inner.meanwhile = an_hour_passes  # While the first list is made.
    assert statuses(here) == [MISS] * 3


def test_an_event_that_comes_meanwhile_is_known_to_the_next_answer(workers: tuple[Worker, Worker]) -> None:
    here, there = workers

    def events_come() -> None:
        here.inner.meanwhile = None
        there.intake.take([a_click("e1"), a_click("e2", "c2"), a_click("e3", "c3")])

    here.inner.meanwhile = events_come
    many(here)
    for worker in (there, here):
        for number, served in enumerate(many(worker), start=1):
            assert f"e{number}".encode() in served.body


def test_nothing_is_taken_that_an_outage_left_behind(
    workers: tuple[Worker, Worker], redis: CountingCache
) -> None:
    here, there = workers
    many(there)
    redis.fails = True
    here.intake.take([a_click("e2", "c2")])
    redis.fails = False
    assert statuses(here)[1] is CacheStatus.BYPASSED
    here.intake.take([a_click("e3", "c2")])
    here.seconds = there.seconds = SETTLING_SECONDS
    found = many(here)[1]
    assert b"e3" in found.body
    # Epochs that are owed are moved before anything is taken.
    redis.fails = True
    here.intake.take([a_click("e1", "c3")])
    redis.fails = False
    here.seconds = 2 * SETTLING_SECONDS
    redis.moved.clear()
    many(here)
    assert redis.moved == ["c3"]


def test_nobody_is_nobody(workers: tuple[Worker, Worker], redis: CountingCache) -> None:
    assert many(workers[0], []) == [] and redis.asked == []
