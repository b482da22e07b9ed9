"""The numbers of offers that a propensity model compares. In: offers, a plan. Out: a table for everybody."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.propensity import PropensityPlan, SentCounts
from recsvc.bundles.propensity_features import CHANNELS, NAN, OF_OFFER, RATES
from recsvc.domain.items import Item
from recsvc.domain.propensity import positive_number, window_days

Columns = NDArray[np.float64]
PRIOR_SENDINGS = 20.0
"""How many sendings a prior is worth: an offer's own rate weighs more once it was sent more often."""


@dataclass(frozen=True, slots=True)
class OfferTable:
    """Offers with the numbers that are the same for everybody.

    `values` is (n_offers, n of offers); the other arrays are (n_offers,). `threshold` is NaN where there is
    none, `ends` the end of validity in days since 1970, infinite where it is open. `category_rows` points
    into `categories`.
    """

    items: tuple[Item, ...]
    rows: Mapping[str, int]
    values: Columns
    threshold: Columns
    duration: Columns
    ends: Columns
    categories: Mapping[str | None, int]
    category_rows: NDArray[np.intp]


def tabulate_offers(items: Sequence[Item], plan: PropensityPlan) -> OfferTable:
    """The table of the offers."""
    rules = plan.rules.offers
    categories = {name: row for row, name in enumerate(dict.fromkeys(item.category for item in items))}
    threshold = [positive_number(item.attributes.get(rules.threshold_attribute)) or NAN for item in items]
    duration = [window_days(item, rules) for item in items]
    value = [float(item.offer_terms.value) for item in items]
    shape = (len(items), len(OF_OFFER) - len(RATES))
    own = np.array(
        [
            (
                value[row],
                threshold[row],
                value[row] / threshold[row],
                duration[row],
                item.offer_terms.risk_class,
                len(item.channels),
                *(float(channel in item.channels) if item.channels else NAN for channel in CHANNELS),
            )
            for row, item in enumerate(items)
        ]
    ).reshape(shape)
    counts = {offer_id: record.counts for offer_id, record in plan.offers.items()}
    is_category = [[float(item.category == one) for one in plan.categories] for item in items]
    return OfferTable(
        items=tuple(items),
        rows={item.item_id: row for row, item in enumerate(items)},
        values=np.hstack(
            [
                own,
                rate_values(items, counts, plan),
                np.array(is_category).reshape(len(items), len(plan.categories)),
            ]
        ),
        threshold=np.array(threshold),
        duration=np.array(duration),
        ends=np.array([item.valid_to.timestamp() / 86_400 if item.valid_to else math.inf for item in items]),
        categories=categories,
        category_rows=np.array([categories[item.category] for item in items], dtype=np.intp),
    )


def rate_values(items: Sequence[Item], counts: Mapping[str, SentCounts], plan: PropensityPlan) -> Columns:
    """The numbers named RATES, by counts of any offers: (n_items, 4).

    A rate is the mean of a Beta distribution: an offer's prior is its category's rate, a category's that of
    all offers. An offer that was never sent has its category's.
    """
    overall = _summed(counts.values())
    of_category = {
        category: _summed(
            counts[offer_id]
            for offer_id, record in plan.offers.items()
            if record.category == category and offer_id in counts
        )
        for category in {item.category for item in items}
    }
    rows = []
    for item in items:
        category, own = of_category[item.category], counts.get(item.item_id, SentCounts(0, 0, 0))
        prior = _rate(category.responded, category.sent, _rate(overall.responded, overall.sent, 0.5))
        seen = _rate(category.viewed, category.sent, _rate(overall.viewed, overall.sent, 0.5))
        rows.append(
            (
                _rate(own.responded, own.sent, prior),
                _rate(own.viewed, own.sent, seen),
                math.log1p(own.sent),
                prior,
            )
        )
    return np.array(rows).reshape(len(items), len(RATES))


def _summed(counts: Iterable[SentCounts]) -> SentCounts:
    listed = [(one.sent, one.viewed, one.responded) for one in counts]
    sent, viewed, responded = zip(*listed, strict=True) if listed else ((), (), ())
    return SentCounts(sum(sent), sum(viewed), sum(responded))


def _rate(hits: int, n: int, prior: float) -> float:
    return (hits + PRIOR_SENDINGS * prior) / (n + PRIOR_SENDINGS)
