"""The portrait of a customer that training draws from their history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
