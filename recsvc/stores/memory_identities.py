"""Identities in memory: for tests and trials. Same behaviour as the real store, nothing kept."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

from recsvc.domain.identities import (
    IdentityChanges,
    IdentityLink,
    Linked,
    check_linkable,
    check_owner,
    choose_unit,
)
from recsvc.stores.memory_exposures import MemoryExposures


class MemoryIdentities:
    """Which ids belong to which customers."""

    def __init__(self, exposures: MemoryExposures) -> None:
        self._exposures = exposures
        self._links: dict[str, tuple[IdentityLink, int]] = {}
        self._sequence = 0
        self._removed_at = 0
        self._lock = threading.Lock()

    def canonical(self, customer_id: str) -> str:
        """The customer whose id it is; the id itself where it is nobody else's."""
        known = self._links.get(customer_id)
        return customer_id if known is None else known[0].customer_id

    def of_customer(self, customer_id: str) -> tuple[IdentityLink, ...]:
        """The identities that belong to the customer, by id."""
        links = [link for link, _ in self._links.values() if link.customer_id == customer_id]
        return tuple(sorted(links, key=lambda link: link.identity_id))

    def changes_after(self, sequence: int) -> IdentityChanges | None:
        """The links since a place in their order; None while nothing changed."""
        with self._lock:
            if self._sequence <= sequence:
                return None
            is_whole = self._removed_at > sequence
            late = [link for _, (link, place) in sorted(self._links.items()) if is_whole or place > sequence]
            return IdentityChanges(self._sequence, tuple(late), is_whole)

    def link(self, customer_id: str, identity_id: str, *, now: datetime) -> Linked:
        """Let the identity belong to the customer. Raises as `SqlIdentities.link` does."""
        with self._lock:
            owner = self.canonical(customer_id)
            check_linkable(identity_id, owner)
            known = self._links.get(identity_id)
            if known is not None:
                check_owner(known[0], owner)
                return Linked(known[0], created=False)
            taken = self.of_customer(identity_id)
            unit = choose_unit(
                identity_id,
                owner,
                unit=next((link.unit for link in self.of_customer(owner)), None),
                is_exposed=bool(self._exposures.of_customer(owner)),
                unit_of_identity=next((link.unit for link in taken), None),
            )
            self._sequence += 1
            new = IdentityLink(identity_id, owner, unit, now.astimezone(UTC))
            for link in (new, *(replace(link, customer_id=owner, unit=unit) for link in taken)):
                self._links[link.identity_id] = (link, self._sequence)
        return Linked(new, created=True)

    def remove(self, customer_id: str) -> int:
        """Remove every trace of an id: as an identity, as an owner, as a unit. How many links are gone."""
        with self._lock:
            links = [link for link, _ in self._links.values()]
            gone = [link for link in links if customer_id in (link.identity_id, link.customer_id)]
            bereft = [link for link in links if link.unit == customer_id and link not in gone]
            if gone or bereft:
                self._sequence += 1
                self._removed_at = self._sequence
            for link in gone:
                del self._links[link.identity_id]
            for link in bereft:
                self._links[link.identity_id] = (replace(link, unit=link.customer_id), self._sequence)
        return len(gone)
