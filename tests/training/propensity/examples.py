"""Offers that ask for money to be spent, sent to customers of whom some spend it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import cache

import msgspec
import numpy as np

from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel, Item, ItemKind
from recsvc.domain.offer_terms import OfferTerms
from recsvc.domain.propensity import PropensityRules
from recsvc.history.interactions import InteractionTable
from recsvc.training.propensity.fitting import PropensityChoice, fit_propensity
from tests.training.examples import AS_OF, POLICY, table_of

SINCE, UNTIL = AS_OF - timedelta(days=60), AS_OF
RULES = PropensityRules(
    msgspec.structs.replace(POLICY.offers.propensity, least_sendings=300, least_responses=30),
    POLICY.portraits.purchases,
)
OFFERS = tuple(
    Item(
        f"o{row}",
        ItemKind.OFFER,
        category=("cash", "points")[row % 2],
        channels=(Channel.WEB, Channel.EMAIL)[: 1 + row % 2],
        attributes={"difficulty": 5 + 10 * row, "duration_days": 5 + row},
        terms=OfferTerms(value=Decimal(2 + row)),
    )
    for row in range(4)
)
N_CUSTOMERS = 400


def means_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0.1, 1.2, N_CUSTOMERS), rng.uniform(2, 30, N_CUSTOMERS)


@cache
def happenings(seed: int = 3) -> tuple[Interaction, ...]:
    """Everybody buys at their own pace and is sent three offers; who spends enough in time redeems."""
    rng = np.random.default_rng(seed)
    pace, amount = means_of(rng)
    return tuple(one for c in range(N_CUSTOMERS) for one in _of_customer(c, pace[c], amount[c], rng))


def _of_customer(c: int, pace: float, amount: float, rng: np.random.Generator) -> Iterator[Interaction]:
    customer_id, number = f"c{c:03}", 0
    days = np.sort(rng.uniform(0, 60, rng.poisson(60 * pace)))
    money = rng.gamma(4, amount / 4, len(days)).round(2)

    def did(type: str, item_id: str | None, day: float, value: float | None = None) -> Interaction:
        nonlocal number
        number += 1
        return Interaction(
            f"{customer_id}-{number}",
            type,
            customer_id,
            item_id,
            SINCE + timedelta(seconds=round(day * 86_400)),
            channel=Channel.WEB,
            value=None if value is None else Decimal(str(value)),
        )

    for day, spent in zip(days, money, strict=True):
        yield did("transaction", None, float(day), float(spent))
    for day in (15.0, 30.0, 52.0):
        row = int(rng.integers(len(OFFERS)))
        terms = OFFERS[row].attributes
        yield did("impression", f"o{row}", day)
        within = (days >= day) & (days < day + terms["duration_days"])  # type: ignore[operator]
        reached = np.flatnonzero(np.cumsum(money * within) >= terms["difficulty"])  # type: ignore[operator]
        if len(reached):
            yield did("redeem", f"o{row}", float(days[reached[0]]))


CUSTOMERS = tuple(
    Customer(
        f"c{c:03}",
        attributes={
            "age": 20 + c % 50,
            "town": ("Rome", "Oslo")[c // 2 % 2],
            "joined": f"20{10 + c % 9}-03-01",
        },
    )
    for c in range(0, N_CUSTOMERS, 2)
)


def fit(
    table: InteractionTable | None = None,
    *,
    rules: PropensityRules = RULES,
    customers: tuple[Customer, ...] = CUSTOMERS,
) -> PropensityChoice:
    table = table_of(*happenings()) if table is None else table
    return fit_propensity(table, OFFERS, customers, rules, since=SINCE, until=UNTIL, seed=1)


@cache
def fitted() -> PropensityChoice:
    return fit()
