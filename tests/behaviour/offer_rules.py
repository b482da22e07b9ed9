"""Which offers the rules forbid, written from the rules alone: slow, and without a line of what serves.

In: an offer, what is recorded of a customer, a request, the policy. Out: what forbids it, or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item
from recsvc.domain.offer_terms import TargetMarket
from recsvc.policy import Policy


@dataclass(frozen=True)
class Asked:
    """A request, and the moment. `beside` are the categories of the articles on the page."""

    now: datetime
    channel: Channel
    placement: str
    locale: str
    categories: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Situation:
    """Everything that is recorded. `written_at` is when the customer's record was."""

    policy: Policy
    record: Customer | None
    written_at: datetime | None
    events: Sequence[Interaction]
    offers: Mapping[str, Item] = field(default_factory=dict)


def forbidden_by(offer: Item, asked: Asked, known: Situation) -> str | None:
    """What forbids the offer to the customer at the moment."""
    terms = offer.offer_terms
    rules = known.policy.offers
    record = known.record
    assessed = record.suitability if record else None
    if assessed and assessed.expires_at is not None and assessed.expires_at <= asked.now:
        assessed = None
    country = record.attributes.get(rules.country_attribute) if record else None
    country = country.upper() if isinstance(country, str) and country else None
    client = assessed.client_type if assessed else "retail"

    if not _agreed(asked, known):
        return "consent"
    for ban in rules.bans:
        hits_offer = (not ban.categories or offer.category in ban.categories) and (
            terms.risk_class >= ban.min_risk_class
        )
        hits_country = not ban.countries or country is None or country in ban.countries
        hits_type = not ban.client_types or client in ban.client_types
        if hits_offer and hits_country and hits_type:
            return "ban"
    if terms.risk_class > 0 and (assessed is None or assessed.max_risk_class < terms.risk_class):
        return "suitability"
    about = {
        "client_types": {client},
        "knowledge": {assessed.knowledge} if assessed and assessed.knowledge else set(),
        "loss_capacity": {assessed.loss_capacity} if assessed and assessed.loss_capacity else set(),
        "risk_tolerance": {assessed.max_risk_class} if assessed else set(),
        "objectives": set(assessed.objectives) if assessed else set(),
    }
    horizon = assessed.horizon_years if assessed else None
    if terms.target_market is not None and not _wanted(terms.target_market, about, horizon):
        return "target market"
    if terms.negative_target_market is not None and _shunned(terms.negative_target_market, about, horizon):
        return "negative target market"
    if terms.eligibility is not None and _true(terms.eligibility, record) is not True:
        return "eligibility"
    if offer.status.value != "live":
        return "status"
    if offer.valid_from is not None and asked.now < offer.valid_from:
        return "not yet valid"
    if offer.valid_to is not None and asked.now >= offer.valid_to:
        return "no longer valid"
    if offer.channels and asked.channel not in offer.channels:
        return "channel"
    if terms.placements and asked.placement not in terms.placements:
        return "placement"
    if terms.jurisdictions and (country is None or country not in terms.jurisdictions):
        return "jurisdiction"
    if _suppressed(offer, asked, known):
        return "suppression"
    if offer.category is not None and offer.category in _unwanted(asked, known):
        return "category held back"
    if offer.item_id in asked.exclude or (asked.categories and offer.category not in asked.categories):
        return "not asked for"
    if offer.item_id in asked.blocked:
        return "blocked"
    for pair in rules.pairs:
        if offer.category in pair.offers and any(one in pair.content for one in asked.beside):
            return "beside content"
    if not all(_can_be_read(one.text, asked.locale, rules.disclosure_fallback) for one in terms.disclosures):
        return "disclosure"
    return None


def caps_broken(contacts: Sequence[tuple[str, datetime]], offers: Mapping[str, Item]) -> list[str]:
    """The offers whose contacts with one customer, given in order of time, are more than a cap of theirs."""
    broken = []
    for offer_id, offer in offers.items():
        moments = [at for name, at in contacts if name == offer_id]
        for cap in offer.offer_terms.caps:
            window = timedelta(hours=cap.hours)
            for at in moments:
                if sum(at - window < other <= at for other in moments) > cap.most:
                    broken.append(offer_id)
    return broken


