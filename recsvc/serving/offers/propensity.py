"""The chance that a customer responds to an offer. In: facts, offers. Out: a probability for each of them.

All trees are walked at once for all offers, without a step from node to node (QuickScorer, Lucchese et al.
2015): each leaf of a tree is a bit; each comparison that fails clears the bits of the leaves on its left; the
lowest bit that is left is the leaf that is reached. For every number that is compared, a table holds what is
left of the bits of all trees for each range of the number, so that a comparison is one row of it. What hangs
on the customer alone is one row for all offers, what hangs on the offer alone is kept from call to call.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.propensity import MOST_LEAVES, PropensityModel
from recsvc.bundles.propensity_features import OF_BOTH, customer_values, n_of_customer
from recsvc.bundles.propensity_offers import OfferTable, tabulate_offers
from recsvc.bundles.propensity_pairs import pair_values
from recsvc.domain.interactions import Deed, Interaction
from recsvc.domain.items import AttributeValue, Channel, Item
from recsvc.domain.propensity import KnownOffer, PropensityFacts, gather_facts, known_offers

Bits = NDArray[np.uint16]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
_ALL = np.uint16(0xFFFF)
_LOWEST = np.array([0, *((n & -n).bit_length() - 1 for n in range(1, 1 << 16))], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What is left of the bits of all trees, for each range of a number: (n_ranges + 1, n_trees).

    The ranges are parted by the thresholds; the last row is for a number that is missing.
    """

    thresholds: tuple[float, ...]
    ascending: Floats
    left: Bits

    def of_one(self, number: float) -> Bits:
        """The bits that one number leaves: (n_trees,)."""
        row: Bits = self.left[-1 if math.isnan(number) else bisect_left(self.thresholds, number)]
        return row

    def of_many(self, numbers: Floats) -> Bits:
        """The bits that numbers leave: (n, n_trees)."""
        ranges = self.ascending.searchsorted(numbers)
        ranges[np.isnan(numbers)] = len(self.left) - 1
        return self.left.take(ranges, axis=0)


@dataclass(frozen=True, slots=True)
class _Offers:
    """Offers, the bits that their own numbers leave, (n_offers, n_trees), and their evidence: (n_offers,)."""

    given: Sequence[Item]
    table: OfferTable
    known: Mapping[str, KnownOffer]
    bits: Bits
    evidence: Floats


