"""What every slate cache does."""

from __future__ import annotations

import time
from queue import Queue

from recsvc.domain.slates import Fetched, SlateKey
from recsvc.stores.memory import MemorySlateCache
from recsvc.stores.slate_cache import RedisSlateCache

Cache = MemorySlateCache | RedisSlateCache

KEY = SlateKey("c1", "home")
LONG = 60.0


def keep_now(cache: Cache, key: SlateKey, value: bytes) -> None:
    cache.keep(key, cache.fetch(key).epoch, value, LONG)


def test_it_answers_a_ping(slate_cache: Cache) -> None:
    slate_cache.ping()


def test_an_unknown_customer_has_an_epoch_and_no_slate(slate_cache: Cache) -> None:
    first = slate_cache.fetch(KEY)
    assert first.value is None
    assert slate_cache.fetch(KEY) == first


def test_a_slate_that_was_kept_in_the_epoch_is_fetched_byte_for_byte(slate_cache: Cache) -> None:
    for value in (b"", b"\x00\xff" * 10_000, b'{"slate_id": "s_1"}'):
        keep_now(slate_cache, KEY, value)
        assert slate_cache.fetch(KEY).value == value


def test_another_variation_and_another_customer_have_slates_of_their_own(slate_cache: Cache) -> None:
    keep_now(slate_cache, KEY, b"mine")
    assert slate_cache.fetch(SlateKey("c1", "basket")).value is None
    assert slate_cache.fetch(SlateKey("c2", "home")).value is None


def test_moving_the_epoch_outdates_every_slate_of_the_customer_and_of_nobody_else(slate_cache: Cache) -> None:
    other_variation, other_customer = SlateKey("c1", "basket"), SlateKey("c2", "home")
    for key in (KEY, other_variation, other_customer):
        keep_now(slate_cache, key, b"slate")
    before = slate_cache.fetch(KEY).epoch
    moved = slate_cache.move_epoch("c1")
    assert moved != before
    assert slate_cache.fetch(KEY).epoch == moved
    assert slate_cache.fetch(KEY).value is None
    assert slate_cache.fetch(other_variation).value is None
    assert slate_cache.fetch(other_customer).value == b"slate"


def test_a_slate_that_was_begun_before_the_epoch_moved_is_never_served(slate_cache: Cache) -> None:
    begun_in = slate_cache.fetch(KEY).epoch
    slate_cache.move_epoch("c1")
    slate_cache.keep(KEY, begun_in, b"knows nothing of the event", LONG)
    assert slate_cache.fetch(KEY).value is None


def test_a_slate_of_the_new_epoch_is_served(slate_cache: Cache) -> None:
    keep_now(slate_cache, KEY, b"old")
    slate_cache.keep(KEY, slate_cache.move_epoch("c1"), b"new", LONG)
    assert slate_cache.fetch(KEY).value == b"new"


def test_epochs_never_come_twice(slate_cache: Cache) -> None:
    epochs = [slate_cache.fetch(KEY).epoch, *(slate_cache.move_epoch("c1") for _ in range(50))]
    assert len(set(epochs)) == 51


def test_the_epoch_of_a_customer_can_move_before_anything_was_fetched(slate_cache: Cache) -> None:
    assert slate_cache.move_epoch("c9") == slate_cache.fetch(SlateKey("c9", "home")).epoch


def test_a_slate_ends_after_its_time_to_live(slate_cache: Cache) -> None:
    slate_cache.keep(KEY, slate_cache.fetch(KEY).epoch, b"slate", 0.05)
    time.sleep(0.06)
    assert slate_cache.fetch(KEY).value is None


def test_a_slate_without_time_to_live_is_not_kept(slate_cache: Cache) -> None:
    for ttl_seconds in (0.0, -1.0):
        slate_cache.keep(KEY, slate_cache.fetch(KEY).epoch, b"slate", ttl_seconds)
        assert slate_cache.fetch(KEY).value is None


