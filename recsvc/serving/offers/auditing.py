"""Answer for offers. In: a customer, an offer. Out: what was decided, and why an offer is made, or is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recsvc.domain.decisions import Decision, Finding, Gate
from recsvc.domain.items import Channel, Item
from recsvc.domain.slates import Priority, SlateRequest
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers.deciding import Decided
from recsvc.serving.offers.facts import Facts
from recsvc.serving.offers.gates import findings_of
from recsvc.serving.offers.table import OfferTable


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an offer is made to a customer at a moment, or is not.

    `position` is its place on the list that is asked for, None where it is not on it. `refused_by` is the
    first gate that shuts, `also_refused_by` every other that does; `findings` are those of all gates in their
    order. `sentence` says it in one.
    """

    offer_id: str
    version: int
    as_of: datetime
    channel: Channel
    placement: str
    position: int | None
    refused_by: Gate | None
    also_refused_by: tuple[Gate, ...]
    priority: Priority | None
    findings: tuple[Finding, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """Some of a customer's decisions, latest first. `before` leads to the next page; None on the last."""

    decisions: tuple[Decision, ...]
    before: int | None


class KeptDecisions(Protocol):
    """Remembers decisions."""

    def of_customer(
        self, customer_id: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[tuple[int, Decision]]:
        """The latest decisions with their numbers, latest first. Raises StoreError."""
        ...


class AuditDesk:
    """Shows what was decided, and explains what would be."""

    def __init__(self, log: KeptDecisions, explain: Callable[[SlateRequest, str], Explanation]) -> None:
        self._log = log
        self._explain = explain

    def decisions(self, customer_id: str, *, before: int | None, limit: int) -> DecisionPage:
        """The customer's decisions, latest first. Raises StoreError."""
        found = self._log.of_customer(customer_id, before=before, limit=limit + 1)
        shown = found[:limit]
        last = shown[-1][0] if len(found) > limit else None
        return DecisionPage(tuple(decision for _, decision in shown), last)

    def explanation(self, request: SlateRequest, offer_id: str) -> Explanation:
        """Why the offer is on the list that is asked for, or is not. Raises NotFoundError, StoreError."""
        return self._explain(request, offer_id)


def explanation_of(
    offer: Item, table: OfferTable, facts: Facts, decided: Decided, policy: OffersPolicy
) -> Explanation:
    """What every gate finds of the offer, and what came of it."""
    findings = findings_of(offer, table, facts, policy)
    shut = [finding for finding in findings if not finding.passed]
    judged = next(one for one in decided.judged.each() if one.offer_id == offer.item_id)
    position = next((one.position for one in decided.chosen if one.offer_id == offer.item_id), None)
    return Explanation(
        offer_id=offer.item_id,
        version=offer.offer_terms.version,
        as_of=facts.now,
        channel=facts.asked.channel,
        placement=facts.asked.placement,
        position=position,
        refused_by=judged.refused_by,
        also_refused_by=tuple(one.gate for one in shut if one.gate is not judged.refused_by),
        priority=judged.priority,
        findings=findings,
        sentence=_sentence(judged.refused_by, position, shut),
    )


def _sentence(refused_by: Gate | None, position: int | None, shut: Sequence[Finding]) -> str:
    if position is not None:
        return f"The offer stands at place {position}."
    if refused_by is None:
        return "Every gate lets the offer pass, but the list is full of offers of higher priority."
    if refused_by is Gate.GROUP and not shut:
        return "Another offer of its exclusive group, or of its series, stands on the list in its stead."
    remedies = " ".join(one.remedy or "" for one in shut)
    return f"The offer is refused: {refused_by.value.replace('_', ' ')}. {remedies}".strip()
