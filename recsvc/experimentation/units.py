"""By which id a customer is dealt to variants. In: links, as they come. Out: the unit and customer of an id.

Held in each process, so that answers seldom wait for the store: a link that another process made is known as
soon as this one has looked, which it does within a second. Where processes share stamps, whoever links moves
one, and an answer that finds it moved looks first: the request that follows a login may come to any process,
and must not be dealt by another id there.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Protocol

import structlog

from recsvc.domain.identities import IdentityChanges
from recsvc.domain.slates import EpochStamp
from recsvc.errors import StoreError

log = structlog.get_logger()

_LINKS = "@links"  # No id holds the sign.
_PATIENCE_SECONDS = 0.1  # So long an answer waits for another that is looking.


class IdentityTail(Protocol):
    """Which ids belong to which customers, to follow."""

    def changes_after(self, sequence: int) -> IdentityChanges | None:
        """The links since a place in their order; None while nothing changed. Raises StoreError."""
        ...


class Stamps(Protocol):
    """Numbers that every process of the machine sees move."""

    def stamp(self, customer_id: str) -> EpochStamp:
        """What stands there now."""
        ...

    def is_current(self, stamp: EpochStamp) -> bool:
        """Whether it stands there still."""
        ...

    def move(self, customer_ids: Collection[str]) -> None:
        """Let something else stand there."""
        ...


class Units:
    """What is known of identities in this process. `refresh` moves it; everything else only reads."""

    def __init__(self, identities: IdentityTail, stamps: Stamps | None = None) -> None:
        """`stamps` None is for a process that shares none."""
        self._identities = identities
        self._stamps = stamps
        self._stamp = None if stamps is None else stamps.stamp(_LINKS)
        self._sequence = 0
        self._owners: dict[str, str] = {}
        self._units: dict[str, str] = {}
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Look what was linked and removed since the last look. Raises StoreError: what is known stays."""
        with self._lock:
            self._look()

    def tell(self) -> None:
        """Let every process of the machine look before its next answer: something was linked."""
        if self._stamps is not None:
            self._stamps.move((_LINKS,))
        self.refresh()

    @property
    def are_current(self) -> bool:
        """Whether nobody linked anything since this process last looked, as far as is known."""
        return self._stamps is None or not self._stamp or self._stamps.is_current(self._stamp)

    def canonical_of(self, customer_id: str) -> str:
        """The customer whose id it is; the id itself where it is nobody else's."""
        return self._owners.get(customer_id, customer_id)

    def unit_of(self, customer_id: str) -> str:
        """The id by which the customer is dealt to variants."""
        if self._stamps is not None and not self.are_current:
            self._look_before_an_answer(self._stamps)
        canonical_id = self._owners.get(customer_id, customer_id)
        return self._units.get(canonical_id, canonical_id)

    def _look_before_an_answer(self, stamps: Stamps) -> None:
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            return
        try:
            now = stamps.stamp(_LINKS)
            if now != self._stamp:
                # Before looking: what moves it from here on is looked at again. A store that fails is asked
                # by `refresh`, and not by every answer.
                self._stamp = now
                self._look()
        except StoreError as error:
            log.warning("links_unknown", reason=str(error))
        finally:
            self._lock.release()

    def _look(self) -> None:
        changes = self._identities.changes_after(self._sequence)
        if changes is None:
            return
        owners = {} if changes.is_whole else self._owners
        units = {} if changes.is_whole else self._units
        for link in changes.links:
            units[link.customer_id] = link.unit
            owners[link.identity_id] = link.customer_id
        self._owners, self._units, self._sequence = owners, units, changes.sequence
