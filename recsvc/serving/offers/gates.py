"""The gates that stand before the ranking of offers.

In: facts, a table of offers. Out: who is refused by which.

Each gate is defined once, for all offers of a table, and looked up for one in an explanation. All fail
closed: what is not known to be allowed is not shown. Marketers' rules open none of them. What is counted
(caps, budgets, inventory) comes as a shortage from the store and shuts its gate here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from recsvc.domain.decisions import Finding, Gate
from recsvc.domain.items import Item
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers import shutting, words
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.markets import market_words
from recsvc.serving.offers.shutting import NOBODY, Shuts
from recsvc.serving.offers.table import OfferTable, Rows
from recsvc.serving.offers.words import Words


@dataclass(frozen=True, slots=True)
class GateRule:
    """A gate: which offers it refuses, what it compares, and what would open it.

    Where it says the same of many offers, `alike` numbers those of a table that are alike to it: (n_offers,).
    """

    gate: Gate
    shuts: Shuts
    compares: Words
    remedy: str
    alike: Callable[[OfferTable], Rows] | None = None


def findings_of(offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy) -> tuple[Finding, ...]:
    """What every gate finds of one offer of the table, in their order."""
    return tuple(_finding(rule, offer, table, facts, policy) for rule in GATES)


def _finding(rule: GateRule, offer: Item, table: OfferTable, facts: Facts, policy: OffersPolicy) -> Finding:
    shut = rule.shuts(table, facts, policy)
    passed = shut is NOBODY or not shut[table.row_of[offer.item_id]]
    remedy = None if passed else rule.remedy
    return Finding(rule.gate, passed, rule.compares(offer, table, facts, policy), remedy)


GATES: tuple[GateRule, ...] = (
    GateRule(
        Gate.CONSENT,
        shutting.no_consent,
        lambda offer, table, facts, policy: {
            "channel": facts.asked.channel.value,
            "consent": facts.customer.may_market,
        },
        "the customer agrees to marketing on the channel",
        alike=lambda table: np.zeros(len(table), dtype=np.int64),
    ),
    GateRule(Gate.BAN, shutting.banned, words.ban_words, "nothing: the law forbids it"),
    GateRule(
        Gate.SUITABILITY,
        shutting.not_suitable,
        words.suitability_words,
        "an assessment that has not expired allows the offer's risk class",
        alike=lambda table: table.risk_class,
    ),
    GateRule(
        Gate.TARGET_MARKET,
        shutting.outside_market,
        lambda offer, table, facts, policy: market_words(offer, facts.customer),
        "an assessment puts the customer into the target market and outside the negative one",
        alike=lambda table: table.market_numbers,
    ),
    GateRule(
        Gate.ELIGIBILITY,
        shutting.not_eligible,
        words.eligibility_words,
        "the customer's record fulfils the offer's rule",
        alike=lambda table: table.rule_numbers,
    ),
    GateRule(
        Gate.STATUS,
        shutting.not_live,
        lambda offer, table, facts, policy: {"status": offer.status.value},
        "the offer goes live",
    ),
    GateRule(
        Gate.VALIDITY, shutting.not_valid, words.validity_words, "the moment lies in the offer's validity"
    ),
    GateRule(
        Gate.CHANNEL,
        shutting.wrong_channel,
        lambda offer, table, facts, policy: {
            "channel": facts.asked.channel.value,
            "channels": ", ".join(offer.channels) or None,
        },
        "the list is asked for on a channel of the offer",
    ),
    GateRule(
        Gate.PLACEMENT,
        shutting.wrong_placement,
        lambda offer, table, facts, policy: {
            "placement": facts.asked.placement,
            "placements": ", ".join(offer.offer_terms.placements) or None,
        },
        "the list is asked for in a placement of the offer",
    ),
    GateRule(
        Gate.JURISDICTION,
        shutting.wrong_jurisdiction,
        lambda offer, table, facts, policy: {
            "country": facts.customer.country,
            "jurisdictions": ", ".join(offer.offer_terms.jurisdictions) or None,
        },
        "the customer's country is recorded, and one of the offer's jurisdictions",
    ),
    GateRule(
        Gate.SUPPRESSION,
        shutting.suppressed,
        words.suppression_words,
        "the days after the customer's no have passed",
    ),
    GateRule(
        Gate.CATEGORY,
        shutting.held_back,
        lambda offer, table, facts, policy: {"category": offer.category},
        "the days after the customer wanted no more of the category have passed",
    ),
    GateRule(Gate.CAP, shutting.capped, words.shortage_words, "an earlier contact leaves the window"),
    GateRule(
        Gate.BUDGET,
        shutting.short_of("budget", "daily_budget", "pacing"),
        words.shortage_words,
        "the budget is raised, or its pacing goes on",
    ),
    GateRule(Gate.INVENTORY, shutting.short_of("inventory"), words.shortage_words, "the inventory is raised"),
    GateRule(
        Gate.REQUEST,
        shutting.not_asked_for,
        words.request_words,
        "the list is asked for without leaving the offer out",
    ),
    GateRule(
        Gate.BLOCK,
        shutting.blocked,
        lambda offer, table, facts, policy: {"rule_id": facts.marketers.blocked.get(offer.item_id)},
        "the marketers' rule that blocks it ends",
    ),
    GateRule(
        Gate.PAIR,
        shutting.beside_content,
        lambda offer, table, facts, policy: {
            "category": offer.category,
            "beside": ", ".join(facts.beside) or None,
        },
        "no article beside it is of a category that the policy keeps apart from the offer's",
    ),
    GateRule(
        Gate.DISCLOSURE,
        shutting.not_told,
        lambda offer, table, facts, policy: {
            "locale": facts.asked.locale,
            "fallback": policy.disclosure_fallback,
        },
        "every disclosure has a text in the locale",
    ),
    GateRule(
        Gate.GROUP,
        shutting.taken,
        lambda offer, table, facts, policy: {"exclusive_group": offer.offer_terms.exclusive_group},
        "what is like it, or of its exclusive group, leaves the list",
    ),
)

OPEN = len(GATES)
"""In `refused_by`: no gate shut. It stands above the numbers of all gates."""

_OF_COUNTS = [
    number for number, rule in enumerate(GATES) if rule.gate in (Gate.CAP, Gate.BUDGET, Gate.INVENTORY)
]


def refused_by(table: OfferTable, facts: Facts, policy: OffersPolicy) -> Rows:
    """For each offer the number of the first of `GATES` that shuts, or `OPEN`: (n_offers,)."""
    return _lowered(np.full(len(table), OPEN), range(len(GATES)), table, facts, policy)


def refused_once_counted(refused: Rows, table: OfferTable, facts: Facts, policy: OffersPolicy) -> Rows:
    """The same, where these facts differ from those of `refused` in the counts alone, and more is short."""
    return _lowered(refused.copy(), _OF_COUNTS, table, facts, policy)


def _lowered(
    found: Rows, gates: Iterable[int], table: OfferTable, facts: Facts, policy: OffersPolicy
) -> Rows:
    """The first gates found, now that these are asked too."""
    for number in gates:
        shut = GATES[number].shuts(table, facts, policy)
        if shut is not NOBODY:
            np.minimum(found, number, out=found, where=shut)
            if shut.all():  # None that comes after it is the first.
                break
    return found
