"""Ready slates in Redis. In: keys and bytes. Out: the bytes, if nothing has outdated them.

Each customer has an epoch, a random number under a key of its own, and each slate begins with the epoch in
which it was made. A slate counts only while the two are equal. Moving the epoch draws a new number, so one
command outdates every slate of the customer, wherever they are.

A lost epoch (flushed, evicted, expired) is replaced by a new random number, never by a count that starts
over: an old slate that survived the loss can never look current again. What a loss costs is one miss.

Every key of a customer carries the hash tag `{customer_id}`, so that a cluster keeps them together and one
MGET reads both. Every key has a time to live, so that each may be evicted and none stays for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from recsvc.domain.slates import Fetched, SlateKey
from recsvc.errors import RedisError
from recsvc.stores.redis_client import RestingRedis
from recsvc.stores.redis_reading import Answer

PREFIX = "recsvc:"
EPOCH_TTL_SECONDS = 86_400.0  # Far longer than a slate lives: a customer who is active keeps their epoch.
_EPOCH_BYTES = 8
_EPOCH_BITS = 62
_JITTER_RATIO = 0.1
_PIPELINE = 1_000
_SLATES_AT_ONCE = 50  # More would hold up what others ask of Redis.
_PING_TTL_MS = 1_000


Heard = Callable[[Fetched | None], object]


class Chance(Protocol):
    """A source of chance: `random.SystemRandom()`.

    No seeded generator will do: workers that were forked with one would draw the same epochs, and an epoch
    must never come twice.
    """

    def random(self) -> float:
        """A number from 0 (inclusive) to 1 (exclusive)."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """A whole number of `k` random bits."""
        ...


class RedisSlateCache:
    """Ready slates by key, shared by every worker."""

    def __init__(self, client: RestingRedis, *, rng: Chance, prefix: str = PREFIX) -> None:
        self._redis = client
        self._rng = rng
        self._prefix = prefix

    def fetch(self, key: SlateKey) -> Fetched:
        """The epoch, and the slate if one was kept in that epoch. Raises RedisError."""
        epoch_key, slate_key = self._epoch_key(key.customer_id), self._slate_key(key)
        stored, slate = self._redis.read("MGET", epoch_key, slate_key)
        return Fetched(self._begin_epoch(epoch_key), None) if stored is None else _fetched(stored, slate)

    def ask(self, key: SlateKey, heard: Heard) -> bool:
        """Ask for what `fetch` brings, without waiting; whether `heard` will be told it, on another thread.

        It is told None where `fetch` would begin an epoch, or fail.
        """

        def told(answer: Answer) -> None:
            stored, slate = answer if isinstance(answer, list) else (None, None)
            heard(None if stored is None else _fetched(stored, slate))

        return self._redis.ask("MGET", self._epoch_key(key.customer_id), self._slate_key(key), heard=told)

    def fetch_many(self, keys: Sequence[SlateKey]) -> list[Fetched]:
        """What `fetch` says of each, in a round trip or two for many. Raises RedisError."""
        fetched: list[Fetched] = []
        for start in range(0, len(keys), _SLATES_AT_ONCE):
            some = keys[start : start + _SLATES_AT_ONCE]
            # One command for each customer: in a cluster, keys of several lie apart.
            found = self._redis.read_each(
                *(("MGET", self._epoch_key(key.customer_id), self._slate_key(key)) for key in some)
            )
            new = [key.customer_id for key, (stored, _) in zip(some, found, strict=True) if stored is None]
            begun = self._begin_epochs(new)
            fetched += (
                Fetched(begun[key.customer_id], None) if stored is None else _fetched(stored, slate)
                for key, (stored, slate) in zip(some, found, strict=True)
            )
        return fetched

    def keep(self, key: SlateKey, epoch: int, value: bytes, ttl_seconds: float) -> None:
        """Keep a slate that was made in the epoch, for the time to live less up to a tenth of it.

        The jitter keeps slates that were made together from ending together. It only ever shortens: a slate
        is never served after its time. Raises RedisError.
        """
        ttl_ms = int(ttl_seconds * 1000 * (1 - _JITTER_RATIO * self._rng.random()))
        if ttl_ms < 1:
            return
        slate_key, slate = self._slate_key(key), epoch.to_bytes(_EPOCH_BYTES, "big") + value
        self._redis.put("SET", slate_key, slate, "PX", ttl_ms)

    def claim(self, key: SlateKey, epoch: int, seconds: float) -> bool:
        """Whether the caller, and nobody else for so long, is to renew the slate. Raises RedisError."""
        lease_key = f"{self._prefix}{{{key.customer_id}}}:lease:{key.variation}:{epoch}"
        return self._redis.command("SET", lease_key, "1", "PX", int(seconds * 1000), "NX") is not None

    def move_epoch(self, customer_id: str) -> int:
        """Outdate every slate of the customer; the new epoch. Raises RedisError."""
        # A fresh draw and not INCR: on a lost key, INCR would begin at 1 again and revive what was old.
        epoch = self._rng.getrandbits(_EPOCH_BITS)
        epoch_key, ttl_ms = self._epoch_key(customer_id), int(EPOCH_TTL_SECONDS * 1000)
        self._redis.command("SET", epoch_key, epoch, "PX", ttl_ms)
        return epoch

    def move_epochs(self, customer_ids: Collection[str]) -> None:
        """Outdate every slate of the customers, in one round trip. Raises RedisError: some may have moved.

        A customer without an epoch has no current slate, and is left without: what was erased stays away.
        """
        ttl_ms = int(EPOCH_TTL_SECONDS * 1000)
        draw = self._rng.getrandbits
        moves = [
            ("SET", self._epoch_key(each), draw(_EPOCH_BITS), "PX", ttl_ms, "XX") for each in customer_ids
        ]
        for start in range(0, len(moves), _PIPELINE):
            self._redis.pipeline(*moves[start : start + _PIPELINE])

    def move_every_epoch(self) -> None:
        """Outdate every slate of everybody, by taking every epoch away. Raises RedisError."""
        place = 0
        while True:
            pattern = f"{self._prefix}{{*}}:epoch"
            answer, found = self._redis.command("SCAN", place, "MATCH", pattern, "COUNT", _PIPELINE)
            # One command for each key: in a cluster, keys of several customers lie apart.
            if found:
                self._redis.pipeline(*(("UNLINK", key) for key in found))
            place = int(answer)
            if place == 0:
                return

    def forget(self, customer_id: str) -> int:
        """Remove every key of the customer; how many slates there were. Raises RedisError."""
        return self._remove(f"{self._prefix}{{{customer_id}}}*", lambda _: True)

    def forget_where(self, is_meant: Callable[[str], bool]) -> int:
        """Remove every key of the customers who are meant; how many slates there were. Raises RedisError."""
        return self._remove(f"{self._prefix}{{*}}*", is_meant)

    def ping(self) -> None:
        """Return when the cache answers and takes writes. Raises RedisError.

        Where nothing can be written nothing can be outdated, whoever tries to.
        """
        self._redis.command("SET", f"{self._prefix}ping", b"1", "PX", _PING_TTL_MS)

    def _remove(self, pattern: str, is_meant: Callable[[str], bool]) -> int:
        place = n_slates = 0
        while True:
            answer, found = self._redis.command("SCAN", place, "MATCH", pattern, "COUNT", _PIPELINE)
            meant = [key for key in found if is_meant(_customer_of(key))]
            if meant:
                removed = self._redis.pipeline(*(("UNLINK", key) for key in meant))
                n_slates += sum(
                    count for key, count in zip(meant, removed, strict=True) if b"}:slate:" in key
                )
            place = int(answer)
            if place == 0:
                return n_slates

    def _begin_epoch(self, epoch_key: str) -> int:
        drawn, ttl_ms = self._rng.getrandbits(_EPOCH_BITS), int(EPOCH_TTL_SECONDS * 1000)
        # Another worker may begin it at the same moment: the first draw holds, and both read it.
        _, stored = self._redis.transaction(("SET", epoch_key, drawn, "PX", ttl_ms, "NX"), ("GET", epoch_key))
        return _epoch_of(stored)

    def _begin_epochs(self, customer_ids: Collection[str]) -> dict[str, int]:
        if not customer_ids:
            return {}
        draw, ttl_ms = self._rng.getrandbits, int(EPOCH_TTL_SECONDS * 1000)
        drawn = {each: draw(_EPOCH_BITS) for each in customer_ids}
        are_ours = self._redis.pipeline(
            *(("SET", self._epoch_key(each), epoch, "PX", ttl_ms, "NX") for each, epoch in drawn.items())
        )
        return {
            each: epoch if is_ours else self._begin_epoch(self._epoch_key(each))
            for (each, epoch), is_ours in zip(drawn.items(), are_ours, strict=True)
        }

    def _epoch_key(self, customer_id: str) -> str:
        return f"{self._prefix}{{{customer_id}}}:epoch"

    def _slate_key(self, key: SlateKey) -> str:
        return f"{self._prefix}{{{key.customer_id}}}:slate:{key.variation}"


def _customer_of(key: bytes) -> str:
    return key.partition(b"{")[2].partition(b"}")[0].decode()


def _fetched(stored: bytes, slate: bytes | None) -> Fetched:
    epoch = _epoch_of(stored)
    if slate is None or int.from_bytes(slate[:_EPOCH_BYTES], "big") != epoch:
        return Fetched(epoch, None)
    return Fetched(epoch, slate[_EPOCH_BYTES:])


def _epoch_of(stored: bytes | None) -> int:
    try:
        return int(stored or b"")
    except ValueError:
        pass
    raise RedisError("Redis holds an epoch that recsvc did not write: give recsvc a database of its own")