def test_the_epochs_of_many_customers_move_at_once_and_nobody_elses(slate_cache: Cache) -> None:
    keys = [SlateKey(f"c{number}", "home") for number in range(1_200)]
    for key in keys:
        keep_now(slate_cache, key, b"slate")
    slate_cache.move_epochs([key.customer_id for key in keys[:-1]])
    assert [key for key in keys if slate_cache.fetch(key).value] == keys[-1:]
    slate_cache.move_epochs([])


def test_every_epoch_can_be_moved(slate_cache: Cache) -> None:
    keys = [SlateKey(f"c{number}", "home") for number in range(1_200)]
    epochs = [slate_cache.fetch(key).epoch for key in keys]
    for key, epoch in zip(keys, epochs, strict=True):
        slate_cache.keep(key, epoch, b"slate", LONG)
    slate_cache.move_every_epoch()
    assert not any(slate_cache.fetch(key).value for key in keys)
    for key, epoch in zip(keys, epochs, strict=True):
        slate_cache.keep(key, epoch, b"knows nothing of the event", LONG)
    assert not any(slate_cache.fetch(key).value for key in keys)


def test_a_lease_is_given_once_for_each_slate_and_epoch_until_it_ends(slate_cache: Cache) -> None:
    assert slate_cache.claim(KEY, 7, 0.2)
    assert not slate_cache.claim(KEY, 7, 0.2)
    assert slate_cache.claim(KEY, 8, LONG)
    assert slate_cache.claim(SlateKey("c1", "basket"), 7, LONG)
    time.sleep(0.25)
    assert slate_cache.claim(KEY, 7, LONG)
    assert not slate_cache.claim(KEY, 7, LONG)


def test_a_lease_is_no_slate_and_goes_when_the_customer_is_forgotten(slate_cache: Cache) -> None:
    slate_cache.claim(KEY, 7, LONG)
    assert slate_cache.forget("c1") == 0
    assert slate_cache.fetch(KEY).value is None


def heard_of(cache: Cache, key: SlateKey) -> Fetched | None:
    """What is told of the key, once it can be asked for without waiting."""
    heard = Queue[Fetched | None]()
    until = time.monotonic() + 10
    while not cache.ask(key, heard.put) and time.monotonic() < until:
        time.sleep(0.01)
    found = heard.get(timeout=10)
    time.sleep(0.01)
    assert heard.empty()
    return found


def test_what_is_asked_for_without_waiting_is_what_would_be_fetched(slate_cache: Cache) -> None:
    keep_now(slate_cache, KEY, b"\x00\r\n\xff" * 50_000)
    assert heard_of(slate_cache, KEY) == slate_cache.fetch(KEY)
    other = SlateKey("c1", "basket")
    assert heard_of(slate_cache, other) == Fetched(slate_cache.fetch(KEY).epoch, None)
    slate_cache.move_epoch("c1")
    assert heard_of(slate_cache, KEY) == Fetched(slate_cache.fetch(KEY).epoch, None)


def test_whoever_asks_for_a_customer_without_an_epoch_is_told_of_none_or_of_no_slate(
    slate_cache: Cache,
) -> None:
    found = heard_of(slate_cache, SlateKey("c77", "home"))
    assert found is None or found.value is None


def test_many_are_fetched_as_each_alone_is(slate_cache: Cache) -> None:
    keys = [SlateKey(f"c{number}", "home") for number in range(120)]
    for key in keys[::2]:
        keep_now(slate_cache, key, key.customer_id.encode())
    slate_cache.move_epoch("c4")  # What was kept before counts no more.
    first = slate_cache.fetch_many(keys)
    assert [one.value for one in first[:6]] == [b"c0", None, b"c2", None, None, None]
    assert slate_cache.fetch_many(keys) == first == [slate_cache.fetch(key) for key in keys]
    assert len({one.epoch for one in first}) == len(keys)
    for key, one in zip(keys, first, strict=True):
        slate_cache.keep(key, one.epoch, b"new", LONG)
    slate_cache.move_epoch("c7")
    assert [one.value for one in slate_cache.fetch_many(keys)].count(b"new") == len(keys) - 1
    assert slate_cache.fetch_many([]) == []
