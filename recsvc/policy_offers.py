"""What the business decides about offers. In: `[offers]` of the policy. Out: values.

Every field has a default, so that a policy from before there were any goes on working.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class BanPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the law forbids; nothing overrides it. An empty list names all, and a ban must name something.

    Offers: those of the categories, and of a risk class of `min_risk_class` at least. Customers: those of the
    countries and client types.
    """

    name: str
    countries: tuple[str, ...] = ()
    client_types: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    min_risk_class: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a ban must have a name")
        if not (self.countries or self.client_types or self.categories or self.min_risk_class):
            raise ValueError(f"the ban {self.name} names nothing, which would forbid every offer")


class ContactCapPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many contacts of one customer in any window of `hours`, over all offers.

    `channels` that are empty are all of them together. `content` says whether content counts too.
    """

    name: str
    most: int
    hours: float
    channels: tuple[str, ...] = ()
    content: bool = False

    def __post_init__(self) -> None:
        if self.most < 1 or not 0 < self.hours <= 24 * 366:
            raise ValueError(f"the cap {self.name} must have most of at least 1 and hours of up to 8784")


class PairPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Offers of these categories do not stand beside content of those on one page."""

    content: tuple[str, ...]
    offers: tuple[str, ...]


class PropensityPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the propensity model learns from. `domain.propensity` says how.

    A sending is an interaction of a `sent` type with an offer; further ones of the same offer within
    `same_sending_hours` are part of it. It is responded to by the first interaction of a `responded` type
    with the offer within the days that its `duration_attribute` names, else `within_days`. The
    `threshold_attribute` of an offer is the money that a customer must spend to earn it, where it has one.
    Nothing older than `history_days` counts. With fewer than `least_sendings`, or fewer than
    `least_responses` of either outcome, no model is made.
    """

    sent: tuple[str, ...] = ("impression",)
    viewed: tuple[str, ...] = ("view", "dwell", "click")
    responded: tuple[str, ...] = ("accept", "redeem", "convert", "purchase")
    within_days: float = 30.0
    same_sending_hours: float = 24.0
    history_days: float = 365.0
    duration_attribute: str = "duration_days"
    threshold_attribute: str = "difficulty"
    least_sendings: int = 1_000
    least_responses: int = 100

    def __post_init__(self) -> None:
        if not (self.sent and self.responded):
            raise ValueError("sent and responded of propensity must each name an interaction type")
        for name in ("within_days", "history_days"):
            if not 0 < getattr(self, name) <= 3_660:
                raise ValueError(f"{name} of propensity must be above 0 and at most 3660")
        if not 0 <= self.same_sending_hours <= 24 * 366:
            raise ValueError("same_sending_hours must be 0 to 8784")
        if self.least_sendings < 100 or self.least_responses < 10:
            raise ValueError("least_sendings must be at least 100, least_responses at least 10")

    @property
    def types(self) -> frozenset[str]:
        """The interaction types that say anything here, but for purchases."""
        return frozenset((*self.sent, *self.viewed, *self.responded))


class OffersPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How offers are decided on. `serving.offers` says how."""

    approval: Literal["required", "none"] = "required"
    """Whether somebody else than its writer must approve an offer that compliance answers for."""
    country_attribute: str = "country"
    attributes: dict[str, Literal["text", "number", "boolean"]] = {}
    """The attributes of customers that eligibility rules may ask for, and what they hold."""
    currency: str = "EUR"
    """What values are compared in."""
    rates: dict[str, float] = {}
    """What one unit of another currency is worth in that one."""
    bans: tuple[BanPolicy, ...] = ()
    dismissed_days: float = 90.0
    rejected_days: float = 180.0
    contact_caps: tuple[ContactCapPolicy, ...] = ()
    shown_within_minutes: float = 30.0
    """A reservation of an offer that was not shown (no impression) comes back after this."""
    pacing: Literal["even", "none"] = "even"
    exploration: float = 0.0
    """The least share of a first place that any survivor has; 0: no exploration."""
    disclosure_fallback: bool = False
    """Whether a disclosure may stand in another locale than the slate's."""
    pairs: tuple[PairPolicy, ...] = ()
    decisions_at_erasure: Literal["keep", "pseudonymise"] = "pseudonymise"
    propensity: PropensityPolicy = PropensityPolicy()

    def __post_init__(self) -> None:
        for name in ("dismissed_days", "rejected_days", "shown_within_minutes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if any(rate <= 0 for rate in self.rates.values()):
            raise ValueError("rates must be above 0")
        if not 0 <= self.exploration <= 0.2:
            raise ValueError("exploration must be 0 to 0.2")

    def rate_of(self, currency: str) -> float:
        """What one unit of the currency is worth in the policy's; 0 where nobody said."""
        return 1.0 if currency == self.currency else self.rates.get(currency, 0.0)
