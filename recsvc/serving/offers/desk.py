"""Where offers are kept in versions. In: an offer or a move, and by whom. Out: what is stored of it now.

What may follow what is decided in the domain; the store holds the offer while it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from recsvc.domain.items import Item
from recsvc.domain.offer_life import (
    Approval,
    Change,
    PutMany,
    PutOffer,
    bring_in,
    move_version,
    put_offer,
    retire_offer,
)
from recsvc.domain.offer_versions import Move, OfferRecord, OfferVersion
from recsvc.domain.records import Versioned


class OfferStore(Protocol):
    """Keeps the versions of offers beside the items that are served."""

    def record(self, offer_id: str, *, standing: Item | None = None) -> OfferRecord:
        """The offer and every step of its versions. Raises StoreError."""
        ...

    def change(
        self,
        offer_id: str,
        decide: Callable[[OfferRecord], Change],
        *,
        expected: str | None,
        standing: Item | None = None,
    ) -> PutOffer:
        """Change the item, if it is the version `expected`, as is decided."""
        ...

    def change_version(
        self,
        offer_id: str,
        number: int,
        decide: Callable[[OfferRecord], Change],
        *,
        expected: str | None,
        standing: Item | None = None,
    ) -> Versioned[OfferVersion]:
        """Change the version, if it is as `expected`, as is decided."""
        ...

    def version(self, offer_id: str, number: int, *, standing: Item | None = None) -> Versioned[OfferVersion]:
        """The version with its etag. Raises NotFoundError, StoreError."""
        ...

    def put_many(
        self,
        changed: Sequence[Item],
        decide: Callable[[OfferRecord, Item], Change],
        *,
        standing: Callable[[str], Item | None] = ...,
    ) -> PutMany:
        """Create or replace the items, all or none: offers as is decided."""
        ...


class OfferDesk:
    """Keeps offers. `standing` is the offer that only the served bundle knows."""

    def __init__(
        self,
        store: OfferStore,
        *,
        standing: Callable[[str], Item | None],
        approval: Approval,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._standing = standing
        self._approval = approval
        self._clock = clock

    def put(self, offer: Item, *, expected: str | None, by: str) -> PutOffer:
        """Create the offer, or replace the version `expected` of the item ("*" is any).

        Raises:
            PreconditionRequiredError: there is an item, and `expected` is None.
            PreconditionFailedError: the item is another version, or gone.
            StoreError: nothing was changed.
        """
        decide = partial(put_offer, sent=offer, by=by, at=self._clock(), approval=self._approval)
        return self._store.change(
            offer.item_id, decide, expected=expected, standing=self._standing(offer.item_id)
        )

    def put_many(self, items: Sequence[Item], *, by: str) -> PutMany:
        """Create or replace all items or none, whatever their versions. Raises StoreError."""
        at = self._clock()

        def decide(record: OfferRecord, sent: Item) -> Change:
            return put_offer(record, sent, by=by, at=at, approval=self._approval)

        return self._store.put_many(items, decide, standing=self._standing)

    def retire(self, offer_id: str, *, expected: str | None, by: str) -> None:
        """Take the offer out of service for good. Raises as `put` does, and NotFoundError."""
        decide = partial(retire_offer, by=by, at=self._clock())
        self._store.change(offer_id, decide, expected=expected, standing=self._standing(offer_id))

    def versions(self, offer_id: str) -> tuple[OfferVersion, ...]:
        """Every version of the offer, in order; none where there is no such offer. Raises StoreError."""
        return self._store.record(offer_id, standing=self._standing(offer_id)).versions()

    def version(self, offer_id: str, number: int) -> Versioned[OfferVersion]:
        """The version with its etag. Raises NotFoundError, StoreError."""
        return self._store.version(offer_id, number, standing=self._standing(offer_id))

    def move(
        self, offer_id: str, number: int, move: Move, *, expected: str | None, by: str
    ) -> Versioned[OfferVersion]:
        """Lead the version to its next status, if it is as `expected`. Lists know it within a second.

        Raises:
            NotFoundError: there is no such version.
            PreconditionRequiredError: `expected` is None.
            PreconditionFailedError: the version has changed.
            ConflictError: its status does not allow the move.
            OwnApprovalError: whoever wrote it would approve it.
            StoreError: nothing was changed.
        """

        def decide(record: OfferRecord) -> Change:
            return move_version(record, number, move, by=by, at=self._clock())

        standing = self._standing(offer_id)
        return self._store.change_version(offer_id, number, decide, expected=expected, standing=standing)


def bring_items_in(store: OfferStore, items: Sequence[Item], *, at: datetime) -> PutMany:
    """Keep items that an operator brings from a file: their offers count as approved. Raises StoreError."""

    def decide(record: OfferRecord, sent: Item) -> Change:
        return bring_in(record, sent, at=at)

    return store.put_many(items, decide)
