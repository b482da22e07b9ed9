"""Who was sent what, and what came of it. In: a history, offers. Out: sendings by customer, counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import polars as pl

from recsvc.bundles.propensity import OfferRecord, SentCounts
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item
from recsvc.domain.propensity import PropensityRules, Sending, known_offers, read_sendings
from recsvc.history.interactions import InteractionTable

MOST_SENDINGS = 100_000
"""Of more, the customers with the most interactions that count are left out: they would cost the most."""


@dataclass(frozen=True, slots=True)
class Past:
    """A customer's interactions that count, in the order of time, and the sendings among them."""

    customer_id: str
    interactions: Sequence[Interaction]
    sendings: Sequence[Sending]


def read_pasts(table: InteractionTable, items: Sequence[Item], rules: PropensityRules) -> Sequence[Past]:
    """The customers whom an offer reached."""
    offers = known_offers(items, rules.offers)
    kept = _of_customers_sent_to(table, offers, rules)
    ordered = sorted(kept.interactions(), key=lambda one: (one.customer_id, one.occurred_at))
    pasts = []
    for customer_id, group in groupby(ordered, key=lambda one: one.customer_id):
        interactions = tuple(group)
        pasts.append(Past(customer_id, interactions, read_sendings(interactions, offers, rules.offers)))
    return pasts


def _of_customers_sent_to(
    table: InteractionTable, offers: Collection[str], rules: PropensityRules
) -> InteractionTable:
    """What counts of the customers whom an offer reached."""
    is_sending = _is_one_of("type", rules.offers.sent) & _is_one_of("item_id", offers)
    frame = table.compact.filter(_is_one_of("type", rules.types) & pl.col("occurred_at").is_not_null())
    sizes = (
        frame.group_by(pl.col("customer_id").cast(pl.String))
        .agg(sent=is_sending.sum(), n=pl.len())
        .filter(pl.col("sent") > 0)
        .sort("n", "customer_id")
    )
    few = sizes.filter(pl.col("sent").cum_sum() <= MOST_SENDINGS)["customer_id"]
    return InteractionTable(frame.filter(_is_one_of("customer_id", few)))


def _is_one_of(column: str, texts: Collection[str]) -> pl.Expr:
    return pl.col(column).cast(pl.String).is_in(pl.Series(list(texts), dtype=pl.String).implode())


def counts_of(sendings: Iterable[Sending], until: datetime) -> Mapping[str, SentCounts]:
    """How often each offer was sent, viewed and responded to, over windows that closed by `until`."""
    sums: dict[str, list[int]] = {}
    for one in sendings:
        if one.ends_at <= until:
            own = sums.setdefault(one.item_id, [0, 0, 0])
            own[0] += 1
            own[1] += one.viewed_at is not None
            own[2] += one.responded_at is not None
    return {offer_id: SentCounts(*sums[offer_id]) for offer_id in sorted(sums)}


def records_of(
    pasts: Sequence[Past], items: Sequence[Item], rules: PropensityRules, until: datetime
) -> Mapping[str, OfferRecord]:
    """What is known of every offer at the end of the history."""
    counts = counts_of((one for past in pasts for one in past.sendings), until)
    known = known_offers(items, rules.offers)
    return {
        offer_id: OfferRecord(
            known[offer_id].category,
            known[offer_id].window_days,
            counts.get(offer_id, SentCounts(0, 0, 0)),
        )
        for offer_id in sorted(known)
    }
