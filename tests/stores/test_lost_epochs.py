"""Whatever Redis loses, an outdated slate never comes back."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from typing import Any

import pytest

from recsvc.domain.slates import SlateKey
from recsvc.errors import RedisError
from recsvc.stores.redis_client import RestingRedis
from recsvc.stores.redis_server import EmbeddedRedis
from recsvc.stores.slate_cache import RedisSlateCache

from .conftest import HandClock

KEY = SlateKey("c1", "home")
EPOCH_KEY = "recsvc:{c1}:epoch"
SLATE_KEY = "recsvc:{c1}:slate:home"


@pytest.fixture
def redis(server: EmbeddedRedis, clock: HandClock) -> Iterator[RestingRedis]:
    client = RestingRedis(server.url, 1.0, monotonic=clock)
    yield client
    client.close()


@pytest.fixture
def cache(redis: RestingRedis) -> RedisSlateCache:
    return RedisSlateCache(redis, rng=random.SystemRandom())


def test_a_slate_whose_epoch_was_evicted_does_not_come_back(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    cache.keep(KEY, cache.fetch(KEY).epoch, b"old", 60.0)
    redis.command("DEL", EPOCH_KEY)
    assert cache.fetch(KEY).value is None
    assert redis.command("EXISTS", SLATE_KEY) == 1


def test_a_slate_does_not_come_back_when_the_epoch_was_lost_and_then_moved(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    # Counting from one again would give the same numbers as before: the reason why epochs are drawn.
    cache.keep(KEY, cache.move_epoch("c1"), b"old", 60.0)
    redis.command("DEL", EPOCH_KEY)
    cache.move_epoch("c1")
    assert cache.fetch(KEY).value is None


def test_a_slate_made_before_an_event_does_not_come_back_when_the_epoch_is_lost_after_it(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    begun_in = cache.fetch(KEY).epoch
    cache.move_epoch("c1")
    redis.command("DEL", EPOCH_KEY)
    cache.keep(KEY, begun_in, b"knows nothing of the event", 60.0)
    assert cache.fetch(KEY).value is None


def test_after_a_flush_the_cache_goes_on(redis: RestingRedis, cache: RedisSlateCache) -> None:
    cache.keep(KEY, cache.fetch(KEY).epoch, b"old", 60.0)
    redis.command("FLUSHALL")
    fetched = cache.fetch(KEY)
    assert fetched.value is None
    cache.keep(KEY, fetched.epoch, b"new", 60.0)
    assert cache.fetch(KEY).value == b"new"


def test_workers_that_begin_an_epoch_at_once_agree_on_it(redis: RestingRedis) -> None:
    class Interrupted(random.SystemRandom):
        """Draws its epoch, and lets another worker begin one before its own arrives."""

        def getrandbits(self, k: int, /) -> int:
            agreed.append(RedisSlateCache(redis, rng=random.SystemRandom()).fetch(KEY).epoch)
            return super().getrandbits(k)

    agreed: list[int] = []
    agreed.append(RedisSlateCache(redis, rng=Interrupted()).fetch(KEY).epoch)
    assert agreed[0] == agreed[1]


def test_every_key_carries_the_customers_hash_tag_and_ends_by_itself(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    cache.keep(KEY, cache.fetch(KEY).epoch, b"slate", 60.0)
    cache.move_epoch("c2")
    keys = {key.decode() for key in redis.command("KEYS", "*")}
    assert keys == {EPOCH_KEY, SLATE_KEY, "recsvc:{c2}:epoch"}
    assert all(redis.command("PTTL", key) > 0 for key in keys)
    assert redis.command("PTTL", EPOCH_KEY) > 20 * redis.command("PTTL", SLATE_KEY)


def test_slates_made_together_end_apart_and_none_after_its_time(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    epoch = cache.fetch(KEY).epoch
    for number in range(50):
        cache.keep(SlateKey("c1", str(number)), epoch, b"slate", 60.0)
    left = [redis.command("PTTL", f"recsvc:{{c1}}:slate:{number}") for number in range(50)]
    assert 53_000 < min(left) < max(left) <= 60_000
    assert max(left) - min(left) > 1_000


def test_a_hit_is_one_round_trip(redis: RestingRedis, cache: RedisSlateCache) -> None:
    cache.keep(KEY, cache.fetch(KEY).epoch, b"slate", 60.0)
    redis.command("CONFIG", "RESETSTAT")
    cache.fetch(KEY)
    calls = redis.command("INFO", "commandstats")
    assert {name for name in calls if name.startswith("cmdstat_")} <= {
        "cmdstat_mget",
        "cmdstat_config|resetstat",
    }


def test_an_epoch_of_somebody_else_is_an_error_and_no_crash(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    redis.command("SET", EPOCH_KEY, "seven")
    with pytest.raises(RedisError, match="did not write"):
        cache.fetch(KEY)
    redis.command("DEL", EPOCH_KEY)
    redis.command("LPUSH", EPOCH_KEY, "seven")
    with pytest.raises(RedisError, match="refuses"):
        cache.fetch(KEY)


def test_a_slate_that_was_cut_short_counts_as_absent(redis: RestingRedis, cache: RedisSlateCache) -> None:
    cache.fetch(KEY)
    redis.command("SET", SLATE_KEY, b"\x01")
    assert cache.fetch(KEY).value is None


def test_under_memory_pressure_slates_go_and_keys_without_an_end_stay(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    redis.command("SET", "rq:queue", b"a job")
    redis.command("CONFIG", "SET", "maxmemory", "8mb")
    for number in range(2_000):
        key = SlateKey(f"c{number}", "home")
        cache.keep(key, cache.fetch(key).epoch, bytes(10_000), 60.0)
    assert redis.command("GET", "rq:queue") == b"a job"
    assert cache.fetch(SlateKey("c1999", "home")).value is not None
    assert redis.command("DBSIZE") < 2_000


def test_many_slates_are_a_round_trip_for_fifty_and_their_epochs_one_more(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    class Counted(RestingRedis):
        n_trips = 0

        def _ask(self, call: Any, n_commands: int = 1) -> Any:
            self.n_trips += 1
            return super()._ask(call, n_commands)

    redis.__class__ = Counted  # type: ignore[assignment]
    keys = [SlateKey(f"c{number}", "home") for number in range(100)]
    assert cache.fetch_many(keys) and redis.n_trips == 4  # type: ignore[attr-defined]
    assert cache.fetch_many(keys) and redis.n_trips == 6  # type: ignore[attr-defined]


def test_an_epoch_that_another_worker_begins_meanwhile_is_everybodys(redis: RestingRedis) -> None:
    class Overtaken(RedisSlateCache):
        def _begin_epochs(self, customer_ids: Collection[str]) -> dict[str, int]:
            for each in customer_ids:
                theirs[each] = other.fetch(SlateKey(each, "home")).epoch
            return super()._begin_epochs(customer_ids)

    theirs: dict[str, int] = {}
    other = RedisSlateCache(redis, rng=random.SystemRandom())
    cache = Overtaken(redis, rng=random.SystemRandom())
    found = cache.fetch_many([SlateKey("c1", "home"), SlateKey("c2", "home")])
    assert [one.epoch for one in found] == [theirs["c1"], theirs["c2"]]


def test_an_epoch_of_somebody_else_among_many_is_an_error_and_no_crash(
    redis: RestingRedis, cache: RedisSlateCache
) -> None:
    keys = [SlateKey("c0", "home"), KEY, SlateKey("c2", "home")]
    redis.command("SET", EPOCH_KEY, "seven")
    with pytest.raises(RedisError, match="did not write"):
        cache.fetch_many(keys)
    redis.command("DEL", EPOCH_KEY)
    redis.command("LPUSH", EPOCH_KEY, "seven")
    with pytest.raises(RedisError, match="refuses"):
        cache.fetch_many(keys)
    redis.command("DEL", EPOCH_KEY)
    assert [one.value for one in cache.fetch_many(keys)] == [None] * 3
