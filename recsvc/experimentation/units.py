"""By which id a customer is dealt to variants. In: links, as they come. Out: the unit and customer of an id.

Held in each process, so that no answer waits for the store: a link that another process made is known as soon
as this one has looked, which it does within a second.
"""

from __future__ import annotations

import threading
from typing import Protocol

from recsvc.domain.identities import IdentityChanges


class IdentityTail(Protocol):
    """Which ids belong to which customers, to follow."""

    def changes_after(self, sequence: int) -> IdentityChanges | None:
        """The links since a place in their order; None while nothing changed. Raises StoreError."""
        ...


class Units:
    """What is known of identities in this process. `refresh` moves it; everything else only reads."""

    def __init__(self, identities: IdentityTail) -> None:
        self._identities = identities
        self._sequence = 0
        self._owners: dict[str, str] = {}
        self._units: dict[str, str] = {}
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Look what was linked and removed since the last look. Raises StoreError: what is known stays."""
        with self._lock:
            changes = self._identities.changes_after(self._sequence)
            if changes is None:
                return
            owners = {} if changes.is_whole else self._owners
            units = {} if changes.is_whole else self._units
            for link in changes.links:
                units[link.customer_id] = link.unit
                owners[link.identity_id] = link.customer_id
            self._owners, self._units, self._sequence = owners, units, changes.sequence

    def canonical_of(self, customer_id: str) -> str:
        """The customer whose id it is; the id itself where it is nobody else's."""
        return self._owners.get(customer_id, customer_id)

    def unit_of(self, customer_id: str) -> str:
        """The id by which the customer is dealt to variants."""
        canonical_id = self._owners.get(customer_id, customer_id)
        return self._units.get(canonical_id, canonical_id)
