"""The terms that make an item an offer: whom it is for, how often, how much of it, what must be said.

`msgspec` reads and writes these values as JSON in files, in the store and in bundles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A text that must stand beside an offer, by locale, with its version."""

    id: str
    version: int
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TargetMarket:
    """Whom an offer is made for, or not to: the categories of ESMA's guidelines (ESMA35-43-3448).

    In a target market, a customer must be named by each list that is not empty, and what is not known of the
    customer is not named. In a negative one, a customer whom any list names is out. `knowledge`,
    `loss_capacity` and `objectives` are words of the house; a customer may have several objectives.
    `risk_tolerance` lists the highest risk classes that a customer may bear, `min_horizon_years` is how long
    the money must be able to stay: in a negative market, customers with less are out.
    """

    client_types: tuple[str, ...] = ()
    knowledge: tuple[str, ...] = ()
    loss_capacity: tuple[str, ...] = ()
    risk_tolerance: tuple[int, ...] = ()
    objectives: tuple[str, ...] = ()
    min_horizon_years: int | None = None

    def __post_init__(self) -> None:
        if any(not 0 <= risk_class <= 7 for risk_class in self.risk_tolerance):
            raise ValueError("risk_tolerance must hold risk classes, 0 to 7")


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many contacts of one customer with the offer in any window of `hours`, over all channels."""

    most: int
    hours: float

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError("most must be at least 1")
        if not 0 < self.hours <= 24 * 366:
            raise ValueError("hours must be above 0 and no more than 8784")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be spent on an offer, in the currency of its terms; each contact costs `unit_cost`.

    `daily` is what a day (UTC) may cost; None: whatever the pacing of the whole leaves for it.
    """

    total: Decimal
    unit_cost: Decimal
    daily: Decimal | None = None
    currency: str | None = None

    def __post_init__(self) -> None:
        if self.unit_cost <= 0:
            raise ValueError("unit_cost must be above 0")
        if self.total < self.unit_cost:
            raise ValueError("total must pay for one contact at least")
        if self.daily is not None and not self.unit_cost <= self.daily <= self.total:
            raise ValueError("daily must pay for one contact at least, and be no more than the whole")


@dataclass(frozen=True, slots=True)
class SuppressionTerms:
    """For how long an offer stays away after a customer's no; None is what the policy says."""

    dismissed_days: float | None = None
    rejected_days: float | None = None

    def __post_init__(self) -> None:
        for name in ("dismissed_days", "rejected_days"):
            days = getattr(self, name)
            if days is not None and not 0 < days <= 3_660:
                raise ValueError(f"{name} must be above 0 and at most 3660")


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """What makes an item an offer. `risk_class` is 0 (none) to 7 (PRIIPs summary risk indicator).

    `version` counts what compliance approved: the desk gives it, not the writer. `eligibility` is a rule as
    JSON (see `conditions`). `placements` and `jurisdictions` that are empty are all of them. `inventory` is
    how many contacts there may be in all. `decline_label` is what a button says, by locale.
    """

    value: Decimal = Decimal(0)
    currency: str = "EUR"
    priority: int = 0
    weight: float = 1.0
    risk_class: int = 0
    jurisdictions: tuple[str, ...] = ()
    exclusive_group: str | None = None
    disclosures: tuple[Disclosure, ...] = ()
    version: int = 1
    placements: tuple[str, ...] = ()
    target_market: TargetMarket | None = None
    negative_target_market: TargetMarket | None = None
    eligibility: Mapping[str, Any] | None = None
    caps: tuple[Cap, ...] = ()
    suppression: SuppressionTerms | None = None
    budget: Budget | None = None
    inventory: int | None = None
    decline_label: Mapping[str, str] | None = None

    @property
    def is_disclosed(self) -> bool:
        """Whether every text that must stand beside the offer is there."""
        return all(disclosure.text for disclosure in self.disclosures)

    def __post_init__(self) -> None:
        if not 0 <= self.risk_class <= 7:
            raise ValueError("risk_class must be 0 to 7")
        if self.inventory is not None and self.inventory < 0:
            raise ValueError("inventory must be 0 or more")
        if self.budget is not None and self.budget.currency not in (None, self.currency):
            raise ValueError(f"the budget must be in the currency of the terms, which is {self.currency}")
