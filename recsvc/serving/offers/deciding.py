"""Decide which offers a customer sees.

In: facts, a table of offers, the policy. Out: what was judged and chosen.

A pure function: whoever has the same three gets the same decision, today or in a year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsvc.domain.decisions import ChosenOffer, Compared, Gate, Judged
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.candidate import Candidate
from recsvc.serving.offers.arbitration import Factors, Floats, factors_of
from recsvc.serving.offers.choosing import choose
from recsvc.serving.offers.exploring import Draw, draw
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.gates import GATES, OPEN, refused_by
from recsvc.serving.offers.table import OfferTable, Rows
from recsvc.serving.offers.texts import told_in
from recsvc.serving.reranking import relevant_enough

_GATES: tuple[Gate | None, ...] = (*(rule.gate for rule in GATES), None)  # The last one is at `OPEN`.


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of the facts: every offer judged, and the list."""

    judged: Judged
    chosen: tuple[ChosenOffer, ...]


NOTHING = Decided(Judged(), ())
"""What is decided where nobody is asked."""


@dataclass(frozen=True)
class _Ranked:
    """The survivors, best proposed first; `by_priority` and `places` lead to them in the order of priority,
    and in that of the list."""

    rows: Rows
    factors: Factors
    by_priority: Rows
    places: Rows
    drawn: Draw | None


def decide(facts: Facts, table: OfferTable, policy: OffersPolicy) -> Decided:
    """The decision that follows from the facts."""
    return decide_among(refused_by(table, facts, policy), facts, table, policy)


def decide_among(refused: Rows, facts: Facts, table: OfferTable, policy: OffersPolicy) -> Decided:
    """The same decision, where it is known already which gate refuses which offer: (n_offers,)."""
    ranked = _rank(refused, facts, table, policy)
    chosen = choose(ranked.rows[ranked.places].tolist(), facts, table)
    return Decided(
        _judged(facts, table, policy, refused, chosen, ranked),
        _placed(chosen, ranked, facts, table, policy),
    )


def _surviving(refused: Rows, facts: Facts, table: OfferTable) -> tuple[Rows, Rows]:
    """The proposals that every gate lets pass, best first: their places, and their rows in the table."""
    proposals = facts.proposals
    rows = np.array([table.row_of.get(offer_id, -1) for offer_id in proposals.offer_ids], dtype=np.int64)
    is_open = np.append(refused == OPEN, False)  # What the table does not hold, at row -1, is not open.
    passing = np.flatnonzero(is_open[rows])
    if facts.lists.least_relevance > 0:
        candidates = [
            Candidate(table.items[rows[place]], proposals.scores[place], proposals.sources[place], place)
            for place in passing.tolist()
        ]
        relevant = relevant_enough(candidates, facts.lists.least_relevance)
        passing = np.array([one.row for one in relevant], dtype=np.int64)
    return passing, rows[passing]


def _rank(refused: Rows, facts: Facts, table: OfferTable, policy: OffersPolicy) -> _Ranked:
    """The survivors by falling priority, or by what was drawn where the policy explores."""
    proposed, rows = _surviving(refused, facts, table)
    propensity = np.array(facts.proposals.propensity, dtype=np.float64)[proposed]
    weariness = np.array(facts.proposals.weariness)[proposed]
    factors = factors_of(rows, propensity, weariness, table, facts.marketers.factors, policy)
    by_priority = np.argsort(-factors.priority, kind="stable")
    if policy.exploration == 0 or not len(rows):
        return _Ranked(rows, factors, by_priority, by_priority, None)
    worth: Floats = factors.context * factors.value * factors.lever
    evidence = np.array(facts.proposals.evidence)[proposed]
    drawn = draw(
        factors.propensity, evidence, worth, table.keys[rows], facts.seed, least_share=policy.exploration
    )
    places = np.argsort(-drawn.propensity * worth, kind="stable")
    if drawn.first is not None:
        places = np.concatenate([[drawn.first], places[places != drawn.first]])
    return _Ranked(rows, factors, by_priority, places, drawn)


