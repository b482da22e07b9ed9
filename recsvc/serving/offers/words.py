"""What each gate compares, in the words of the records. In: an offer, facts. Out: values by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from recsvc.domain.decisions import Compared
from recsvc.domain.items import Item
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers.eligibility import what_was_asked
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.laws import ban_on
from recsvc.serving.offers.refusals import barred_until
from recsvc.serving.offers.table import OfferTable

Words = Callable[[Item, OfferTable, Facts, OffersPolicy], Mapping[str, Compared]]


def suitability_words(
    offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy
) -> Mapping[str, Compared]:
    return {
        "risk_class": offer.offer_terms.risk_class,
        "max_risk_class": facts.customer.risk_limit,
        "client_type": facts.customer.client_type,
    }


def validity_words(
    offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy
) -> Mapping[str, Compared]:
    return {
        "now": facts.now.isoformat(),
        "valid_from": _iso(offer.valid_from),
        "valid_to": _iso(offer.valid_to),
    }


def suppression_words(
    offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy
) -> Mapping[str, Compared]:
    said = facts.customer.refusals.get(offer.item_id)
    if not said:
        return {"last_no": None, "used": offer.item_id in facts.customer.used}
    return {
        "last_no": said[-1].type,
        "said_at": _iso(said[-1].at),
        "barred_until": _iso(barred_until(offer, said, policy)),
        "now": facts.now.isoformat(),
    }


def shortage_words(
    offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy
) -> Mapping[str, Compared]:
    short = facts.shortages.get(offer.item_id)
    if short is None:
        return {} if facts.reserved is None else {"granted": offer.item_id in facts.reserved}
    return {"what": short.what, "name": short.name, "used": str(short.used), "limit": str(short.limit)}


def request_words(
    offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy
) -> Mapping[str, Compared]:
    return {
        "excluded": offer.item_id in facts.asked.exclude,
        "elsewhere_on_page": offer.item_id in facts.elsewhere,
        "category": offer.category,
        "categories": ", ".join(facts.asked.categories) or None,
    }


def ban_words(offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy) -> Mapping[str, Compared]:
    ban = ban_on(offer, facts.customer, policy.bans)
    return {
        "ban": ban.name if ban else None,
        "country": facts.customer.country,
        "client_type": facts.customer.client_type,
        "category": offer.category,
        "risk_class": offer.offer_terms.risk_class,
    }


def eligibility_words(
    offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy
) -> Mapping[str, Compared]:
    row = table.row_of[offer.item_id]
    known = facts.customer.fields
    return what_was_asked(table.eligibility[row], known) if row in table.eligibility else {"rule": None}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
