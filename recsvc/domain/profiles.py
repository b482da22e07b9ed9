"""What a history says of a customer: a `CustomerProfile` for rules, a `Portrait` for people to read.

The rules are elsewhere: `rhythm` (lifecycle), `rfm` (scores), `lifetime` (purchases to come), `portraying`
(everything else, and how a profile becomes a portrait).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from recsvc.domain.lifetime import Lifetime, Purchases
from recsvc.domain.rfm import Edges

Source = Literal["events", "bundle", "nothing"]
FigureValue = float | int | str | Mapping[str, float] | None


class Lifecycle(StrEnum):
    """Where a customer stands, by their own rhythm of visits."""

    NEW = "new"
    ACTIVE = "active"
    AT_RISK = "at_risk"
    DORMANT = "dormant"
    CHURNED = "churned"


class Journey(StrEnum):
    """The furthest that a customer went lately, in this order; the policy says which types show what.

    attention: was shown something, or waved it away. interest: opened it. contact: dealt with us, in a
    payment, an answer or a complaint. impression: thought so much of it as to like, keep or share it.
    engagement: accepted, bought or redeemed.
    """

    ATTENTION = "attention"
    INTEREST = "interest"
    CONTACT = "contact"
    IMPRESSION = "impression"
    ENGAGEMENT = "engagement"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with all that is needed to read it.

    `value` is None where the figure cannot be given, and `reason` then says why. `window_days` is how far
    back it looks from `as_of`; None: over the whole history.
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
    training kept is known, "nothing" where there is neither. `segment` is the one whose popularity serves
    the customer: the first that fits, by the profile as it was trained. `segments` are all that fit by this
    portrait, those of the policy first, then the built-in ones.
    """

    customer_id: str
    as_of: datetime
    source: Source
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
class Population:
    """What a single customer is measured by: the customers of one bundle, as of the end of its window.

    `since` is the beginning of the window, `gap_days` the usual gap between visits.
    `recency_edges` score the days since the last interaction, negated, so that what is recent scores high.
    `lifetime` is None where the history does not tell, and `lifetime_reason` says why.
    """

    n_customers: int
    since: datetime | None
    gap_days: float
    recency_edges: Edges
    frequency_edges: Edges
    monetary_edges: Edges
    lifetime: Lifetime | None
    lifetime_reason: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A customer's answer to a survey. `scale` is the highest score that could be given."""

    score: float
    scale: float | None
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class CustomerProfile:
    """What a history says of a customer as of a moment; None where it has no times.

    `recency_days` is the time since the last interaction of positive strength (None: there is none),
    `frequency` the number of them, `monetary_value` the sum of their values; affinities and shares go by
    decayed strength, and each sums to 1 over what is known. None is what is not known: a bundle does not
    keep tags, hours, currencies and answers.
    """

    customer_id: str
    as_of: datetime | None
    recency_days: float | None
    frequency: int
    monetary_value: float
    category_affinity: Mapping[str, float]
    channel_share: Mapping[str, float]
    recency_score: int | None = None
    frequency_score: int | None = None
    monetary_score: int | None = None
    lifecycle: Lifecycle | None = None
    journey: Journey | None = None
    purchases: Purchases | None = None
    tag_affinity: Mapping[str, float] | None = None
    hour_share: Mapping[str, float] | None = None
    currencies: tuple[str, ...] | None = None
    answers: Mapping[str, Answer] | None = None
    segment: str | None = None

    def fields(self) -> Mapping[str, object]:
        """What the segments of the policy may ask; what is not known is left out."""
        fields = {
            "lifecycle": self.lifecycle and self.lifecycle.value,
            "journey": self.journey and self.journey.value,
            "recency_days": self.recency_days,
            "frequency": self.frequency,
            "monetary_value": self.monetary_value,
            "recency_score": self.recency_score,
            "frequency_score": self.frequency_score,
            "monetary_score": self.monetary_score,
            "top_category": first_of(self.category_affinity),
            "top_channel": first_of(self.channel_share),
        }
        return {name: value for name, value in fields.items() if value is not None}


def first_of(shares: Mapping[str, float]) -> str | None:
    """What has the largest share; of equals the first by name. None where nothing has one."""
    return min(shares, key=lambda name: (-shares[name], name)) if shares else None
