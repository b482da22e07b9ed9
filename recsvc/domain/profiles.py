"""What is known of a customer, for people to read: a `Portrait` of figures that explain themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FigureValue = float | int | str | Mapping[str, float] | None


class Lifecycle(StrEnum):
    """Where a customer stands, by their own rhythm of visits; the rule is in `domain.rhythm`."""

    NEW = "new"
    ACTIVE = "active"
    AT_RISK = "at_risk"
    DORMANT = "dormant"
    CHURNED = "churned"


class Journey(StrEnum):
    """The furthest that a customer went; the rule is in `domain.portraying`."""

    ATTENTION = "attention"
    INTEREST = "interest"
    CONTACT = "contact"
    IMPRESSION = "impression"
    ENGAGEMENT = "engagement"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with all that is needed to read it.

    `value` is None where the figure cannot be given, and `reason` then says why. `window_days` is how far
    back it looks from `as_of`; None: the whole history.
    """

    value: FigureValue
    unit: str
    meaning: str
    window_days: float | None
    as_of: datetime | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Portrait:
    """What is known of one customer as of a moment.

    `source` is "events" where it was drawn from the customer's stored history, "bundle" where only what
    training kept is known. `segment` is the one whose popularity serves the customer, the first that
    fits; `segments` are all that fit.
    """

    customer_id: str
    as_of: datetime
    source: str
    model_version: str | None
    segment: str
    segments: tuple[str, ...]
    recency_days: Figure
    frequency: Figure
    monetary_value: Figure
    recency_score: Figure
    frequency_score: Figure
    monetary_score: Figure
    lifecycle: Figure
    p_alive: Figure
    expected_purchases: Figure
    category_affinity: Figure
    tag_affinity: Figure
    channels: Figure
    hours: Figure
    journey: Figure
    nps: Figure
    csat: Figure
    ces: Figure


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """What a history says of a customer, as of the end of the training window.

    `recency_days` is the time since the last interaction, `frequency` the number of interactions with
    positive strength, `monetary_value` the sum of their values; affinities and channel shares each sum to 1
    over what is known.
    """

    customer_id: str
    recency_days: float
    frequency: int
    monetary_value: float
    category_affinity: Mapping[str, float]
    channel_share: Mapping[str, float]
    segment: str
