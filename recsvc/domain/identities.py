"""Which ids are one customer. In: the id that a customer had before we knew them. Out: whose it is, the unit.

Who comes without a name is dealt to a variant under a nameless id, and must keep the variant after the login.
So the customer is dealt by one id for good, the unit: the nameless one, where the customer's own id has met
no experiment before it, else the customer's own. Whoever met two variants all the same is a crossover.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recsvc.errors import ConflictError


@dataclass(frozen=True, slots=True)
class IdentityLink:
    """An id that belongs to a customer. `customer_id` is never itself an identity of somebody.

    `unit`, by which the customer is dealt to variants, is the same in all links of a customer.
    """

    identity_id: str
    customer_id: str
    unit: str
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class Linked:
    """What linking did: the link as it is kept, and whether it is new."""

    link: IdentityLink
    created: bool


@dataclass(frozen=True, slots=True)
class IdentityChanges:
    """The links since a place in the order of changes; `sequence` is the last such place.

    Where links were removed since, `is_whole` says that these are all there are.
    """

    sequence: int
    links: tuple[IdentityLink, ...]
    is_whole: bool


def check_linkable(identity_id: str, canonical_id: str) -> None:
    """Raises ConflictError where the customer would be an identity of their own."""
    if identity_id == canonical_id:
        raise ConflictError("the identity is the customer's own id: link an id that they had before")


def check_owner(link: IdentityLink, canonical_id: str) -> None:
    """Raises ConflictError where the identity is another customer's."""
    if link.customer_id != canonical_id:
        raise ConflictError(
            "the identity belongs to another customer: "
            "give whoever comes without a name a new id after a logout"
        )


def choose_unit(
    identity_id: str,
    canonical_id: str,
    *,
    unit: str | None,
    is_exposed: bool,
    unit_of_identity: str | None,
) -> str:
    """The unit of a customer who gets an identity.

    `unit` is the one that they have by earlier links, `is_exposed` whether their own id met any experiment,
    `unit_of_identity` the one that the identity has by links of its own.
    """
    if unit is not None:
        return unit
    if is_exposed:
        return canonical_id
    return unit_of_identity or identity_id
