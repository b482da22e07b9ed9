"""Customers: what they told us, what they agreed to, what they may be sold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from recsvc.domain.identifiers import check_identifier
from recsvc.domain.items import AttributeValue, Channel


@dataclass(frozen=True, slots=True)
class Consents:
    """What a customer agreed to. A channel that is not listed was not agreed to."""

    personalisation: bool = False
    marketing: tuple[Channel, ...] = ()


@dataclass(frozen=True, slots=True)
class Suitability:
    """The outcome of a suitability assessment. It binds until `expires_at`, and then says nothing.

    `knowledge`, `loss_capacity` and `objectives` are words of the house, those that target markets use.
    """

    client_type: str = "retail"
    max_risk_class: int = 0
    knowledge: str | None = None
    loss_capacity: str | None = None
    objectives: tuple[str, ...] = ()
    horizon_years: int | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_risk_class <= 7:
            raise ValueError("max_risk_class must be 0 to 7")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("expires_at must carry an offset from UTC, for example 2026-01-31T09:00:00Z")

    def limit_at(self, moment: datetime) -> int | None:
        """The highest risk class allowed at the moment; None once the assessment has expired."""
        if self.expires_at is not None and moment >= self.expires_at:
            return None
        return self.max_risk_class


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as recorded. `consents` and `suitability` are None while nobody has asked."""

    customer_id: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    locale: str | None = None
    consents: Consents | None = None
    suitability: Suitability | None = None

    def __post_init__(self) -> None:
        check_identifier(self.customer_id, "customer_id")
