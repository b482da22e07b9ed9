"""What a slate is made from, all of one moment. In: nothing. Out: one frozen `Basis`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from recsvc.policy import Policy
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.customers import Subject
from recsvc.serving.live_access import Live
from recsvc.serving.verification import Model


@dataclass(frozen=True, slots=True)
class Basis:
    """The customer, the model and the catalogue of a request, and the policy with its arm's levers.

    `live` is None where nothing live is known or may be used. `is_stale`: the store was not reached lately.
    """

    subject: Subject
    model: Model | None
    view: CatalogueView
    live: Live | None
    now: datetime
    policy: Policy
    is_stale: bool = False

    @property
    def model_version(self) -> str | None:
        """The version of the model; None where there is none."""
        return self.model.version if self.model else None

    @property
    def degraded(self) -> tuple[str, ...]:
        """The parts that could not be asked."""
        parts = [*self.subject.degraded]
        if self.model is None:
            parts.append("model")
        if self.is_stale and "store" not in parts:
            parts.append("store")
        return tuple(parts)

    @property
    def expires_at(self) -> datetime:
        """No slate outlives the validity of an item, nor that of a suitability assessment."""
        boundaries = (self.view.next_change(self.now), self.subject.suitability_ends)
        to_come = [moment for moment in boundaries if moment and moment > self.now]
        return min([self.now + timedelta(seconds=self.policy.serving.slate_ttl_seconds), *to_come])
