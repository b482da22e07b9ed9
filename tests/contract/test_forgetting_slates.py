"""How every slate cache forgets a customer."""

from __future__ import annotations

from recsvc.domain.slates import SlateKey
from recsvc.stores.memory import MemorySlateCache
from recsvc.stores.slate_cache import RedisSlateCache

Cache = MemorySlateCache | RedisSlateCache


def keep(cache: Cache, customer_id: str, n_slates: int) -> None:
    for number in range(n_slates):
        key = SlateKey(customer_id, str(number))
        cache.keep(key, cache.fetch(key).epoch, b"slate", 60.0)


def slates_of(cache: Cache, customer_id: str, n_slates: int) -> int:
    return sum(cache.fetch(SlateKey(customer_id, str(n))).value is not None for n in range(n_slates))


def test_a_customer_is_forgotten_and_nobody_else(slate_cache: Cache) -> None:
    for name in ("c1", "c11", "1", "c"):
        keep(slate_cache, name, 3)
    assert slate_cache.forget("c1") == 3
    assert slate_cache.forget("c1") == 0
    assert [slates_of(slate_cache, name, 3) for name in ("c1", "c11", "1", "c")] == [0, 3, 3, 3]


def test_customers_are_forgotten_by_what_is_known_of_them(slate_cache: Cache) -> None:
    for number in range(30):
        keep(slate_cache, f"c.{number}", 1)
    assert slate_cache.forget_where(lambda name: name in {"c.3", "c.7"}) == 2
    assert [number for number in range(30) if not slates_of(slate_cache, f"c.{number}", 1)] == [3, 7]


def test_a_forgotten_customer_has_a_new_epoch(slate_cache: Cache) -> None:
    key = SlateKey("c1", "home")
    begun_in = slate_cache.fetch(key).epoch
    slate_cache.forget("c1")
    slate_cache.keep(key, begun_in, b"from before", 60.0)
    assert slate_cache.fetch(key).value is None


def test_who_has_only_an_epoch_is_forgotten_too(slate_cache: Cache) -> None:
    before = slate_cache.move_epoch("c1")
    assert slate_cache.forget("c1") == 0
    assert slate_cache.fetch(SlateKey("c1", "home")).epoch != before
