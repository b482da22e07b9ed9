"""The stores in memory: for tests and trials. Same behaviour as the real ones, nothing kept."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, islice

from msgspec.structs import replace as with_changes

from recsvc.domain.access import ApiKey, NewApiKey, Scope
from recsvc.domain.interactions import Deed, Interaction, Known, TailEvent
from recsvc.domain.moments import to_micros
from recsvc.domain.records import Taken
from recsvc.domain.slates import Fetched, SlateKey
from recsvc.errors import EventConflictError
from recsvc.stores.api_keys import TokenSource, new_key
from recsvc.stores.event_rows import EventRow, distinct_rows, sort_out
from recsvc.stores.event_tail import to_tail_event
from recsvc.stores.known_events import make_wanted
from recsvc.stores.memory_records import MemoryCatalogue as MemoryCatalogue
from recsvc.stores.memory_records import MemoryCustomers as MemoryCustomers

Place = tuple[int, str]
"""Where an event stands in time: microseconds, then its id."""


class MemoryEvents:
    """Every interaction that was ever accepted, but for those of customers who were erased since."""

    def __init__(self, *, erased_at: Callable[[str], datetime | None] = lambda _: None) -> None:
        self._erased_at = erased_at
        self._digests: dict[str, bytes] = {}
        self._by_place: dict[Place, Interaction] = {}
        self._rows: dict[Place, EventRow] = {}
        self._all: list[Place] = []
        self._of_customer: dict[str, list[Place]] = {}
        self._by_sequence: dict[int, Place] = {}  # In the order in which they were stored.
        self._sequences = count(1)
        self._lock = threading.Lock()

    def append(self, interactions: Sequence[Interaction], *, received_at: datetime) -> Taken:
        """Store interactions, all or none. Raises EventConflictError where an id has another body."""
        rows = distinct_rows(interactions, received_at)
        by_id = {interaction.event_id: interaction for interaction in reversed(interactions)}
        with self._lock:
            ids = (row.event_id for row in rows)
            stored = {event_id: self._digests[event_id] for event_id in ids if event_id in self._digests}
            new, (outcome,) = sort_out([rows], stored)
            if isinstance(outcome, EventConflictError):
                raise outcome
            for row in new:
                erased_at = self._erased_at(row.customer_id)
                if erased_at is not None and row.occurred_at <= to_micros(erased_at):
                    continue
                place = (row.occurred_at, row.event_id)
                interaction = by_id[row.event_id]
                self._digests[row.event_id] = row.digest
                self._rows[place] = row
                self._by_sequence[next(self._sequences)] = place
                self._by_place[place] = with_changes(
                    interaction, occurred_at=interaction.occurred_at.astimezone(UTC)
                )
                insort(self._all, place)
                insort(self._of_customer.setdefault(interaction.customer_id, []), place)
        return Taken(accepted=len(new), duplicates=len(interactions) - len(new))

    def known(
        self,
        customer_id: str,
        *,
        occurred_after: datetime | None,
        received_after: datetime | None,
        limit: int,
        always: Collection[str] = (),
        ignoring: Collection[str] = (),
    ) -> Known:
        """The latest `limit` events that occurred, or were received, after the moments, oldest first."""
        wanted = make_wanted(customer_id, occurred_after, received_after, limit, always, ignoring)
        with self._lock:
            rows = [self._rows[place] for place in self._of_customer.get(customer_id, [])]
        return wanted.select([(*row[:7], row.received_at) for row in rows])

    def deeds(self, customer_id: str, types: Collection[str], *, limit: int) -> Sequence[Deed]:
        """The customer's latest `limit` events of these types, oldest first."""
        did = [one for one in self.of_customer(customer_id) if one.type in types]
        return [
            Deed(one.type, one.item_id, one.occurred_at, one.channel, one.value)
            for one in did[max(len(did) - limit, 0) :]
        ]

    def of_customer(self, customer_id: str) -> Iterator[Interaction]:
        """Every interaction of the customer by time, then id."""
        with self._lock:
            return iter([self._by_place[place] for place in self._of_customer.get(customer_id, [])])

    def after(self, sequence: int, limit: int) -> Sequence[TailEvent]:
        """The first `limit` events after a place in the order in which they were stored."""
        with self._lock:
            later = islice(((n, place) for n, place in self._by_sequence.items() if n > sequence), limit)
            return [to_tail_event(number, self._rows[place]) for number, place in later]

    def last_sequence(self) -> int:
        """The place of the last event; 0 while there is none."""
        with self._lock:
            return max(self._by_sequence, default=0)

    def meetings_after(self, sequence: int, limit: int, types: Collection[str]) -> Sequence[TailEvent]:
        """The first `limit` events after a place that are of these types and name an item."""
        met = [one for one in self.after(sequence, len(self._rows)) if one.item_id and one.type in types]
        return met[:limit]

    def start_of_last(self, n: int, types: Collection[str], *, after: int = 0) -> int:
        """The place after which the last `n` such events are, or `after` where there they are fewer."""
        met = self.meetings_after(after, len(self._rows), types)
        return met[-n - 1].sequence if len(met) > n else after

    def delete_customer(self, customer_id: str) -> int:
        """Delete every interaction of the customer; how many there were."""
        with self._lock:
            places = self._of_customer.pop(customer_id, [])
            gone = set(places)
            self._by_sequence = {n: place for n, place in self._by_sequence.items() if place not in gone}
            for place in places:
                self._all.remove(place)
                del self._by_place[place], self._rows[place], self._digests[place[1]]
            return len(places)

    def each(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[Interaction]:
        """Interactions from `since` (inclusive) to `until` (exclusive) by time, then id."""
        with self._lock:
            first = 0 if since is None else bisect_left(self._all, (to_micros(since), ""))
            last = len(self._all) if until is None else bisect_left(self._all, (to_micros(until), ""))
            return iter([self._by_place[place] for place in self._all[first:last]])

    def count(self) -> int:
        """How many interactions are stored."""
        return len(self._all)

    def latest_at(self) -> datetime | None:
        """When the latest interaction occurred; None while there is none."""
        with self._lock:
            return self._by_place[self._all[-1]].occurred_at if self._all else None


class MemoryApiKeys:
    """Who may call, by key."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    def create(self, label: str, scopes: Iterable[Scope], *, now: datetime, tokens: TokenSource) -> NewApiKey:
        """Make a key and store its digest: the only moment when its text is known."""
        shown, stored = new_key(label, scopes, now, tokens)
        self._keys[stored.key_id] = stored
        return shown

    def find(self, key_id: str) -> ApiKey | None:
        """The key, revoked or not; None when there is none of that id."""
        return self._keys.get(key_id)

    def each(self) -> Iterator[ApiKey]:
        """Every key, the revoked ones included, oldest first."""
        return iter(sorted(self._keys.values(), key=lambda key: (key.created_at, key.key_id)))

    def revoke(self, key_id: str, now: datetime) -> bool:
        """End a key; False when there is none of that id. A second time changes nothing."""
        key = self._keys.get(key_id)
        if key is not None and key.revoked_at is None:
            self._keys[key_id] = replace(key, revoked_at=now)
        return key is not None


class MemorySlateCache:
    """Ready slates of this process only."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._fresh_epochs = count(1)
        self._epochs: dict[str, int] = {}
        self._slates: dict[SlateKey, tuple[int, float, bytes]] = {}
        self._leases: dict[tuple[SlateKey, int], float] = {}
        self._lock = threading.Lock()

    def fetch(self, key: SlateKey) -> Fetched:
        """The epoch, and the slate if one was kept in that epoch."""
        with self._lock:
            epoch = self._epochs.get(key.customer_id) or self._draw(key.customer_id)
            made_in, ends_at, value = self._slates.get(key, (0, 0.0, b""))
            is_current = made_in == epoch and self._monotonic() < ends_at
            return Fetched(epoch, value if is_current else None)

    def ask(self, key: SlateKey, heard: Callable[[Fetched | None], object]) -> bool:
        """Tell what `fetch` says at once."""
        heard(self.fetch(key))
        return True

    def fetch_many(self, keys: Sequence[SlateKey]) -> list[Fetched]:
        """What `fetch` says of each."""
        return [self.fetch(key) for key in keys]

    def keep(self, key: SlateKey, epoch: int, value: bytes, ttl_seconds: float) -> None:
        """Keep a slate that was made in the epoch."""
        with self._lock:
            self._slates[key] = (epoch, self._monotonic() + ttl_seconds, value)

    def claim(self, key: SlateKey, epoch: int, seconds: float) -> bool:
        """Whether the caller, and nobody else for so long, is to renew the slate."""
        with self._lock:
            now = self._monotonic()
            is_ours = self._leases.get((key, epoch), now) <= now
            if is_ours:
                self._leases[key, epoch] = now + seconds
            return is_ours

    def move_epoch(self, customer_id: str) -> int:
        """Outdate every slate of the customer; the new epoch."""
        with self._lock:
            return self._draw(customer_id)

    def move_epochs(self, customer_ids: Collection[str]) -> None:
        """Outdate every slate of the customers."""
        for customer_id in customer_ids:
            self.move_epoch(customer_id)

    def move_every_epoch(self) -> None:
        """Outdate every slate of everybody."""
        with self._lock:
            self._epochs.clear()

    def forget(self, customer_id: str) -> int:
        """Remove whatever is kept of the customer; how many slates."""
        return self.forget_where(lambda each: each == customer_id)

    def forget_where(self, is_meant: Callable[[str], bool]) -> int:
        """Remove whatever is kept of the customers who are meant; how many slates."""
        with self._lock:
            for customer_id in [each for each in self._epochs if is_meant(each)]:
                del self._epochs[customer_id]
            gone = [key for key in self._slates if is_meant(key.customer_id)]
            for key in gone:
                del self._slates[key]
            for lease in [each for each in self._leases if is_meant(each[0].customer_id)]:
                del self._leases[lease]
        return len(gone)

    def ping(self) -> None:
        """Return at once."""

    def _draw(self, customer_id: str) -> int:
        self._epochs[customer_id] = next(self._fresh_epochs)
        return self._epochs[customer_id]
