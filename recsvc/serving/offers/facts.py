"""What an offer decision stands on. In: a subject, a request, proposals. Out: one frozen `Facts`, JSON-able.

The log keeps these values, and the same decision follows from them, the offers and the policy at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from recsvc.domain.conditions import Fact
from recsvc.domain.contacts import Shortage
from recsvc.domain.items import Channel
from recsvc.domain.slates import AppliedRule, Reason, Source
from recsvc.policy_lists import ListsPolicy
from recsvc.serving.objections import Refusal


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """The customer as gates may know them.

    `client_type` is retail where nothing is known; the outcome of an assessment that has expired is not
    known. `fields` are what eligibility rules ask for. `refusals` are the offers whose last word was a no,
    `used` those that were used and may not be met again.
    """

    customer_id: str
    may_market: bool
    country: str | None = None
    client_type: str = "retail"
    risk_limit: int | None = None
    knowledge: str | None = None
    loss_capacity: str | None = None
    objectives: tuple[str, ...] = ()
    horizon_years: int | None = None
    fields: Mapping[str, Fact] = field(default_factory=dict)
    held_back: tuple[str, ...] = ()
    refusals: Mapping[str, tuple[Refusal, ...]] = field(default_factory=dict)
    used: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListFacts:
    """The list that is asked for. `locale` is that of the slate."""

    limit: int
    channel: Channel
    placement: str
    locale: str
    categories: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    diversity: float = 0.0
    explain: bool = False


@dataclass(frozen=True, slots=True)
class MarketersFacts:
    """What marketers' rules that are on say of offers, by offer id.

    `blocked` names the rule, `factors` what boosts and buries multiply to, `applied` the rules that weigh
    or pin an offer, `pins` the positions, in their order.
    """

    blocked: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    applied: Mapping[str, tuple[AppliedRule, ...]] = field(default_factory=dict)
    pins: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Proposals:
    """Offers as the rungs of the ladder propose them, best first: a value each.

    `weariness` is what is left of an offer's relevance after what was shown lately and turned down, 0 to 1.
    `propensity` is that of the propensity model; None for an offer that it was not asked about. `evidence` is
    of how many contacts it is known.
    """

    offer_ids: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    scores: tuple[float, ...] = ()
    weariness: tuple[float, ...] = ()
    propensity: tuple[float | None, ...] = ()
    evidence: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.offer_ids)


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What the answer says beside the decision: a reason for each of the chosen, its end, what was
    missing."""

    reasons: tuple[Reason, ...]
    expires_at: datetime
    degraded: tuple[str, ...]


class Facts(msgspec.Struct, frozen=True):
    """Everything that a decision stands on beside the offers and the policy.

    `elsewhere` are offers that other placements of the page show, `alike` those that are one with an article
    beside the list, `beside` the categories of the articles there. `shortages` are of the offers that have no
    contact left. `reserved`, where it is not None, are all that may still be chosen. `mix` is the share of
    each category in the customer's history; `lists` the policy of lists with the levers of an experiment's
    arm. `answer` is None until the list stands.
    """

    decision_id: str
    now: datetime
    customer: CustomerFacts
    asked: ListFacts
    lists: ListsPolicy
    policy_version: str
    marketers: MarketersFacts = MarketersFacts()
    proposals: Proposals = Proposals()
    mix: Mapping[str, float] = {}
    elsewhere: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    shortages: Mapping[str, Shortage] = {}
    reserved: tuple[str, ...] | None = None
    seed: int = 0
    profile_version: str | None = None
    model_version: str | None = None
    experiment: str | None = None
    variant: str | None = None
    answer: AnswerFacts | None = None
