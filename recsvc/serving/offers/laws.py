"""What the law forbids. In: a customer, an offer, bans of the policy. Out: the ban that holds, if any.

A country that is not known is taken for any that a ban names. A client type that is not known is retail.
"""

from __future__ import annotations

from collections.abc import Sequence

from recsvc.domain.items import Item
from recsvc.policy_offers import BanPolicy
from recsvc.serving.offers.facts import CustomerFacts


def bans_on_customer(customer: CustomerFacts, bans: Sequence[BanPolicy]) -> list[BanPolicy]:
    """The bans that are on customers like this one."""
    return [ban for ban in bans if _names_country(ban, customer) and _names_type(ban, customer)]


def ban_on(offer: Item, customer: CustomerFacts, bans: Sequence[BanPolicy]) -> BanPolicy | None:
    """The first ban that keeps the offer from the customer."""
    return next((ban for ban in bans_on_customer(customer, bans) if _names_offer(ban, offer)), None)


def _names_country(ban: BanPolicy, customer: CustomerFacts) -> bool:
    if not ban.countries or customer.country is None:
        return True
    return customer.country in {name.upper() for name in ban.countries}


def _names_type(ban: BanPolicy, customer: CustomerFacts) -> bool:
    return not ban.client_types or customer.client_type in ban.client_types


def _names_offer(ban: BanPolicy, offer: Item) -> bool:
    is_named = not ban.categories or offer.category in ban.categories
    return is_named and offer.offer_terms.risk_class >= ban.min_risk_class