class PropensityScorer:
    """A bundle's propensity model, ready to be asked by any thread."""

    def __init__(self, model: PropensityModel, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.model = model
        plan = model.plan
        self._n_trees = len(arrays["propensity_trees"]) - 1
        self._slope, self._intercept = arrays["propensity_calibration"].tolist()
        comparisons, self._values = _read_trees(arrays)
        first, last = n_of_customer(plan), len(model.features) - len(OF_BOTH)
        self._of_customer = [(row, one) for row, one in comparisons.items() if row < first]
        self._of_offer = [(row - first, one) for row, one in comparisons.items() if first <= row < last]
        self._of_both = [(row - last, one) for row, one in comparisons.items() if row >= last]
        self._leaf_of_tree = np.arange(self._n_trees) * MOST_LEAVES
        self._last = self._prepare(())

    def facts(
        self,
        attributes: Mapping[str, AttributeValue],
        interactions: Sequence[Interaction | Deed],
        offers: Sequence[Item],
        now: datetime,
    ) -> PropensityFacts:
        """What the model may know of a customer, gathered as it was for training.

        Args:
            interactions: in the order of time. `model.plan.rules.types` are those that count; of these
                `domain.propensity.MAX_KNOWN` are enough.
            offers: those of the catalogue, which training may not have known.
        """
        prepared = self._prepared(offers)
        rules = self.model.plan.rules
        return gather_facts(
            attributes, interactions, prepared.known, rules, since=self.model.plan.since, as_of=now
        )

    def propensities(
        self,
        facts: PropensityFacts,
        offers: Sequence[Item],
        channel: Channel | None,
        rows: Rows | None = None,
    ) -> Floats:
        """The chance of a response to each of the offers, sent to the customer now: (n_offers,).

        Ask with the same sequence of offers again and again: what is the same for everybody is kept.

        Args:
            rows: the places of the offers that are asked about, in any order; None for all: (n_rows,).
        """
        prepared = self._prepared(offers)
        asked = np.arange(len(offers)) if rows is None else rows
        of_customer = customer_values(facts, channel, self.model.plan)
        bits = prepared.bits.take(asked, axis=0)
        left = [one.of_one(of_customer[row]) for row, one in self._of_customer]
        if left:
            bits &= np.bitwise_and.reduce(left)
        of_both = pair_values(facts, prepared.table).take(asked, axis=1)
        for row, one in self._of_both:
            bits &= one.of_many(of_both[row])
        leaves = _LOWEST.take(bits) + self._leaf_of_tree
        raw = self.model.baseline + self._values.take(leaves).sum(axis=1)
        return np.asarray(1 / (1 + np.exp(-(self._slope * raw + self._intercept))))

    def evidence(self, offers: Sequence[Item]) -> Floats:
        """Of how many sendings the response to each of the offers is known: (n_offers,)."""
        return self._prepared(offers).evidence

    def _prepared(self, offers: Sequence[Item]) -> _Offers:
        last = self._last
        if last.given is not offers:
            self._last = last = self._prepare(offers)
        return last

    def _prepare(self, offers: Sequence[Item]) -> _Offers:
        table = tabulate_offers(offers, self.model.plan)
        bits = np.full((len(offers), self._n_trees), _ALL)
        for row, one in self._of_offer:
            bits &= one.of_many(table.values[:, row])
        plan = self.model.plan
        sent = [plan.offers[one.item_id].counts.sent if one.item_id in plan.offers else 0 for one in offers]
        known = {**plan.offers, **known_offers(offers, plan.rules.offers)}
        return _Offers(offers, table, known, bits, np.array(sent, dtype=np.float64))


def open_propensities(bundle: Bundle) -> PropensityScorer | None:
    """The propensity model of a bundle; None where it has none."""
    model = bundle.manifest.propensity
    return PropensityScorer(model, bundle.arrays) if model else None


def _read_trees(arrays: Mapping[str, NDArray[Any]]) -> tuple[Mapping[int, _Comparison], Floats]:
    """A table for each number that is compared, by its row; and values of leaves, `MOST_LEAVES` a tree."""
    starts = arrays["propensity_trees"].tolist()
    feature, threshold, left, right, missing_left, value = (
        arrays[f"propensity_{name}"].tolist()
        for name in ("feature", "threshold", "left", "right", "missing_left", "value")
    )
    values = np.zeros(MOST_LEAVES * (len(starts) - 1))
    nodes: dict[int, list[tuple[float, int, int, bool]]] = {}

    def walk(node: int, tree: int, n_leaves: int) -> int:
        """Number the leaves below a node from left to right, and note what its comparison clears."""
        if feature[node] < 0:
            values[tree * MOST_LEAVES + n_leaves] = value[node]
            return n_leaves + 1
        middle = walk(left[node], tree, n_leaves)
        cleared = (1 << middle) - (1 << n_leaves)
        noted = (threshold[node], tree, cleared, bool(missing_left[node]))
        nodes.setdefault(feature[node], []).append(noted)
        return walk(right[node], tree, middle)

    for tree, root in enumerate(starts[:-1]):
        walk(root, tree, 0)
    n_trees = len(starts) - 1
    return {row: _comparison(nodes[row], n_trees) for row in sorted(nodes)}, values


def _comparison(nodes: Sequence[tuple[float, int, int, bool]], n_trees: int) -> _Comparison:
    thresholds = sorted({threshold for threshold, *_ in nodes})
    left = np.full((len(thresholds) + 2, n_trees), _ALL)
    for threshold, tree, cleared, missing_goes_left in nodes:
        kept = np.uint16(0xFFFF & ~cleared)
        # A number above the threshold goes right: in every range that begins at it, or later.
        left[bisect_left(thresholds, threshold) + 1 : -1, tree] &= kept
        if not missing_goes_left:
            left[-1, tree] &= kept
    return _Comparison(tuple(thresholds), np.array(thresholds), left)