def _agreed(asked: Asked, known: Situation) -> bool:
    record = known.record
    if record is None or record.consents is None:
        agreed, since = asked.channel.value in known.policy.consent_without_record.marketing, None
    else:
        agreed, since = asked.channel in record.consents.marketing, known.written_at
    if not agreed:
        return False
    patience = timedelta(days=known.policy.feedback.complaint_stops_marketing_days)
    for event in known.events:
        if event.type == "complaint" and event.occurred_at > asked.now - patience:
            return False
        stops = event.type == "unsubscribe" and event.channel in (None, asked.channel)
        if stops and (since is None or event.occurred_at >= since):
            return False
    return True


def _wanted(market: TargetMarket, about: Mapping[str, set[Any]], horizon: int | None) -> bool:
    for name, values in about.items():
        listed = getattr(market, name)
        if listed and not any(value in listed for value in values):
            return False
    least = market.min_horizon_years
    return least is None or (horizon is not None and horizon >= least)


def _shunned(market: TargetMarket, about: Mapping[str, set[Any]], horizon: int | None) -> bool:
    for name, values in about.items():
        if any(value in getattr(market, name) for value in values):
            return True
    least = market.min_horizon_years
    return least is not None and (horizon is None or horizon < least)


def _true(rule: Mapping[str, Any], record: Customer | None) -> bool | None:
    """The truth of a rule in three values: None is not known."""
    if "all" in rule:
        parts = [_true(one, record) for one in rule["all"]]
        return False if False in parts else None if None in parts else True
    if "any" in rule:
        parts = [_true(one, record) for one in rule["any"]]
        return True if True in parts else None if None in parts else False
    if "not" in rule:
        inner = _true(rule["not"], record)
        return None if inner is None else not inner
    name = rule["field"].removeprefix("attributes.")
    value = record.attributes.get(name) if record else None
    wanted = rule["value"]
    is_number = isinstance(wanted, list | int | float) and not isinstance(wanted, bool)
    if name == "age":
        if value is None or isinstance(value, bool) or not isinstance(value, int | float) or not is_number:
            return None
        match rule["op"]:
            case "at_least":
                return value >= wanted
            case "below":
                return value < wanted
            case "between":
                return wanted[0] <= value <= wanted[1]
    if not isinstance(value, str):
        return None
    match rule["op"]:
        case "equals":
            return value == wanted
        case "not_in":
            return value not in wanted
    raise AssertionError(f"no such rule: {rule}")


def _suppressed(offer: Item, asked: Asked, known: Situation) -> bool:
    own = offer.offer_terms.suppression
    rules = known.policy.offers
    dismissed = own.dismissed_days if own and own.dismissed_days else rules.dismissed_days
    rejected = own.rejected_days if own and own.rejected_days else rules.rejected_days
    last: Interaction | None = None
    for event in known.events:
        if event.item_id != offer.item_id:
            continue
        strength = known.policy.interaction_types[event.type].strength
        if event.type == "complaint" and asked.now < event.occurred_at + timedelta(days=rejected):
            return True
        if strength != 0:
            last = event
    if last is None or known.policy.interaction_types[last.type].strength > 0:
        return False
    days = dismissed if last.type == "dismiss" else rejected
    return asked.now < last.occurred_at + timedelta(days=days)


def _unwanted(asked: Asked, known: Situation) -> set[str]:
    patience = timedelta(days=known.policy.feedback.not_interested_days)
    return {
        str(known.offers[event.item_id].category)
        for event in known.events
        if event.type == "not_interested"
        and event.item_id in known.offers
        and event.occurred_at > asked.now - patience
    }


def _can_be_read(text: Mapping[str, str], locale: str, fallback: bool) -> bool:
    if fallback:
        return any(one.strip() for one in text.values())
    parts = locale.lower().split("-")
    said = {tag.lower() for tag, one in text.items() if one.strip()}
    return any("-".join(parts[:n]) in said for n in range(1, len(parts) + 1))
