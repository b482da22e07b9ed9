"""The numbers of a customer and an offer together. In: facts, a table of offers. Out: numbers by offer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.propensity_features import NAN, OF_BOTH
from recsvc.bundles.propensity_offers import Columns, OfferTable
from recsvc.domain.propensity import DAY, PropensityFacts

_DAY_SECONDS = 86_400


def pair_values(facts: PropensityFacts, table: OfferTable, *, seen_days: float = math.inf) -> Columns:
    """The numbers named OF_BOTH, one row each, by offer: (n of both, n_offers).

    Args:
        seen_days: what happened was seen for so many days only. An offer is then learned from as one that
            lasted no longer: whether it was responded to in these days is known, and nothing else is.
    """
    values = np.empty((len(OF_BOTH), len(table.items)))
    today = facts.as_of.timestamp() / _DAY_SECONDS
    left = np.minimum(np.minimum(table.duration, table.ends - today), seen_days)
    values[0] = left
    values[1:5] = _spending_values(facts, table, left)
    values[5:8] = _category_values(facts, table)
    values[8:12] = _own_values(facts, table)
    return values


def _spending_values(facts: PropensityFacts, table: OfferTable, left: Columns) -> Columns:
    """How near the customer's usual spending comes to what the offer asks for."""
    amounts = sorted(amount for amount in facts.purchase_amounts if amount is not None)
    total, days = math.fsum(amounts), facts.observed_days
    values = np.full((4, len(left)), NAN)
    if days:
        values[0] = left * (total / days) / table.threshold
        values[1] = left * (len(facts.purchase_days) / days)
    if amounts and total > 0:
        values[2] = table.threshold / (total / len(amounts))
        n_below = np.searchsorted(np.array(amounts), table.threshold)
        values[3] = np.where(np.isnan(table.threshold), NAN, 1 - n_below / len(amounts))
    return values


def _category_values(facts: PropensityFacts, table: OfferTable) -> Columns:
    """What became of offers of the same category."""
    counts = np.zeros((3, len(table.categories)))
    for one in facts.sendings:
        row = table.categories.get(one.category)
        if row is not None:
            counts[:, row] += (1, one.viewed_at is not None, one.responded_at is not None)
    by_category = np.full_like(counts, NAN)
    by_category[0] = counts[0]
    np.divide(counts[1:], counts[0], out=by_category[1:], where=counts[0] > 0)
    return by_category[:, table.category_rows]


def _own_values(facts: PropensityFacts, table: OfferTable) -> Columns:
    """What became of the offer itself."""
    n_offers = len(table.items)
    values: NDArray[np.float64] = np.zeros((4, n_offers))
    values[1:3] = NAN
    responded = dict.fromkeys((one.item_id for one in facts.sendings), 0)
    for one in facts.sendings:
        row = table.rows.get(one.item_id)
        responded[one.item_id] += one.responded_at is not None
        if row is not None:
            values[0, row] += 1
            values[1, row] = responded[one.item_id] / values[0, row]
            values[2, row] = (facts.as_of - one.sent_at) / DAY
            values[3, row] = max(values[3, row], one.is_open_at(facts.as_of))
    return values
