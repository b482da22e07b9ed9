"""Give customers what is held about them, and forget it. In: a customer id. Out: a receipt, or a document.

An erasure begins in the store: tombstone and deletion in one transaction. From then on nothing from before
counts anywhere. What lies outside the store follows at once where it can, else as soon as it can: a worker
calls `finish_pending` again and again, and what a killed worker left is finished by the next that starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

import msgspec
import structlog

from recsvc.domain.customers import Customer
from recsvc.domain.decisions import Decision
from recsvc.domain.exposures import Exposure
from recsvc.domain.identities import IdentityLink
from recsvc.domain.interactions import Interaction
from recsvc.domain.records import ErasureReceipt, PendingErasure, Versioned
from recsvc.errors import RedisError, StoreError

log = structlog.get_logger()

_CLAIM = timedelta(seconds=60)  # Longer than it takes to finish: until then no other worker tries.
_SOON = timedelta(seconds=1)  # How soon to ask Redis again.
_PAUSE = timedelta(seconds=10)  # How soon to try again what the store could not do.
_PIECE = 500  # Events per piece of an export.


class Erasures(Protocol):
    """Who is to be forgotten, and how far that is. Everything raises StoreError."""

    def begin(
        self,
        customer_id: str,
        *,
        receipt_id: str,
        now: datetime,
        claimed_until: datetime,
        removed: Mapping[str, int],
    ) -> PendingErasure:
        """Set the tombstone and delete what the store holds."""
        ...

    def receipt(self, digest: bytes) -> ErasureReceipt:
        """The receipt as it stands."""
        ...

    def count(self, digest: bytes, removed: Mapping[str, int]) -> None:
        """Add to the receipt."""
        ...

    def drop_name(self, digest: bytes) -> None:
        """Keep nothing but the digest."""
        ...

    def compact(self, pending: PendingErasure, *, unhurried: bool) -> bool:
        """Overwrite the bytes of what was deleted; whether none are left."""
        ...

    def finish(self, digest: bytes, now: datetime) -> None:
        """Note that everything was seen to be gone."""
        ...

    def release(self, digest: bytes, until: datetime) -> None:
        """Let anybody go on from that moment."""
        ...

    def claim(
        self, now: datetime, claimed_until: datetime, *, also_claimed: bool = False
    ) -> tuple[PendingErasure, ...]:
        """Take over what is unfinished."""
        ...

    def meant_by(self, digest: bytes) -> Callable[[str], bool]:
        """Tells whether an id is the one that the digest stands for."""
        ...


class Traces(Protocol):
    """What Redis holds of customers. Everything raises RedisError."""

    def forget(self, customer_id: str) -> int:
        """Remove every key of the customer; how many slates there were."""
        ...

    def forget_where(self, is_meant: Callable[[str], bool]) -> int:
        """Remove every key of the customers who are meant; how many slates there were."""
        ...


class Rejects(Protocol):
    """What imports could not use."""

    def forget(self, customer_id: str) -> int:
        """Remove what mentions the customer; how many rows. Raises StoreError."""
        ...


class Records(Protocol):
    """What is recorded about customers."""

    def get(self, customer_id: str) -> Versioned[Customer] | None:
        """The record. Raises StoreError."""
        ...


class Events(Protocol):
    """What customers did."""

    def of_customer(self, customer_id: str) -> Iterator[Interaction]:
        """Every interaction of the customer, oldest first. Raises StoreError."""
        ...


class Exposures(Protocol):
    """Which variants of experiments customers met."""

    def of_customer(self, customer_id: str) -> tuple[Exposure, ...]:
        """Every exposure of the customer. Raises StoreError."""
        ...


class Identities(Protocol):
    """Which other ids are the customer's."""

    def of_customer(self, customer_id: str) -> tuple[IdentityLink, ...]:
        """The identities that belong to the customer. Raises StoreError."""
        ...


class Decisions(Protocol):
    """Remembers what offers were decided on."""

    def every_of(self, customer_id: str) -> Iterator[Decision]:
        """Every decision for the customer, latest first. Raises StoreError."""
        ...


