"""Exposures: a customer was actually served a variant, and what became of the answers since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recsvc.domain.items import Channel


@dataclass(frozen=True, slots=True)
class Exposure:
    """A customer met a variant of an experiment's phase for the first time, at that moment on that channel.

    Answers are counted since then: of those, the ones from a rung below the customer's own lists, the ones
    from another model version than the assigned one, and how many microseconds all took together.
    """

    experiment: str
    phase: int
    customer_id: str
    variant: str
    exposed_at: datetime
    channel: Channel
    model_version: str | None
    n_answers: int = 1
    n_fallbacks: int = 0
    n_mismatched: int = 0
    latency_micros: int = 0
