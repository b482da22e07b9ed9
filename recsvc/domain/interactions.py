"""Interactions: clean facts of what a customer did, and how they fade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from recsvc.domain.items import Channel

IMPRESSION = "impression"
NOT_INTERESTED = "not_interested"
COMPLAINT = "complaint"
UNSUBSCRIBE = "unsubscribe"
# What a customer asked us to stop: it holds however old it is, so stores keep it quick to find.
STANDING_TYPES = frozenset({"dismiss", "reject", NOT_INTERESTED, COMPLAINT, UNSUBSCRIBE})


class Interaction(msgspec.Struct, frozen=True):
    """A customer did `type` (one of the policy's interaction types) to an item, at a time.

    `item_id` is None where the type is not about an item (a survey, a complaint). `value` is money;
    `properties` hold what JSON can, on a few levels.
    """

    event_id: str
    type: str
    customer_id: str
    item_id: str | None
    occurred_at: datetime
    channel: Channel | None = None
    slate_id: str | None = None
    position: int | None = None
    placement: str | None = None
    value: Decimal | None = None
    currency: str | None = None
    quantity: int | None = None
    score: float | None = None
    scale: float | None = None
    properties: Mapping[str, Any] = {}


class Deed(msgspec.Struct, frozen=True):
    """What an interaction says of a customer's taste and money; a list is made from hundreds of these."""

    type: str
    item_id: str | None
    occurred_at: datetime
    channel: Channel | None
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Known:
    """What a store knows of one customer, oldest first.

    `late_ids` names the events that occurred before the moment asked for and came in after it.
    """

    interactions: tuple[Interaction, ...] = ()
    late_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TailEvent:
    """What counts of an event for what is live, and its place in the order in which events were stored."""

    sequence: int
    customer_id: str
    item_id: str | None
    type: str
    occurred_at: datetime
    received_at: datetime


def decay_weight(age_days: float, half_life_days: float) -> float:
    """What is left of an interaction's strength after `age_days`: 0.5 ** (age / half-life), at most 1."""
    return float(0.5 ** (max(age_days, 0.0) / half_life_days))
