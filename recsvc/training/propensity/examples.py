"""From sendings to examples. In: what customers did, a plan. Out: one row of numbers for each sending.

A row holds what was known at the moment of its sending. Whether the customer responded is known in full once
the window of the sending has closed; of one that is still open it is known for the days that were seen, and
it is learned from as an offer that lasted no longer. With less than `LEAST_SEEN` of its window it is left
out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.propensity import PropensityPlan
from recsvc.bundles.propensity_features import customer_values, feature_names
from recsvc.bundles.propensity_offers import Columns, tabulate_offers
from recsvc.bundles.propensity_pairs import pair_values
from recsvc.domain.items import AttributeValue, Item
from recsvc.domain.propensity import DAY, PropensityFacts, Sending, gather_facts
from recsvc.training.propensity.pasts import Past

LEAST_SEEN = 0.25

Attributes = Mapping[str, Mapping[str, AttributeValue]]
"""The attributes of customers, by id."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Sendings as a model learns from them, row by row, in an order that hangs on no id.

    `values` is (n, n_features), the rest (n,): `responded` within the days seen, `closed` where the whole
    window was seen, `customers` a number for each customer, `offers` the row of the offer in `items`.
    """

    values: Columns
    responded: NDArray[np.bool_]
    closed: NDArray[np.bool_]
    customers: NDArray[np.int64]
    offers: NDArray[np.int64]
    sendings: tuple[Sending, ...]
    items: tuple[Item, ...]

    def __len__(self) -> int:
        return len(self.sendings)


def make_examples(
    pasts: Sequence[Past],
    items: Sequence[Item],
    attributes: Attributes,
    plan: PropensityPlan,
    *,
    until: datetime,
) -> Examples:
    """A row for every sending of one of the items of which enough was seen by `until`."""
    row_of = {item.item_id: row for row, item in enumerate(items)}
    tables = [tabulate_offers([item], plan) for item in items]
    rows, customers, kept = [], [], []
    for number, past in enumerate(pasts):
        wanted = [one for one in past.sendings if one.item_id in row_of and is_learned_from(one, until)]
        for sent_at, group in groupby(wanted, key=lambda one: one.sent_at):
            facts = facts_at(past, attributes, plan, sent_at)
            for one in group:
                table = tables[row_of[one.item_id]]
                pair = pair_values(facts, table, seen_days=(until - sent_at) / DAY)
                rows.append([*customer_values(facts, one.channel, plan), *table.values[0], *pair[:, 0]])
                customers.append(number)
                kept.append(one)
    return _in_order(
        Examples(
            values=np.array(rows, dtype=np.float64).reshape(len(rows), len(feature_names(plan))),
            responded=np.array([one.responded_at is not None for one in kept], dtype=np.bool_),
            closed=np.array([one.ends_at <= until for one in kept], dtype=np.bool_),
            customers=np.array(customers, dtype=np.int64),
            offers=np.array([row_of[one.item_id] for one in kept], dtype=np.int64),
            sendings=tuple(kept),
            items=tuple(items),
        )
    )


def facts_at(past: Past, attributes: Attributes, plan: PropensityPlan, moment: datetime) -> PropensityFacts:
    """What was known of the customer at the moment."""
    n_before = bisect_left(past.interactions, moment, key=lambda one: one.occurred_at)
    return gather_facts(
        attributes.get(past.customer_id, {}),
        past.interactions[:n_before],
        plan.offers,
        plan.rules,
        since=plan.since,
        as_of=moment,
    )


def is_learned_from(sending: Sending, until: datetime) -> bool:
    """Whether enough of its window was seen."""
    return (until - sending.sent_at) / (sending.ends_at - sending.sent_at) >= LEAST_SEEN


def part_of(examples: Examples, is_kept: Callable[[Sending], bool]) -> Examples:
    """The examples of some sendings."""
    return _rows(examples, np.flatnonzero([is_kept(one) for one in examples.sendings]))


def _in_order(examples: Examples) -> Examples:
    """By what is known of the sendings; customers are numbered in that order."""
    keys = np.column_stack([examples.responded, np.nan_to_num(examples.values, nan=-1e300)])
    ordered = _rows(examples, np.lexsort(keys.T))
    _, firsts, numbers = np.unique(ordered.customers, return_index=True, return_inverse=True)
    places = np.argsort(np.argsort(firsts))
    return Examples(
        ordered.values,
        ordered.responded,
        ordered.closed,
        places[numbers].astype(np.int64),
        ordered.offers,
        ordered.sendings,
        ordered.items,
    )


def _rows(examples: Examples, rows: NDArray[np.int64]) -> Examples:
    return Examples(
        examples.values[rows],
        examples.responded[rows],
        examples.closed[rows],
        examples.customers[rows],
        examples.offers[rows],
        tuple(examples.sendings[row] for row in rows.tolist()),
        examples.items,
    )
