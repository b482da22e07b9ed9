"""Decide which offers a customer sees.

In: facts, a table of offers, the policy. Out: what was judged and chosen.

A pure function: whoever has the same three gets the same decision, today or in a year.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsvc.domain.decisions import ChosenOffer, Compared, Gate, JudgedOffer
from recsvc.domain.slates import Priority
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.candidate import Candidate
from recsvc.serving.offers.arbitration import Factors, Floats, factors_of
from recsvc.serving.offers.choosing import choose
from recsvc.serving.offers.exploring import Draw, draw
from recsvc.serving.offers.facts import Facts, Proposal
from recsvc.serving.offers.gates import GATES, OPEN, refused_by
from recsvc.serving.offers.table import OfferTable, Rows
from recsvc.serving.offers.texts import disclosures_of
from recsvc.serving.reranking import relevant_enough


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of the facts: every offer judged, by id, and the list."""

    judged: tuple[JudgedOffer, ...]
    chosen: tuple[ChosenOffer, ...]


@dataclass(frozen=True)
class _Ranked:
    """The survivors by their order on the list; `places` lead to them in the order in which they are
    proposed."""

    rows: Rows
    factors: Factors
    by_priority: Rows
    places: Rows
    drawn: Draw | None


def decide(facts: Facts, table: OfferTable, policy: OffersPolicy) -> Decided:
    """The decision that follows from the facts."""
    refused = refused_by(table, facts, policy)
    proposals = _surviving(facts, table, refused)
    ranked = _rank(proposals, facts, table, policy)
    chosen = choose(ranked.rows[ranked.places].tolist(), facts, table)
    priorities = dict(zip(ranked.rows.tolist(), ranked.factors.each(), strict=True))
    return Decided(
        _judged(facts, table, policy, refused, chosen, priorities),
        _placed(chosen, ranked, facts, table, policy, priorities),
    )


def survivors_of(
    facts: Facts, table: OfferTable, policy: OffersPolicy, among: Rows | None = None
) -> list[str]:
    """The offers that every gate lets pass, by id; only those of the rows `among`, where it is given."""
    rows = table.all_rows if among is None else among
    is_open = refused_by(table, facts, policy, rows)[rows] == OPEN
    return [table.ids[row] for row in rows[is_open].tolist()]


def _surviving(facts: Facts, table: OfferTable, refused: Rows) -> Sequence[Proposal]:
    """The proposals that every gate lets pass, best first."""
    is_open = (refused == OPEN).tolist()
    rows = table.row_of
    passing = [one for one in facts.proposals if one.offer_id in rows and is_open[rows[one.offer_id]]]
    if facts.lists.least_relevance == 0:
        return passing
    by_id = {one.offer_id: one for one in passing}
    candidates = [Candidate(table.items[rows[one.offer_id]], one.score, one.source, None) for one in passing]
    relevant = relevant_enough(candidates, facts.lists.least_relevance)
    return [by_id[one.item.item_id] for one in relevant]


def _rank(proposals: Sequence[Proposal], facts: Facts, table: OfferTable, policy: OffersPolicy) -> _Ranked:
    """The survivors by falling priority, or by what was drawn where the policy explores."""
    rows = table.rows_of(one.offer_id for one in proposals)
    factors = factors_of(proposals, rows, table, facts.marketers.factors, policy)
    by_priority = np.argsort(-factors.priority, kind="stable")
    if policy.exploration == 0 or not len(rows):
        return _Ranked(rows, factors, by_priority, by_priority, None)
    worth: Floats = factors.context * factors.value * factors.lever
    evidence = np.array([one.evidence for one in proposals])
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
    priorities: Mapping[int, Priority],
) -> tuple[ChosenOffer, ...]:
    place_of = {row: place for place, row in enumerate(ranked.rows.tolist())}
    usual = {place: order for order, place in enumerate(ranked.by_priority.tolist())}
    drawn_order = {place: order for order, place in enumerate(ranked.places.tolist())}
    pinned = {offer_id for _, offer_id in facts.marketers.pins}
    placed = []
    for position, row in enumerate(chosen, start=1):
        place, offer = place_of[row], table.items[row]
        is_pinned = offer.item_id in pinned
        placed.append(
            ChosenOffer(
                offer_id=offer.item_id,
                version=offer.offer_terms.version,
                position=position,
                priority=priorities[row],
                propensity=_propensity(ranked, place, position, facts, is_pinned=is_pinned),
                explored=not is_pinned and drawn_order[place] < usual[place],
                disclosures=disclosures_of(offer, facts.asked.locale, policy),
            )
        )
    return tuple(placed)


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
    priorities: Mapping[int, Priority],
) -> tuple[JudgedOffer, ...]:
    """Every offer with the first gate that shut on it, or with its priority."""
    instead, listed = _stand_instead(chosen, table), frozenset(chosen)
    judged = []
    nothing: Mapping[str, Compared] = {}
    for row, number in enumerate(refused.tolist()):
        gate, compared = None, nothing
        if number != OPEN:
            rule = GATES[number]
            gate, compared = rule.gate, rule.compares(table.items[row], table, facts, policy)
        elif row not in listed and (other := instead(row)) is not None:
            group = table.items[row].offer_terms.exclusive_group
            gate, compared = Gate.GROUP, {"exclusive_group": group, "instead": other}
        judged.append(JudgedOffer(table.ids[row], table.versions[row], gate, compared, priorities.get(row)))
    return tuple(judged)


def _stand_instead(chosen: Sequence[int], table: OfferTable) -> Callable[[int], str | None]:
    """Finds for a row the offer on the list that is of its exclusive group, or is one with it."""
    taken: dict[object, str] = {}
    for row in chosen:
        taken |= dict.fromkeys(table.places[row], table.ids[row])

    def instead(row: int) -> str | None:
        if taken.keys().isdisjoint(table.places[row]):
            return None
        return min(taken[place] for place in table.places[row] if place in taken)

    return instead
