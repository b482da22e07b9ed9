"""A slate: the ordered list that answers one request, and the request itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.merchandising import RuleAction


class Source(StrEnum):
    """The rung of the fallback ladder that answered, highest first."""

    PERSONALISED = "personalised"
    FOLDED_IN = "folded_in"
    SEGMENT_POPULAR = "segment_popular"
    POPULAR = "popular"
    EDITORIAL = "editorial"


@dataclass(frozen=True, slots=True)
class Arm:
    """The variant of an experiment's phase that a customer is in, and what its lists are made by.

    `model_version` None is whatever the champion is. `levers` are fields of the lists policy with other
    values, by name.
    """

    experiment: str
    phase: int
    variant: str
    model_version: str | None = None
    levers: tuple[tuple[str, float], ...] = ()


ANONYMOUS = ""
"""Whoever is known by nothing but what they did in this session. No customer has this id."""


class SlateRequest(msgspec.Struct, frozen=True, cache_hash=True):
    """What a front end asks for. `locale` None means the customer's own.

    `arm` is where an experiment put the customer; None for one whom no experiment decides on.
    """

    kind: ItemKind
    customer_id: str
    limit: int = 10
    channel: Channel = Channel.WEB
    placement: str = "default"
    locale: str | None = None
    categories: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    diversity: float = 0.0
    explain: bool = False
    arm: Arm | None = None


class Reason(msgspec.Struct, frozen=True):
    """Why an item is on a slate: a code, a text for the customer, and the history items behind it."""

    code: str
    text: str
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """A merchandising rule that moved an item to where it stands."""

    rule_id: str
    action: RuleAction


class Priority(msgspec.Struct, frozen=True):
    """What an offer's place was computed from: the product of the four."""

    propensity: float
    context: float
    value: float
    lever: float


@dataclass(frozen=True, slots=True)
class ShownDisclosure:
    """A disclosure in the locale of the slate."""

    id: str
    version: int
    text: str


class SlateItem(msgspec.Struct, frozen=True):
    """One item at its 1-based position.

    `propensity` is the probability that this policy put this item at this position: 1 for a
    deterministic list, None where it cannot be computed. `rules` is empty where nobody's hand moved the item.
    """

    item_id: str
    position: int
    score: float
    title: str | None
    category: str | None
    url: str | None
    reason: Reason | None
    propensity: float | None
    explored: bool = False
    rules: tuple[AppliedRule, ...] = ()


class OfferItem(SlateItem, frozen=True):
    """An offer at its position. `priority` is None where it was ranked by its score alone."""

    priority: Priority | None = None
    disclosures: tuple[ShownDisclosure, ...] = ()
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Slate:
    """The answer to one request. `degraded` names the parts that could not be asked.

    `customer_id` is None for an anonymous visitor.
    """

    slate_id: str
    customer_id: str | None
    kind: ItemKind
    channel: Channel
    placement: str
    locale: str
    items: tuple[SlateItem, ...]
    source: Source
    model_version: str | None
    policy_version: str
    generated_at: datetime
    expires_at: datetime
    experiment: Mapping[str, str] | None = None
    degraded: tuple[str, ...] = ()


class SlateKey(msgspec.Struct, frozen=True):
    """Where a slate is cached: whose it is, and everything else that it depends on."""

    customer_id: str
    variation: str


class Fetched(msgspec.Struct, frozen=True):
    """What one round trip to the slate cache brings: the customer's epoch, and a slate made in it.

    Epochs are compared for equality only: a later one need not be the larger number.
    """

    epoch: int
    value: bytes | None


class EpochStamp(NamedTuple):
    """What a slate is known by from the moment when it was begun: numbers that are other once it is outdated.

    `place` is where the customer's number stands; `everybody` is the number that outdates all.
    """

    place: int
    own: int
    everybody: int
