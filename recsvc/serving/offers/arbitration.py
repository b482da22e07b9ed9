"""What an offer is worth at a place: priority = P × C × V × L.

In: numbers of offers. Out: the four, and order.

- P, the propensity, is that of the propensity model. Where a bundle has none, the place among the proposals
  stands in for it, and looks like a rate: `FIRST_RATE` at the first, and it falls as one over the place.
- C, the context, is 1 + ctx/100. Beside a propensity model the place among the proposals adds up to 100 %.
  What was shown of late and left alone, or is like what was turned down, loses a share of the whole.
- V, the value, is what a response is worth in the currency of the policy: at least 1, so that what has no
  price is ranked too. So counts a value in a currency that the policy has no rate for.
- L, the lever, is 1 + weights/100: the offer's `priority` in percent, its `weight` above or below 1, and what
  marketers' boosts and buries multiply to, above or below 1. It is at least `LEAST_LEVER`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.slates import Priority
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers.table import OfferTable, Rows

Floats = NDArray[np.float64]

FIRST_RATE = 0.1
LEAST_LEVER = 0.01
_DIGITS = 6


@dataclass(frozen=True)
class Factors:
    """The four factors of offers, row by row: (n_offers,) each."""

    propensity: Floats
    context: Floats
    value: Floats
    lever: Floats

    @property
    def priority(self) -> Floats:
        """The product."""
        return self.propensity * self.context * self.value * self.lever

    def at(self, place: int) -> Priority:
        """The factors of one offer."""
        columns = (self.propensity, self.context, self.value, self.lever)
        return Priority(*(column.item(place) for column in columns))


def context_of(percent: Floats) -> Floats:
    """C, of what the context adds or takes in percent."""
    return 1 + percent / 100


def lever_of(weights: Floats) -> Floats:
    """L, of the sum of all weights in percent."""
    return np.maximum(1 + weights / 100, LEAST_LEVER)


def factors_of(
    rows: Rows,
    propensity: Floats,
    weariness: Floats,
    table: OfferTable,
    boosts: Mapping[str, float],
    policy: OffersPolicy,
) -> Factors:
    """The factors of the offers of these rows of the table, best proposed first.

    Rounded, so that what an answer says of them multiplies to what they were ordered by.

    Args:
        propensity: that of the propensity model, NaN where it was not asked: (n_rows,).
        weariness: what is left of the relevance, 0 to 1: (n_rows,).
    """
    n = len(rows)
    places = np.arange(n)
    stand_in = FIRST_RATE / (places + 1)
    is_known = ~np.isnan(propensity)
    relevance = np.where(is_known, 1 - places / max(n, 1), 0.0)
    weights = table.weights[rows]
    if boosts:
        weights = weights + _floats(100 * (boosts.get(table.ids[row], 1.0) - 1) for row in rows.tolist())
    return Factors(
        propensity=_rounded(np.where(is_known, propensity, stand_in)),
        context=_rounded(context_of(100 * ((1 + relevance) * weariness - 1))),
        value=_rounded(np.maximum(table.value[rows] * _rates(table, policy)[rows], 1.0)),
        lever=_rounded(lever_of(weights)),
    )


def _rates(table: OfferTable, policy: OffersPolicy) -> Floats:
    """What a unit of each offer's currency is worth: (n_offers,)."""
    return np.array([policy.rate_of(currency) for currency in table.currencies])[table.currency_of]


def _floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)


def _rounded(values: Floats) -> Floats:
    return values.round(_DIGITS)