class PrivacyDesk:
    """Erases and exports.

    `rows_in_model` counts the rows of the served model that a tombstone neutralises; `portrait` draws the
    customer, or answers None; `forget_live` ends what is live in this worker, as others do when they find
    the tombstone.
    """

    def __init__(
        self,
        erasures: Erasures,
        traces: Traces,
        rejects: Rejects,
        records: Records,
        events: Events,
        exposures: Exposures,
        identities: Identities,
        decisions: Decisions,
        *,
        rows_in_model: Callable[[str], int],
        portrait: Callable[[str], object | None],
        forget_live: Callable[[str], None],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._erasures = erasures
        self._traces = traces
        self._rejects = rejects
        self._records = records
        self._events = events
        self._exposures = exposures
        self._identities = identities
        self._decisions = decisions
        self._rows_in_model = rows_in_model
        self._portrait = portrait
        self._forget_live = forget_live
        self._clock = clock
        self._new_id = new_id
        self._is_first_look = True

    def erase(self, customer_id: str) -> ErasureReceipt:
        """Forget the customer, and before that every id that belongs to them. Twice is the same answer.

        The receipt counts what all of them held; each other id has a tombstone of its own. `checked_at` is
        None while something remains to be done, which then is done soon. Raises StoreError: the customer is
        still there, though not every id that belonged to them may be.
        """
        owned = [self._begin(link.identity_id) for link in self._identities.of_customer(customer_id)]
        pending = self._begin(customer_id)
        for one in owned:
            self._go_on(one, unhurried=False)
            self._erasures.count(pending.digest, self._erasures.receipt(one.digest).removed)
        self._go_on(pending, unhurried=False)
        return self._erasures.receipt(pending.digest)

    def _begin(self, customer_id: str) -> PendingErasure:
        now = self._clock()
        pending = self._erasures.begin(
            customer_id,
            receipt_id=self._new_id(),
            now=now,
            claimed_until=now + _CLAIM,
            removed={"bundles": self._rows_in_model(customer_id)},
        )
        self._forget_live(customer_id)
        return pending

    def finish_pending(self) -> None:
        """Go on with what is unfinished and nobody works on. A worker does this again and again.

        The first time, what others work on is taken over too: whoever claimed it may have been killed.
        Everything that is done twice comes out as if it was done once. Raises StoreError.
        """
        now = self._clock()
        pending = self._erasures.claim(now, now + _CLAIM, also_claimed=self._is_first_look)
        self._is_first_look = False
        for one in pending:
            self._go_on(one, unhurried=True)

    def export(self, customer_id: str) -> Iterator[bytes]:
        """Everything that is held about the customer as one JSON document, piece by piece.

        It is the same in shape for a customer of whom nothing is known. Raises StoreError.
        """
        kept = self._records.get(customer_id)
        record = kept.value if kept else None
        head = {
            "customer_id": customer_id,
            "exported_at": self._clock(),
            "record": record,
            "record_written_at": kept.written_at if kept else None,
            "consents": record.consents if record else None,
            "portrait": self._portrait(customer_id),
            "identities": self._identities.of_customer(customer_id),
            "exposures": self._exposures.of_customer(customer_id),
        }
        decisions = (one.told() for one in self._decisions.every_of(customer_id))
        return _document(head, {"events": self._events.of_customer(customer_id), "decisions": decisions})

    def _go_on(self, pending: PendingErasure, *, unhurried: bool) -> None:
        """Do what is left, as far as it can be done now."""
        try:
            swept = self._sweep(pending)  # At once: a slate from before must not be served again.
            if pending.customer_id is not None:
                self._erasures.count(pending.digest, {"rejects": self._rejects.forget(pending.customer_id)})
                self._erasures.drop_name(pending.digest)
            compacted = pending.compacted or self._erasures.compact(pending, unhurried=unhurried)
            # Again: a slate that was being made meanwhile may have been kept after the first time.
            swept = swept and self._sweep(pending)
            now = self._clock()
            if swept and compacted:
                self._erasures.finish(pending.digest, now)
            else:
                tried_hard = unhurried and not compacted
                self._erasures.release(pending.digest, now + (_PAUSE if tried_hard else _SOON))
        except StoreError as error:
            log.warning("erasure_unfinished", reason=str(error))

    def _sweep(self, pending: PendingErasure) -> bool:
        """Remove what Redis holds; whether it answered."""
        try:
            n_slates = (
                self._traces.forget_where(self._erasures.meant_by(pending.digest))
                if pending.customer_id is None
                else self._traces.forget(pending.customer_id)
            )
        except RedisError as error:
            log.warning("erasure_waits_for_redis", reason=str(error))
            return False
        if n_slates:
            self._erasures.count(pending.digest, {"slates": n_slates})
        return True


def _document(head: Mapping[str, object], lists: Mapping[str, Iterator[object]]) -> Iterator[bytes]:
    yield msgspec.json.encode(head)[:-1]
    for name, values in lists.items():
        before = b',"' + name.encode() + b'":['
        yield before
        before = b""
        while batch := list(islice(values, _PIECE)):
            yield before + b",".join(map(msgspec.json.encode, batch))
            before = b","
        yield b"]"
    yield b"}"
