"""A copy in a worker's memory answers alone, and never after anything outdated it."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest, Source
from recsvc.errors import RedisError
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.serving.epochs import ForgettingTraces
from recsvc.serving.local_copies import TURN_SECONDS, LocalCopies
from recsvc.stores.epoch_table import MemoryEpochTable
from recsvc.stores.memory import MemoryEvents

from .small_workers import NOW, SETTLING_SECONDS, FailingCache, Worker, a_click

MEGABYTE = 1_000_000
LABEL = "1:v1"


@pytest.fixture
def stamps() -> MemoryEpochTable:
    return MemoryEpochTable(rng=random.SystemRandom())


@pytest.fixture
def log() -> MemoryEvents:
    return MemoryEvents()


@pytest.fixture
def redis() -> FailingCache:
    return FailingCache()


@pytest.fixture
def workers(
    log: MemoryEvents, redis: FailingCache, stamps: MemoryEpochTable, tmp_path: Path
) -> tuple[Worker, Worker]:
    """Two workers of one machine."""
    here, there = (Worker(log, redis, tmp_path, stamps, copies_bytes=MEGABYTE) for _ in range(2))
    return here, there


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.001)
    return holds()


class Shelf:
    """Copies by themselves, with clocks that are moved by hand."""

    def __init__(self, stamps: MemoryEpochTable, max_bytes: int = MEGABYTE) -> None:
        self.now: datetime = NOW
        self.seconds = 0.0
        self.known_until = math.inf
        self.copies = LocalCopies(
            stamps,
            max_bytes,
            clock=lambda: self.now.timestamp(),
            monotonic=lambda: self.seconds,
            known_until=lambda: self.known_until,
        )
        self.copies.refresh()

    def keep(self, request: SlateRequest, body: bytes = b"{}") -> ServedSlate:
        stamp, served = self.copies.stamp(request.customer_id), served_with(body)
        if stamp is not None:
            self.copies.keep(request, LABEL, stamp, served)
        return served

    def keep_coming(self, request: SlateRequest, body: bytes, label: str) -> None:
        stamp = self.copies.stamp(request.customer_id)
        assert stamp is not None
        self.copies.keep_coming(request, label, stamp, served_with(body))

    def has(self, request: SlateRequest, label: str = LABEL) -> bool:
        return self.copies.find(request, label) is not None


def served_with(body: bytes) -> ServedSlate:
    expires_at = NOW + timedelta(minutes=1)
    return ServedSlate(body, '"1"', Source.POPULAR, None, NOW, expires_at, CacheStatus.MISS)


def a_request(customer_id: str = "c1", **wanted: object) -> SlateRequest:
    return SlateRequest(ItemKind.CONTENT, customer_id, **wanted)  # type: ignore[arg-type]


def test_a_second_request_needs_neither_redis_nor_the_engine(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, _ = workers
    assert [here.shows()[1] for _ in range(2)] == [CacheStatus.MISS, CacheStatus.LOCAL]
    redis.fails = True
    assert here.shows() == ([], CacheStatus.LOCAL)


def test_only_a_copy_that_counts_is_at_hand(workers: tuple[Worker, Worker]) -> None:
    here, there = workers
    request = a_request()
    assert here.engine.at_hand(request) is None
    served = here.engine.recommend(request)
    found = here.engine.at_hand(request)
    assert found is not None
    assert (found.body, found.cache) == (served.body, CacheStatus.LOCAL)
    there.intake.take([a_click("e1")])
    assert here.engine.at_hand(request) is None


def test_what_redis_was_asked_for_is_kept_as_a_copy(workers: tuple[Worker, Worker]) -> None:
    here, there = workers
    there.shows()
    assert [here.hears(), here.shows()] == [([], CacheStatus.HIT), ([], CacheStatus.LOCAL)]


def test_what_one_worker_acknowledged_is_in_the_next_answer_of_all(workers: tuple[Worker, Worker]) -> None:
    here, there = workers
    for number, event_id in enumerate(("e1", "e2", "e3"), start=1):
        for worker in workers:
            worker.shows()
        assert there.shows()[1] is CacheStatus.LOCAL
        here.intake.take([a_click(event_id)])
        assert [len(worker.shows()[0]) for worker in workers] == [number, number]


def test_an_event_of_somebody_else_costs_no_copy(workers: tuple[Worker, Worker]) -> None:
    here, there = workers
    there.shows()
    here.intake.take([a_click("e1", "c2")])
    assert there.shows()[1] is CacheStatus.LOCAL


def test_a_slate_that_was_begun_before_an_event_is_not_copied_after_it(
    workers: tuple[Worker, Worker],
) -> None:
    here, there = workers
    there.inner.meanwhile = lambda: here.intake.take([a_click("e1")])
    there.shows()
    there.inner.meanwhile = None
    assert there.shows()[0] == ["e1"]


def test_what_redis_held_before_an_event_is_not_copied_after_it(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers
    here.shows()
    # The epoch is about to move when the other worker copies what Redis still holds.
    redis.before_move = lambda: there.shows()
    here.intake.take([a_click("e1")])
    redis.before_move = None
    assert there.shows()[0] == ["e1"]


def test_copies_stay_fresh_while_redis_is_away(workers: tuple[Worker, Worker], redis: FailingCache) -> None:
    here, there = workers
    for worker in workers:
        worker.shows()
    redis.fails = True
    for number, event_id in enumerate(("e1", "e2"), start=1):
        here.intake.take([a_click(event_id)])
        for worker in workers:
            assert len(worker.shows()[0]) == number
            assert len(worker.shows()[0]) == number
    assert there.shows()[1] is CacheStatus.LOCAL


def test_when_redis_fails_one_worker_its_neighbours_take_nothing_from_redis_until_that_is_settled(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers
    here.shows()
    with redis.away():  # For the other worker Redis never failed, and holds the slate from before.
        here.intake.take([a_click("e1")])
    assert there.shows() == (["e1"], CacheStatus.BYPASSED)
    here.cache.retry()
    for worker in workers:
        worker.seconds = SETTLING_SECONDS
    assert there.shows()[0] == ["e1"]


def test_a_word_of_distrust_from_before_a_restart_of_the_machine_is_void(
    workers: tuple[Worker, Worker], stamps: MemoryEpochTable
) -> None:
    here, _ = workers
    stamps.distrust(SETTLING_SECONDS * 1_000)
    assert here.shows()[1] is CacheStatus.MISS


def test_an_erasure_ends_every_copy_even_if_redis_cannot_forget(
    workers: tuple[Worker, Worker], redis: FailingCache, stamps: MemoryEpochTable
) -> None:
    class Unreachable(FailingCache):
        def forget(self, customer_id: str) -> int:
            raise RedisError("Redis is away")

        def forget_where(self, is_meant: object) -> int:
            raise RedisError("Redis is away")

    here, _ = workers
    traces = ForgettingTraces(Unreachable(), stamps)
    for forget in (lambda: traces.forget("c1"), lambda: traces.forget_where(lambda _: False)):
        here.shows()
        assert here.shows()[1] is CacheStatus.LOCAL
        with pytest.raises(RedisError):
            forget()
        assert here.shows()[1] is not CacheStatus.LOCAL


def test_a_copy_ends_with_its_slate(stamps: MemoryEpochTable) -> None:
    shelf = Shelf(stamps)
    served = shelf.keep(a_request())
    shelf.now = served.expires_at - timedelta(milliseconds=1)
    assert shelf.has(a_request())
    shelf.now = served.expires_at
    assert not shelf.has(a_request())


def test_a_copy_answers_its_own_request_under_its_own_label_only(stamps: MemoryEpochTable) -> None:
    shelf = Shelf(stamps)
    shelf.keep(a_request())
    others = [
        a_request("c2"),
        a_request(limit=11),
        a_request(explain=True),
        SlateRequest(ItemKind.OFFER, "c1"),
    ]
    assert not any(map(shelf.has, others))
    assert not shelf.has(a_request(), "2:v1")
    assert shelf.has(a_request())


@pytest.mark.parametrize("n", [10, 1_000])
def test_copies_never_take_more_memory_than_they_may(stamps: MemoryEpochTable, n: int) -> None:
    shelf = Shelf(stamps, max_bytes=100_000)
    for number in range(n):
        shelf.keep(a_request(f"c{number}"), bytes(8_500))
    kept = [number for number in range(n) if f"c{number}" in held_by(shelf)]
    assert len(kept) <= 10
    assert kept[-1] == n - 1


def test_what_is_to_come_takes_a_quarter_of_that_at_most_and_the_first_have_it(
    stamps: MemoryEpochTable,
) -> None:
    shelf = Shelf(stamps, max_bytes=400_000)
    for number in (*[0] * 20, *range(30)):
        shelf.keep_coming(a_request(f"c{number}"), bytes(8_500), "2:v2")
    assert [number for number in range(30) if shelf.has(a_request(f"c{number}"), "2:v2")] == [*range(10)]
    shelf.seconds = TURN_SECONDS
    shelf.copies.refresh()
    shelf.keep_coming(a_request("c40"), bytes(8_500), "3:v3")
    assert shelf.has(a_request("c40"), "3:v3")


def held_by(shelf: Shelf) -> set[str]:
    """Whose slates are held, without asking for any."""
    copies = shelf.copies
    return {request.customer_id for table in (copies._young, copies._old) for request in table}


def test_what_is_asked_for_stays_and_what_is_not_goes(stamps: MemoryEpochTable) -> None:
    shelf = Shelf(stamps, max_bytes=100_000)
    shelf.keep(a_request("wanted"), bytes(1_000))
    for number in range(100):
        shelf.keep(a_request(f"c{number}"), bytes(1_000))
        assert shelf.has(a_request("wanted"))
    assert not shelf.has(a_request("c1"))


def test_what_nobody_asks_for_leaves_the_memory_by_itself(stamps: MemoryEpochTable) -> None:
    shelf = Shelf(stamps)
    shelf.keep(a_request())
    for turn in (1, 2):
        assert held_by(shelf) == {"c1"}
        shelf.seconds = turn * TURN_SECONDS
        shelf.copies.refresh()
    assert held_by(shelf) == set()


def test_who_does_not_know_all_the_others_holds_no_copies(stamps: MemoryEpochTable) -> None:
    shelf, neighbour = Shelf(stamps), Shelf(stamps)
    shelf.keep(a_request())
    neighbour.keep(a_request())
    begun = shelf.copies.stamp("c2")
    shelf.known_until = shelf.seconds
    shelf.copies.refresh()
    assert not shelf.has(a_request())
    assert shelf.copies.stamp("c1") is None
    # Nor does anything from before come back, here or there, since somebody unknown may have outdated it.
    shelf.known_until = math.inf
    shelf.copies.refresh()
    assert not shelf.has(a_request()) and not neighbour.has(a_request())
    assert begun is not None and not stamps.is_current(begun)


def test_what_was_known_until_now_is_not_known_any_more_even_if_nobody_looked(
    stamps: MemoryEpochTable,
) -> None:
    shelf = Shelf(stamps)
    shelf.known_until = 1.0
    shelf.copies.refresh()
    shelf.keep(a_request())
    assert shelf.has(a_request())
    shelf.seconds = 1.0
    assert not shelf.has(a_request())
    # Another machine may have come and gone meanwhile: knowing again does not bring anything back.
    shelf.known_until = 2.0
    shelf.copies.refresh()
    assert shelf.copies.is_on
    assert not shelf.has(a_request())


def test_no_memory_no_copies(stamps: MemoryEpochTable) -> None:
    shelf = Shelf(stamps, max_bytes=0)
    shelf.keep(a_request())
    assert held_by(shelf) == set()


def test_a_hot_list_that_many_miss_at_once_is_made_once(workers: tuple[Worker, Worker]) -> None:
    here, _ = workers
    n_made: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        n_made.append(1)
        begun.set()
        go_on.wait(10)

    here.inner.meanwhile = slowly
    found: list[CacheStatus] = []
    asking = [threading.Thread(target=lambda: found.append(here.shows()[1])) for _ in range(20)]
    asking[0].start()
    begun.wait(10)
    for thread in asking[1:]:
        thread.start()
    assert wait_until(lambda: here.engine.n_waiting == 19)
    go_on.set()
    for thread in asking:
        thread.join(10)
    assert len(n_made) == 1
    assert sorted(found) == [CacheStatus.JOINED] * 19 + [CacheStatus.MISS]


@pytest.mark.parametrize("redis_fails", [False, True])
def test_who_comes_after_an_event_does_not_join_what_was_begun_before_it(
    workers: tuple[Worker, Worker], redis: FailingCache, redis_fails: bool
) -> None:
    here, _ = workers
    redis.fails = redis_fails
    later: list[list[str]] = []

    def meanwhile() -> None:
        here.inner.meanwhile = None
        here.intake.take([a_click("e1")])
        later.append(here.shows()[0])

    here.inner.meanwhile = meanwhile
    here.shows()
    assert later == [["e1"]]


def at(seconds: float, *workers: Worker) -> None:
    """Let the clocks of the workers stand so many seconds after the beginning."""
    for worker in workers:
        worker.now = NOW + timedelta(seconds=seconds)


def test_a_list_that_is_asked_for_is_renewed_before_it_ends_by_one_worker_for_all(
    workers: tuple[Worker, Worker],
) -> None:
    for worker in workers:
        worker.shows()
    at(47, *workers)
    for worker in workers:
        worker.shows()
        worker.engine.renew_ageing()
    assert [worker.inner.n_made for worker in workers] == [1, 0]
    at(50, *workers)
    for worker in workers:
        assert worker.shows()[1] is CacheStatus.LOCAL  # It still holds, and tells that it ages.
    for worker in workers:
        worker.engine.renew_ageing()
    assert [worker.inner.n_made for worker in workers] == [2, 0]
    at(100, *workers)
    assert [worker.shows()[1] for worker in workers] == [CacheStatus.LOCAL] * 2


def test_what_nobody_asks_for_is_not_renewed_and_nothing_is_served_after_its_end(
    workers: tuple[Worker, Worker],
) -> None:
    here, _ = workers
    here.shows()
    at(59, here)
    here.engine.renew_ageing()
    assert here.inner.n_made == 1
    at(60, here)
    assert here.shows()[1] is CacheStatus.MISS


def test_a_renewal_that_meets_an_event_keeps_nothing_from_before_it(workers: tuple[Worker, Worker]) -> None:
    here, there = workers
    here.shows()
    at(50, *workers)
    here.shows()
    here.inner.meanwhile = lambda: there.intake.take([a_click("e1")])
    here.engine.renew_ageing()
    here.inner.meanwhile = None
    assert [worker.shows()[0] for worker in workers] == [["e1"], ["e1"]]


def test_without_redis_each_worker_renews_for_itself_and_nobody_waits_for_it(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    for worker in workers:
        worker.shows()
    at(50, *workers)
    redis.fails = True
    for worker in workers:
        worker.shows()
        worker.engine.renew_ageing()
    assert [worker.inner.n_made for worker in workers] == [2, 1]
    at(100, *workers)
    assert [worker.shows()[1] for worker in workers] == [CacheStatus.LOCAL] * 2


def test_a_renewal_without_redis_that_meets_an_event_keeps_nothing_from_before_it(
    workers: tuple[Worker, Worker], redis: FailingCache
) -> None:
    here, there = workers
    here.shows()
    at(50, *workers)
    redis.fails = True
    here.shows()
    here.inner.meanwhile = lambda: there.intake.take([a_click("e1")])
    here.engine.renew_ageing()
    here.inner.meanwhile = None
    assert [worker.shows()[0] for worker in workers] == [["e1"], ["e1"]]
