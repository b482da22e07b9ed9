"""Erasures in memory: for tests and trials. Same behaviour as the real store, nothing kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from recsvc.domain.records import ErasureReceipt, PendingErasure
from recsvc.stores.erasures import PLACES
from recsvc.stores.memory import MemoryEvents
from recsvc.stores.memory_exposures import MemoryExposures
from recsvc.stores.memory_identities import MemoryIdentities
from recsvc.stores.memory_records import MemoryCustomers
from recsvc.stores.tombstones import digest_of

_SALT = b"memory"  # Nothing leaves this process, so the digests need no secret.


class MemoryErasures:
    """Who is to be forgotten, and how far that is."""

    def __init__(
        self,
        customers: MemoryCustomers,
        events: MemoryEvents,
        exposures: MemoryExposures,
        identities: MemoryIdentities,
    ) -> None:
        self._customers = customers
        self._events = events
        self._exposures = exposures
        self._identities = identities
        self._receipts: dict[bytes, ErasureReceipt] = {}
        self._pending: dict[bytes, tuple[PendingErasure, datetime]] = {}
        self._lock = threading.Lock()

    def begin(
        self,
        customer_id: str,
        *,
        receipt_id: str,
        now: datetime,
        claimed_until: datetime,
        removed: Mapping[str, int],
    ) -> PendingErasure:
        """Set the tombstone and delete what is held under this id."""
        digest = digest_of(_SALT, customer_id)
        with self._lock:
            held = any(self._events.of_customer(customer_id)) or any(self._exposures.of_customer(customer_id))
            n_links = self._identities.remove(customer_id)
            held = held or n_links > 0 or self._customers.get(customer_id) is not None
            if held or digest not in self._receipts:
                deleted = {"identities": n_links, "customer": self._customers.erase(customer_id, now)}
                deleted["events"] = self._events.delete_customer(customer_id)
                deleted["exposures"] = self._exposures.delete_customer(customer_id)
                counts = dict.fromkeys(PLACES, 0) | dict(removed) | deleted
                self._receipts[digest] = ErasureReceipt(receipt_id, now, None, counts)
            pending = PendingErasure(digest, customer_id, compacted=False)
            self._pending[digest] = (pending, claimed_until)
        return pending

    def receipt(self, digest: bytes) -> ErasureReceipt:
        """The receipt as it stands."""
        return self._receipts[digest]

    def count(self, digest: bytes, removed: Mapping[str, int]) -> None:
        """Add to the receipt what was removed, unless the erasure was finished before."""
        with self._lock:
            receipt = self._receipts[digest]
            if receipt.checked_at is None:
                counts = {place: n + removed.get(place, 0) for place, n in receipt.removed.items()}
                self._receipts[digest] = replace(receipt, removed=counts)

    def drop_name(self, digest: bytes) -> None:
        """Keep nothing but the digest from now on."""
        pending, until = self._pending[digest]
        self._pending[digest] = (replace(pending, customer_id=None), until)

    def compact(self, pending: PendingErasure, *, unhurried: bool) -> bool:
        """Memory keeps no bytes of what was deleted."""
        kept, until = self._pending[pending.digest]
        self._pending[pending.digest] = (replace(kept, compacted=True), until)
        return True

    def finish(self, digest: bytes, now: datetime) -> None:
        """Note that everything was seen to be gone. The first such moment stays."""
        with self._lock:
            self._pending.pop(digest, None)
            receipt = self._receipts[digest]
            self._receipts[digest] = replace(receipt, checked_at=receipt.checked_at or now)

    def release(self, digest: bytes, until: datetime) -> None:
        """Let anybody go on with an unfinished erasure from that moment."""
        self._pending[digest] = (self._pending[digest][0], until)

    def claim(
        self, now: datetime, claimed_until: datetime, *, also_claimed: bool = False
    ) -> tuple[PendingErasure, ...]:
        """Take over unfinished erasures that nobody works on; `also_claimed` those of others too."""
        with self._lock:
            due = [one for one, until in self._pending.values() if also_claimed or until <= now]
            self._pending.update({one.digest: (one, claimed_until) for one in due})
        return tuple(due)

    def meant_by(self, digest: bytes) -> Callable[[str], bool]:
        """Tells whether an id is the one that the digest stands for."""
        return lambda customer_id: digest_of(_SALT, customer_id) == digest