def _placed(
    chosen: Sequence[int],
    ranked: _Ranked,
    facts: Facts,
    table: OfferTable,
    policy: OffersPolicy,
) -> tuple[ChosenOffer, ...]:
    usual, drawn = _order_of(ranked.by_priority), _order_of(ranked.places)
    pinned = {offer_id for _, offer_id in facts.marketers.pins}
    place_of = {row: place for place, row in enumerate(ranked.rows.tolist())}
    disclosures = told_in(facts.asked.locale, table, policy).disclosures
    placed = []
    for position, row in enumerate(chosen, start=1):
        place, offer = place_of[row], table.items[row]
        is_pinned = offer.item_id in pinned
        placed.append(
            ChosenOffer(
                offer_id=offer.item_id,
                version=offer.offer_terms.version,
                position=position,
                priority=ranked.factors.at(place),
                propensity=_propensity(ranked, place, position, facts, is_pinned=is_pinned),
                explored=not is_pinned and bool(drawn[place] < usual[place]),
                disclosures=disclosures[row],
            )
        )
    return tuple(placed)


def _order_of(places: Rows) -> Rows:
    """For each place the number at which it comes in an order of places."""
    order = np.empty_like(places)
    order[places] = np.arange(len(places))
    return order


def _propensity(ranked: _Ranked, place: int, position: int, facts: Facts, *, is_pinned: bool) -> float | None:
    """The exact chance of the offer's place: of all places without a draw, of the first one with one.

    Below the first place it hangs on groups, categories and what else was drawn. A pin leaves nothing to
    chance at its own position, and everything unknown around it.
    """
    if ranked.drawn is None:
        return 1.0
    if facts.marketers.pins:
        return 1.0 if is_pinned and position == 1 else None
    return float(ranked.drawn.share[place]) if position == 1 else None


def _judged(
    facts: Facts,
    table: OfferTable,
    policy: OffersPolicy,
    refused: Rows,
    chosen: Sequence[int],
    ranked: _Ranked,
) -> Judged:
    """Every offer with the first gate that shut on it, or with its priority."""
    numbers = refused.tolist()
    gates = [_GATES[number] for number in numbers]
    compared = _compared(refused, facts, table, policy)
    for row, instead in _stand_instead(chosen, table).items():
        if gates[row] is None and row not in chosen:
            gates[row] = Gate.GROUP
            group = table.items[row].offer_terms.exclusive_group
            compared[row] = {"exclusive_group": group, "instead": instead}
    return Judged(
        offer_ids=table.ids,
        versions=table.versions,
        refused_by=tuple(gates),
        compared=tuple([compared[row] for row in sorted(compared)]),
        ranked=tuple(ranked.rows.tolist()),
        propensity=tuple(ranked.factors.propensity.tolist()),
        context=tuple(ranked.factors.context.tolist()),
        value=tuple(ranked.factors.value.tolist()),
        lever=tuple(ranked.factors.lever.tolist()),
    )


def _compared(
    refused: Rows, facts: Facts, table: OfferTable, policy: OffersPolicy
) -> dict[int, Mapping[str, Compared]]:
    """What was compared, by the row of each offer that was refused."""
    found: dict[int, Mapping[str, Compared]] = {}
    for number in {*refused.tolist()} - {OPEN}:
        rule, rows = GATES[number], np.flatnonzero(refused == number)
        kinds = rows if rule.alike is None else rule.alike(table)[rows]
        said: dict[int, Mapping[str, Compared]] = {}
        for row, kind in zip(rows.tolist(), kinds.tolist(), strict=True):
            if kind not in said:
                said[kind] = rule.compares(table.items[row], table, facts, policy)
            found[row] = said[kind]
    return found


def _stand_instead(chosen: Sequence[int], table: OfferTable) -> Mapping[int, str]:
    """By row the offer on the list that is of its exclusive group, or is one with it: the first by id."""
    found: dict[int, str] = {}
    for row in sorted(chosen, reverse=True):  # Rows are in the order of ids.
        for place in table.places[row]:
            found |= dict.fromkeys(table.by_place[place].tolist(), table.ids[row])
    return found
