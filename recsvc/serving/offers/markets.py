"""Whom an offer is made for, and not to.

In: an offer, a customer. Out: whether the customer is in its market.

What is not known of a customer is named by no list. A horizon that is not known is shorter than any that is
asked for, in a target market as in a negative one.
"""

from __future__ import annotations

from collections.abc import Mapping

from recsvc.domain.decisions import Compared
from recsvc.domain.items import Item
from recsvc.domain.offer_terms import TargetMarket
from recsvc.serving.offers.facts import CustomerFacts


def is_in_market(offer: Item, customer: CustomerFacts) -> bool:
    """Whether the target market holds the customer and the negative one does not."""
    terms = offer.offer_terms
    wanted, shunned = terms.target_market, terms.negative_target_market
    if wanted is not None and not all(_matches(wanted, customer)):
        return False
    return shunned is None or not _is_shunned(shunned, customer)


def market_words(offer: Item, customer: CustomerFacts) -> Mapping[str, Compared]:
    """What was compared, in the words of the records."""
    terms = offer.offer_terms
    words: dict[str, Compared] = {
        "client_type": customer.client_type,
        "knowledge": customer.knowledge,
        "loss_capacity": customer.loss_capacity,
        "max_risk_class": customer.risk_limit,
        "objectives": ", ".join(customer.objectives) or None,
        "horizon_years": customer.horizon_years,
    }
    for name, market in (("target", terms.target_market), ("negative", terms.negative_target_market)):
        if market is not None:
            words |= {f"{name}_{field}": value for field, value in _words_of(market).items()}
    return words


def _matches(market: TargetMarket, customer: CustomerFacts) -> list[bool]:
    """For each list that is not empty, and for the horizon, whether it names the customer."""
    named = [bool({*values} & {*theirs}) for values, theirs in _lists(market, customer) if values]
    return [*named, *([not _is_too_short(market, customer)] if market.min_horizon_years is not None else [])]


def _is_shunned(market: TargetMarket, customer: CustomerFacts) -> bool:
    named = any({*values} & {*theirs} for values, theirs in _lists(market, customer))
    return named or _is_too_short(market, customer)


def _is_too_short(market: TargetMarket, customer: CustomerFacts) -> bool:
    least = market.min_horizon_years
    return least is not None and (customer.horizon_years is None or customer.horizon_years < least)


def _lists(
    market: TargetMarket, customer: CustomerFacts
) -> tuple[tuple[tuple[object, ...], tuple[object, ...]], ...]:
    def known(value: object) -> tuple[object, ...]:
        return () if value is None else (value,)

    return (
        (market.client_types, (customer.client_type,)),
        (market.knowledge, known(customer.knowledge)),
        (market.loss_capacity, known(customer.loss_capacity)),
        (market.risk_tolerance, known(customer.risk_limit)),
        (market.objectives, customer.objectives),
    )


def _words_of(market: TargetMarket) -> Mapping[str, Compared]:
    lists = {
        "client_types": market.client_types,
        "knowledge": market.knowledge,
        "loss_capacity": market.loss_capacity,
        "risk_tolerance": market.risk_tolerance,
        "objectives": market.objectives,
    }
    words: dict[str, Compared] = {name: ", ".join(map(str, some)) for name, some in lists.items() if some}
    if market.min_horizon_years is not None:
        words["min_horizon_years"] = market.min_horizon_years
    return words
