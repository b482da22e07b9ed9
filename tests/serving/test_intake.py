"""An acknowledged event is known to the very next answer, whatever Redis does."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from recsvc.domain.records import Taken
from recsvc.errors import EventConflictError, RedisError
from recsvc.serving.answers import CacheStatus
from recsvc.stores.memory import MemoryEvents
from recsvc.stores.redis_client import RestingRedis
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary
from recsvc.stores.slate_cache import RedisSlateCache

from .small_workers import NOW, SETTLING_SECONDS, FailingCache, Worker, a_click


@pytest.fixture
def log() -> MemoryEvents:
    return MemoryEvents()


@pytest.fixture
def redis() -> FailingCache:
    return FailingCache()


@pytest.fixture
def workers(log: MemoryEvents, redis: FailingCache, tmp_path: Path) -> tuple[Worker, Worker]:
    return Worker(log, redis, tmp_path), Worker(log, redis, tmp_path)


def test_an_event_that_one_worker_took_is_known_to_the_next_answer_of_every_worker(
    workers: tuple[Worker, Worker],
) -> None:
    here, there = workers
    for number, event_id in enumerate(("e1", "e2", "e3"), start=1):
        assert here.intake.take([a_click(event_id)]) == Taken(1, 0)
        for worker in (there, here):
            assert len(worker.shows()[0]) == number
        assert there.shows()[1] is CacheStatus.HIT
    assert (here.n_announced, there.n_announced) == ([1, 2, 3], [])


def test_what_is_asked_for_without_waiting_is_what_every_worker_kept_since_the_last_event(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers
    assert here.hears() is None
    for number, event_id in enumerate(("e1", "e2", "e3"), start=1):
        here.intake.take([a_click(event_id)])
        assert [worker.hears() for worker in workers] == [None, None]
        known, _ = there.shows()
        assert len(known) == number
        assert [worker.hears() for worker in workers] == [(known, CacheStatus.HIT)] * 2
    there.now += timedelta(minutes=2)  # The slate's end.
    assert there.hears() is None


def test_nothing_is_asked_for_without_waiting_while_an_epoch_is_owed(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, _ = workers
    here.shows()
    with redis.away():
        here.intake.take([a_click("e1")])
    assert here.hears() is None
    here.seconds += SETTLING_SECONDS
    assert here.hears() is None
    assert here.shows() == (["e1"], CacheStatus.MISS)  # Whoever waits settles what is owed.
    assert here.hears() == (["e1"], CacheStatus.HIT)


def test_a_slate_that_was_begun_before_the_event_is_never_served_after_it(
    workers: tuple[Worker, Worker],
) -> None:
    here, there = workers
    # The other worker has read the store when the event arrives, and keeps its slate when it was taken.
    there.inner.meanwhile = lambda: here.intake.take([a_click("e1")])
    assert there.shows() == ([], CacheStatus.MISS)
    there.inner.meanwhile = None
    assert there.shows() == (["e1"], CacheStatus.MISS)
    assert here.shows() == (["e1"], CacheStatus.HIT)


def test_an_event_that_is_sent_again_moves_the_epoch_again(
    workers: tuple[Worker, Worker], log: MemoryEvents
) -> None:
    here, there = workers
    there.shows()
    log.append([a_click("e1")], received_at=NOW)  # By a worker that ended before it moved the epoch.
    assert here.intake.take([a_click("e1")]) == Taken(0, 1)
    assert there.shows() == (["e1"], CacheStatus.MISS)


def test_a_conflict_stores_nothing_and_outdates_nothing(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, _ = workers
    here.intake.take([a_click("e1")])
    redis.moved.clear()
    with pytest.raises(EventConflictError):
        here.intake.take([a_click("e2"), a_click("e1", "c2")])
    assert redis.moved == []


def test_the_epoch_of_each_customer_of_a_batch_moves_once(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    workers[0].intake.take([a_click("e1"), a_click("e2", "c2"), a_click("e3")])
    assert redis.moved == ["c1", "c2"]


def test_a_redis_that_fails_does_not_fail_the_acknowledgement(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, _ = workers
    here.shows()
    redis.fails = True
    assert here.intake.take([a_click("e1")]) == Taken(1, 0)
    assert here.shows() == (["e1"], CacheStatus.BYPASSED)


def test_an_outdated_slate_is_not_served_when_redis_is_back(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers
    here.shows()
    with redis.away():
        here.intake.take([a_click("e1")])
    here.seconds = SETTLING_SECONDS
    # Nobody retried yet: this worker brings the cache up before it takes anything from it.
    assert here.shows() == (["e1"], CacheStatus.MISS)
    assert there.shows() == (["e1"], CacheStatus.HIT)


def test_a_retry_outdates_what_could_not_be_outdated_for_every_worker(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers
    there.shows()
    redis.fails = True
    here.intake.take([a_click("e1"), a_click("e2", "c2")])
    here.cache.retry()
    redis.fails = False
    here.cache.retry()
    assert redis.moved == ["c1", "c2"]
    assert there.shows() == (["e1"], CacheStatus.MISS)
    here.cache.retry()
    assert redis.moved == ["c1", "c2"]


def test_when_too_many_are_owed_everybody_is_outdated(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers
    there.shows()
    there.shows("c9")
    with redis.away():
        here.intake.take([a_click("e1"), *(a_click(f"x{number}", f"c{number}") for number in range(2, 6))])
    assert here.shows("c9")[1] is CacheStatus.BYPASSED
    here.cache.retry()
    assert there.shows() == (["e1"], CacheStatus.MISS)
    assert there.shows("c9")[1] is CacheStatus.MISS
    here.seconds = SETTLING_SECONDS
    assert here.shows("c9")[1] is CacheStatus.HIT


def test_a_worker_that_met_a_failing_redis_waits_for_what_the_others_owe(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers
    there.shows()
    redis.fails = True
    here.intake.take([a_click("e1")])
    there.cache.retry()  # It owes nothing, and yet notices.
    redis.fails = False
    assert there.shows() == (["e1"], CacheStatus.BYPASSED)
    here.cache.retry()
    there.seconds = SETTLING_SECONDS
    assert there.shows() == (["e1"], CacheStatus.MISS)


def test_what_a_killed_worker_owed_is_settled_by_the_next_that_starts(
    workers: tuple[Worker, Worker], redis: FailingCache, log: MemoryEvents, tmp_path: Path
) -> None:
    killed, there = workers
    there.shows()
    redis.fails = True
    killed.intake.take([a_click("e1")])
    started = Worker(log, redis, tmp_path)
    started.cache.owe_to_all()
    started.cache.retry()
    redis.fails = False
    assert started.shows() == (["e1"], CacheStatus.BYPASSED)
    started.cache.retry()
    assert there.shows() == (["e1"], CacheStatus.MISS)


def test_what_is_owed_anew_while_a_retry_runs_stays_owed(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers

    def another_event() -> None:
        # The retry's own move is through; then the other worker keeps a slate, and Redis fails an event.
        redis.meanwhile = None
        there.shows()
        with redis.away():
            here.intake.take([a_click("e2")])

    with redis.away():
        here.intake.take([a_click("e1")])
    redis.meanwhile = another_event
    here.cache.retry()
    here.seconds = SETTLING_SECONDS
    assert here.shows()[0] == ["e1", "e2"]
    assert there.shows()[0] == ["e1", "e2"]


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(find_server_binary()) as started:
        yield started


def test_a_real_redis_that_dies_and_comes_back_never_serves_an_outdated_slate(
    server: EmbeddedRedis, log: MemoryEvents, tmp_path: Path
) -> None:
    clients = [
        RestingRedis(server.url, 1.0, monotonic=time.monotonic, cool_down_seconds=0.01) for _ in range(2)
    ]
    here, there = (
        Worker(log, RedisSlateCache(client, rng=random.SystemRandom()), tmp_path) for client in clients
    )
    assert here.shows() == ([], CacheStatus.MISS)
    with pytest.raises(RedisError):
        clients[0].command("SHUTDOWN", "NOSAVE")
        clients[0].command("PING")
    assert here.intake.take([a_click("e1")]) == Taken(1, 0)
    assert here.shows() == (["e1"], CacheStatus.BYPASSED)
    deadline = time.monotonic() + 5
    while not server.ensure_running() and time.monotonic() < deadline:
        time.sleep(0.01)
    here.seconds = there.seconds = SETTLING_SECONDS
    while there.shows()[1] is CacheStatus.BYPASSED and time.monotonic() < deadline:
        there.seconds += SETTLING_SECONDS
        time.sleep(0.02)
    here.cache.retry()
    assert here.shows()[0] == there.shows()[0] == ["e1"]
    for client in clients:
        client.close()


def test_while_redis_takes_no_writes_no_other_machine_serves_what_could_not_be_outdated(
    server: EmbeddedRedis, log: MemoryEvents, tmp_path: Path
) -> None:
    clients = [RestingRedis(server.url, 1.0, monotonic=time.monotonic) for _ in range(2)]
    here, there = (  # Each has stamps of its own, as on two machines.
        Worker(log, RedisSlateCache(client, rng=random.SystemRandom()), tmp_path) for client in clients
    )
    assert here.shows() == ([], CacheStatus.MISS)
    assert there.shows() == ([], CacheStatus.HIT)
    clients[0].command("CONFIG", "SET", "min-replicas-to-write", "1")
    here.intake.take([a_click("e1")])
    there.cache.retry()
    assert there.shows() == (["e1"], CacheStatus.BYPASSED)
    clients[0].command("CONFIG", "SET", "min-replicas-to-write", "0")
    for worker in (here, there):
        worker.seconds = SETTLING_SECONDS
        worker.cache.retry()
    assert there.shows() == (["e1"], CacheStatus.MISS)
    assert here.shows() == (["e1"], CacheStatus.HIT)
    for client in clients:
        client.close()
