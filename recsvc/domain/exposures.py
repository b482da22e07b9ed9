"""Exposures: a customer was actually served a variant, and what became of the answers since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
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

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What there is one exposure of: the experiment, its phase, the customer and the variant."""
        return self.experiment, self.phase, self.customer_id, self.variant

    def joined(self, other: Exposure) -> Exposure:
        """Both as one: the moment, the channel and the version of the earlier, and the answers of both."""
        return replace(
            other if other.exposed_at < self.exposed_at else self,
            n_answers=self.n_answers + other.n_answers,
            n_fallbacks=self.n_fallbacks + other.n_fallbacks,
            n_mismatched=self.n_mismatched + other.n_mismatched,
            latency_micros=self.latency_micros + other.latency_micros,
        )


def join_exposures(exposures: Iterable[Exposure]) -> list[Exposure]:
    """One of each key, by key."""
    by_key: dict[tuple[str, int, str, str], Exposure] = {}
    for one in exposures:
        kept = by_key.get(one.key)
        by_key[one.key] = one if kept is None else kept.joined(one)
    return [exposure for _, exposure in sorted(by_key.items())]
