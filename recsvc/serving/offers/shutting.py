"""Whom each gate refuses. In: a table of offers, facts. Out: which of the offers: (n_offers,).

`NOBODY` says that none is refused: most gates refuse nobody of most lists, and need not look at the offers.
What hangs on one value that is asked for, and on nobody, is kept with the table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from recsvc.domain.items import Channel, Item
from recsvc.domain.moments import to_micros
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.laws import bans_on_customer
from recsvc.serving.offers.markets import is_in_market
from recsvc.serving.offers.refusals import barred_until
from recsvc.serving.offers.table import Bools, OfferTable, Rows, bit_of
from recsvc.serving.offers.texts import told_in

NOBODY = None

Shuts = Callable[[OfferTable, Facts, OffersPolicy], Bools | None]


def no_consent(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    return NOBODY if facts.customer.may_market else np.ones(len(table), dtype=np.bool_)


def banned(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    bans = bans_on_customer(facts.customer, policy.bans)
    if not bans:
        return NOBODY
    shut = np.zeros(len(table), dtype=np.bool_)
    for ban in bans:
        hit: Bools = np.asarray(table.risk_class >= ban.min_risk_class)
        if ban.categories:
            named = np.zeros(len(table), dtype=np.bool_)
            for category in ban.categories:
                named |= table.mask_at(table.by_category.get(category))
            hit &= named
        shut |= hit
    return shut


def not_suitable(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    limit = facts.customer.risk_limit
    return table.kept(_riskier, 0 if limit is None else limit)


def _riskier(table: OfferTable, limit: int) -> Bools:
    return np.asarray(table.risk_class > limit)


def outside_market(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    customer = facts.customer
    return _of_all(table, (rows for offer, rows in table.rows_by_market if not is_in_market(offer, customer)))


def not_eligible(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    known = facts.customer.fields
    return _of_all(
        table, (rows for rule, rows in table.rows_by_rule if rule is None or not rule.holds(known))
    )


def not_live(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    return table.kept(_in_other_status, None)


def not_valid(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    now, (begun, ended) = to_micros(facts.now), table.all_valid
    return NOBODY if begun <= now < ended else (table.valid_from > now) | (table.valid_to <= now)


def wrong_channel(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    return table.kept(_on_other_channels, facts.asked.channel)


def wrong_placement(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    return table.kept(_in_other_placements, facts.asked.placement)


def wrong_jurisdiction(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    return table.kept(_in_other_countries, facts.customer.country)


def suppressed(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    customer = facts.customer
    if not customer.refusals and not customer.used:
        return NOBODY
    refused = table.rows_of(customer.refusals)
    barred = [row for row in refused.tolist() if _is_barred(table.items[row], facts, policy)]
    return table.mask_of(customer.used) | table.mask_at(np.array(barred, dtype=np.int64))


def _is_barred(offer: Item, facts: Facts, policy: OffersPolicy) -> bool:
    until = barred_until(offer, facts.customer.refusals[offer.item_id], policy)
    return until is None or facts.now < until


def _in_other_status(table: OfferTable, _: None) -> Bools:
    return ~table.is_live


def _on_other_channels(table: OfferTable, channel: Channel) -> Bools:
    return np.asarray((table.channels & bit_of(channel)) == 0)


def _in_other_placements(table: OfferTable, placement: str) -> Bools:
    return ~(table.open_placement | table.mask_at(table.by_placement.get(placement)))


def _in_other_countries(table: OfferTable, country: str | None) -> Bools:
    named = table.mask_at(None if country is None else table.by_jurisdiction.get(country))
    return ~(table.open_jurisdiction | named)


def _of_all(table: OfferTable, rows: Iterable[Rows]) -> Bools | None:
    """All of these rows together."""
    found = list(rows)
    return table.mask_at(np.concatenate(found)) if found else NOBODY


def held_back(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    held_back = facts.customer.held_back
    return _of_categories(held_back, table) if held_back else NOBODY


def _of_categories(categories: Sequence[str], table: OfferTable) -> Bools:
    shut = np.zeros(len(table), dtype=np.bool_)
    for category in categories:
        shut |= table.mask_at(table.by_category.get(category))
    return shut


def _named(offer_ids: Collection[str], table: OfferTable) -> Bools | None:
    return table.mask_of(offer_ids) if offer_ids else NOBODY


def short_of(*what: str) -> Shuts:
    def shuts(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
        return _named([one for one, shortage in facts.shortages.items() if shortage.what in what], table)

    return shuts


def not_asked_for(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    asked = facts.asked
    shut = _named((*asked.exclude, *facts.elsewhere), table)
    if not asked.categories:
        return shut
    others = ~_of_categories(asked.categories, table)
    return others if shut is NOBODY else others | shut


def blocked(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    return _named(facts.marketers.blocked, table)


def beside_content(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    barred = [
        category
        for pair in policy.pairs
        if not set(pair.content).isdisjoint(facts.beside)
        for category in pair.offers
    ]
    return _of_categories(barred, table) if barred else NOBODY


def not_told(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools:
    return ~told_in(facts.asked.locale, table, policy).is_told


def taken(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    return _named(facts.alike, table)


def capped(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Bools | None:
    """Short of contacts; or, where the list is only what was granted a contact, without one."""
    short = _SHORT_OF_CONTACTS(table, facts, policy)
    if facts.reserved is None:
        return short
    others = ~table.mask_of(facts.reserved)
    return others if short is NOBODY else others | short


_SHORT_OF_CONTACTS = short_of("cap", "contact_cap")
