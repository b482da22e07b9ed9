"""Random banks of offers: what there is, who there is, what they said. In: a seed. Out: a situation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item, ItemKind, ItemStatus
from recsvc.domain.offer_terms import (
    Budget,
    Cap,
    Disclosure,
    OfferTerms,
    SuppressionTerms,
    TargetMarket,
)
from recsvc.policy import Policy, load_policy
from recsvc.policy_offers import BanPolicy, ContactCapPolicy, OffersPolicy, PairPolicy

T = TypeVar("T")
POLICY = load_policy()
CATEGORIES = ("saving", "borrowing", "investing", "cards")
COUNTRIES = ("DE", "AT", "US")
PLACEMENTS = ("default", "home", "basket")
LOCALES = ("en", "zh", "zh-HK", "de")
CLIENTS = ("retail", "professional")
HOURS = timedelta(hours=1)
DAYS = timedelta(days=1)


def random_policy(draw: Random) -> Policy:
    """A policy whose `[offers]` are drawn."""
    offers = OffersPolicy(
        attributes={"age": "number", "country": "text"},
        bans=tuple(_ban(draw, n) for n in range(draw.choice((0, 0, 0, 1, 2)))),
        dismissed_days=draw.choice((1.0, 90.0)),
        rejected_days=draw.choice((2.0, 180.0)),
        disclosure_fallback=draw.random() < 0.3,
        pairs=(PairPolicy(("debt",), ("borrowing",)),) if draw.random() < 0.5 else (),
        exploration=draw.choice((0.0, 0.0, 0.02, 0.1)),
        contact_caps=(ContactCapPolicy("all", 6, 24.0),) if draw.random() < 0.15 else (),
    )
    return replace(POLICY, offers=offers, version="random")


def random_offers(draw: Random, now: datetime, n: int) -> tuple[Item, ...]:
    """Offers of which most are open to many, and each has a term or two that may shut."""
    return tuple(_offer(draw, f"o{number}", now) for number in range(n))


def random_customer(draw: Random, customer_id: str, now: datetime) -> Customer:
    """A customer of whom some things are known."""
    attributes: dict[str, Any] = {}
    if draw.random() < 0.85:
        attributes["country"] = draw.choice(("DE", "DE", "de", "AT", "US"))
    if draw.random() < 0.7:
        attributes["age"] = draw.choice((17, 18, 40, 64.5, "old"))
    return Customer(
        customer_id,
        attributes=attributes,
        locale=draw.choice((None, *LOCALES)),
        consents=_often(
            draw,
            0.8,
            lambda: Consents(draw.random() < 0.7, tuple(one for one in Channel if draw.random() < 0.85)),
        ),
        suitability=_often(draw, 0.75, lambda: _suitability(draw, now)),
    )


def random_events(draw: Random, customer_id: str, offers: Sequence[Item], now: datetime) -> list[Interaction]:
    """What the customer said of offers and of us, oldest first."""
    kinds = ("click", "like", "accept", "dismiss", "reject", "not_interested", "dismiss", "reject")
    found = []
    for number in range(draw.randrange(6)):
        kind, item_id, channel = draw.choice(kinds), draw.choice(offers).item_id, None
        if draw.random() < 0.06:
            kind, item_id = "complaint", draw.choice((None, item_id))
        elif draw.random() < 0.06:
            kind, item_id, channel = "unsubscribe", None, draw.choice((None, Channel.WEB, Channel.EMAIL))
        ago = draw.choice((0.5, 20.0, 47.9, 49.0, 24 * 29, 24 * 31, 24 * 91, 24 * 200)) * HOURS
        event_id = f"{customer_id}-{number}-{draw.getrandbits(40)}"
        found.append(Interaction(event_id, kind, customer_id, item_id, now - ago, channel=channel))
    return sorted(found, key=lambda one: (one.occurred_at, one.event_id))


def _ban(draw: Random, number: int) -> BanPolicy:
    return BanPolicy(
        f"ban {number}",
        countries=draw.choice(((), ("US",), ("AT", "US"))),
        client_types=draw.choice(((), ("retail",), ("professional",))),
        categories=(draw.choice(CATEGORIES),),
        min_risk_class=draw.choice((0, 0, 3)),
    )


def _offer(draw: Random, offer_id: str, now: datetime) -> Item:
    return Item(
        offer_id,
        ItemKind.OFFER,
        title={"en": draw.choice(("A fine thing", *(f"Offer {offer_id}",) * 9))},
        category=draw.choice((*CATEGORIES, None)),
        valid_from=_often(draw, 0.2, lambda: now + draw.choice((-2, 0, 10 / 3600)) * HOURS),
        valid_to=_often(draw, 0.2, lambda: now + draw.choice((2, 30 / 3600, 24, 72)) * HOURS),
        channels=tuple(draw.sample(list(Channel), 4)) if draw.random() < 0.1 else (),
        status=draw.choice((*(ItemStatus.LIVE,) * 12, ItemStatus.PAUSED, ItemStatus.DRAFT)),
        terms=OfferTerms(
            value=Decimal(draw.choice((0, 10, 40, 150))),
            currency=draw.choice(("EUR", "EUR", "USD")),
            priority=draw.choice((0, 0, 20, -50)),
            risk_class=draw.choice((0, 0, 0, 0, 0, 1, 3, 6)),
            jurisdictions=draw.choice((*((),) * 6, ("DE",), ("AT", "DE"))),
            exclusive_group=draw.choice((None, None, None, "g1", "g2")),
            disclosures=tuple(_disclosure(draw, n) for n in range(draw.choice((0, 1, 1, 2)))),
            placements=draw.choice((*((),) * 8, ("home",), ("default", "home"))),
            target_market=_often(draw, 0.15, lambda: _market(draw)),
            negative_target_market=_often(draw, 0.1, lambda: _market(draw)),
            eligibility=_often(draw, 0.3, lambda: _rule(draw, 2)),
            caps=tuple(Cap(draw.choice((1, 2)), 24.0) for _ in range(draw.choice((0, 0, 0, 1)))),
            suppression=_often(draw, 0.2, lambda: SuppressionTerms(draw.choice((None, 2.0)), 8.0)),
            budget=_often(draw, 0.05, lambda: Budget(Decimal(3), Decimal(1))),
            inventory=_often(draw, 0.05, lambda: draw.choice((0, 3))),
        ),
    )


def _disclosure(draw: Random, number: int) -> Disclosure:
    texts = draw.choice(
        ({"en": "Yes.", "zh": "是", "de": "Ja."},) * 5 + ({"en": "Yes."}, {"zh": "是"}, {"en": " "}, {})
    )
    return Disclosure(f"d{number}", draw.choice((1, 2)), texts)


def _market(draw: Random) -> TargetMarket:
    return TargetMarket(
        client_types=draw.choice(((), ("retail",), CLIENTS, ("professional",))),
        knowledge=draw.choice(((), (), ("basic", "expert"), ("expert",))),
        loss_capacity=draw.choice(((), (), ("high",))),
        risk_tolerance=draw.choice(((), (), (3, 4, 5, 6, 7))),
        objectives=draw.choice(((), (), ("growth",))),
        min_horizon_years=draw.choice((None, None, 3)),
    )


def _rule(draw: Random, depth: int) -> dict[str, Any]:
    if depth and draw.random() < 0.4:
        kind = draw.choice(("all", "any", "not"))
        if kind == "not":
            return {"not": _rule(draw, depth - 1)}
        return {kind: [_rule(draw, depth - 1) for _ in range(2)]}
    return draw.choice(
        (
            {"field": "attributes.age", "op": "at_least", "value": 18},
            {"field": "attributes.age", "op": "below", "value": 65},
            {"field": "attributes.age", "op": "between", "value": [18, 64]},
            {"field": "attributes.country", "op": "equals", "value": "DE"},
            {"field": "attributes.country", "op": "not_in", "value": ["US", "AT"]},
        )
    )


def _suitability(draw: Random, now: datetime) -> Suitability:
    return Suitability(
        client_type=draw.choice(CLIENTS),
        max_risk_class=draw.choice((0, 1, 3, 7)),
        knowledge=draw.choice((None, "basic", "expert")),
        loss_capacity=draw.choice((None, "low", "high")),
        objectives=draw.choice(((), ("growth",), ("income", "growth"))),
        horizon_years=draw.choice((None, 1, 3, 10)),
        expires_at=draw.choice((None, now + 400 * DAYS, now + 20 / 3600 * HOURS, now, now - DAYS)),
    )


def _often(draw: Random, share: float, make: Callable[[], T]) -> T | None:
    return make() if draw.random() < share else None
