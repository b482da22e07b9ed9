"""What may be known of a customer when an offer is sent. In: attributes and interactions. Out: facts.

Training and serving both gather here, so that a model is asked about what it has learned from. Only what
occurred before the moment counts: what happened at the very moment has no order beside the sending.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from recsvc.domain.interactions import Deed, Interaction
from recsvc.domain.items import AttributeValue, Channel, Item, ItemKind
from recsvc.policy_offers import PropensityPolicy

MAX_KNOWN = 300
"""Of the interactions that count, a customer's latest so many are looked at."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PropensityRules:
    """What the policy said at training: the types of sendings and responses, and those of purchases."""

    offers: PropensityPolicy
    purchases: tuple[str, ...]

    @property
    def types(self) -> frozenset[str]:
        """The interaction types that say anything for a propensity."""
        return self.offers.types | frozenset(self.purchases)


@dataclass(frozen=True, slots=True)
class KnownOffer:
    """What a history needs of an offer: its category, and for how many days a response to it counts."""

    category: str | None
    window_days: float


class Sending(msgspec.Struct, frozen=True):
    """An offer that reached a customer, and what became of it within its window; None: nothing."""

    item_id: str
    category: str | None
    sent_at: datetime
    channel: Channel | None
    ends_at: datetime
    viewed_at: datetime | None = None
    responded_at: datetime | None = None

    def is_open_at(self, moment: datetime) -> bool:
        """Whether a response still counts, and none has come."""
        return self.responded_at is None and moment < self.ends_at


@dataclass(frozen=True, slots=True)
class PropensityFacts:
    """A customer at a moment. Purchases, oldest first: days before it, and money where it is known.

    `observed_days` is for how long purchases would have been seen.
    """

    as_of: datetime
    attributes: Mapping[str, AttributeValue]
    observed_days: float
    purchase_days: tuple[float, ...] = ()
    purchase_amounts: tuple[float | None, ...] = ()
    sendings: tuple[Sending, ...] = ()


def known_offers(items: Iterable[Item], rules: PropensityPolicy) -> Mapping[str, KnownOffer]:
    """The offers among the items, by id."""
    return {
        item.item_id: KnownOffer(item.category, window_days(item, rules))
        for item in items
        if item.kind is ItemKind.OFFER
    }


def window_days(item: Item, rules: PropensityPolicy) -> float:
    """For how many days a response to the offer counts."""
    return positive_number(item.attributes.get(rules.duration_attribute)) or rules.within_days


def positive_number(value: AttributeValue) -> float | None:
    """The number of an attribute; None for what is none, or not above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value > 0 else None


def gather_facts(
    attributes: Mapping[str, AttributeValue],
    interactions: Sequence[Interaction | Deed],
    offers: Mapping[str, KnownOffer],
    rules: PropensityRules,
    *,
    since: datetime,
    as_of: datetime,
) -> PropensityFacts:
    """The facts at a moment.

    Args:
        interactions: of the customer, in the order of time; those at the moment or later do not count.
        since: when the history begins in which purchases would have been seen.
    """
    earliest = max(since, as_of - timedelta(days=rules.offers.history_days))
    types = rules.types
    known = [one for one in interactions if one.type in types and earliest <= one.occurred_at < as_of]
    if len(known) > MAX_KNOWN:
        known = known[-MAX_KNOWN:]
        earliest = known[0].occurred_at
    purchases = [one for one in known if one.type in rules.purchases]
    return PropensityFacts(
        as_of=as_of,
        attributes=attributes,
        observed_days=max((as_of - earliest) / DAY, 0.0),
        purchase_days=tuple((as_of - one.occurred_at) / DAY for one in purchases),
        purchase_amounts=tuple(None if one.value is None else float(one.value) for one in purchases),
        sendings=read_sendings(known, offers, rules.offers),
    )


def read_sendings(
    interactions: Iterable[Interaction | Deed], offers: Mapping[str, KnownOffer], rules: PropensityPolicy
) -> tuple[Sending, ...]:
    """The offers that reached a customer, by interactions in the order of time.

    A response counts for every sending of its offer whose window holds it, both ends included. What happened
    at the moment of a sending counts as after it.
    """
    drafts: dict[str, list[_Draft]] = {}
    ordered: list[_Draft] = []
    reactions: list[Interaction | Deed] = []
    for one in interactions:
        offer = offers.get(one.item_id) if one.item_id is not None else None
        if offer is None:
            continue
        if one.type in rules.sent:
            of_item = drafts.setdefault(one.item_id or "", [])
            if not of_item or not of_item[-1].holds_again(one, rules):
                of_item.append(_Draft(one, offer))
                ordered.append(of_item[-1])
        else:
            reactions.append(one)
    for one in reactions:
        for draft in drafts.get(one.item_id or "", ()):
            draft.note(one, rules)
    return tuple(draft.done() for draft in ordered)


class _Draft:
    """A sending while it is read."""

    __slots__ = ("channel", "ends_at", "item_id", "offer", "responded_at", "sent_at", "viewed_at")

    def __init__(self, sent: Interaction | Deed, offer: KnownOffer) -> None:
        self.item_id = sent.item_id or ""
        self.offer = offer
        self.sent_at = sent.occurred_at
        self.channel = sent.channel
        self.ends_at = sent.occurred_at + timedelta(days=offer.window_days)
        self.viewed_at: datetime | None = None
        self.responded_at: datetime | None = None

    def holds_again(self, sent: Interaction | Deed, rules: PropensityPolicy) -> bool:
        return sent.occurred_at - self.sent_at < timedelta(hours=rules.same_sending_hours)

    def note(self, reaction: Interaction | Deed, rules: PropensityPolicy) -> None:
        if not self.sent_at <= reaction.occurred_at <= self.ends_at:
            return
        if reaction.type in rules.responded:
            self.responded_at = self.responded_at or reaction.occurred_at
        elif reaction.type in rules.viewed:
            self.viewed_at = self.viewed_at or reaction.occurred_at

    def done(self) -> Sending:
        return Sending(
            self.item_id,
            self.offer.category,
            self.sent_at,
            self.channel,
            self.ends_at,
            self.viewed_at,
            self.responded_at,
        )
