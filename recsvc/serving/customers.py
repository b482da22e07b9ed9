"""What a request may know of its customer. In: a request. Out: one frozen `Subject`.

Consent and suitability fail closed: while the store cannot answer, nothing is personalised and no
offer is made. A customer without a record is judged by the policy and has no suitability. A customer
who was erased begins anew: nothing from before counts, not even in a bundle that was trained before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from recsvc.bundles.bundle import History
from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Known
from recsvc.domain.items import Channel, Item
from recsvc.domain.records import Versioned
from recsvc.errors import StoreError
from recsvc.policy import Policy
from recsvc.serving.protocols import CustomerDirectory, EventHistory
from recsvc.serving.signals import (
    EMPTY_HISTORY,
    STANDING_TYPES,
    may_still_market,
    read_signals,
    signals_alone,
)
from recsvc.serving.verification import Model

MAX_RECENT = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """The customer of one request, as far as it may be used.

    `history` is empty for a cold customer and without consent; `seen` names used items that the model has
    no row for; `suppressed` names the items that the customer turned down, `held_back` the categories.
    `risk_limit` None means that the suitability is unknown.
    """

    customer_id: str
    locale: str
    may_personalise: bool
    may_market: bool
    risk_limit: int | None
    suitability_ends: datetime | None
    segment: str | None
    history: History
    has_recent: bool
    seen: frozenset[str]
    suppressed: frozenset[str]
    held_back: frozenset[str]
    degraded: tuple[str, ...]


class SubjectReader:
    """Gathers a `Subject` from the store and the bundle."""

    def __init__(self, directory: CustomerDirectory, events: EventHistory, policy: Policy) -> None:
        self._directory = directory
        self._events = events
        self._policy = policy

    def read(
        self,
        customer_id: str,
        *,
        channel: Channel,
        model: Model | None,
        items: Mapping[str, Item],
        now: datetime,
    ) -> Subject:
        """What may be known of the customer on the channel at this moment."""
        try:
            kept = self._directory.get(customer_id)
            erased_at = self._directory.erased_at(customer_id)
            known = self._known(customer_id, model)
        except StoreError:
            return self._unreachable(customer_id)
        record = kept.value if kept else None
        may_personalise = self._may_personalise(record)
        signals = (
            read_signals(_row(customer_id, model, erased_at), model.bundle, known, self._policy, now=now)
            if model and may_personalise
            else signals_alone(known, self._policy, now=now)
        )
        categories = (items[item_id].category for item_id in signals.held_back if item_id in items)
        suitability = record.suitability if record else None
        return Subject(
            customer_id=customer_id,
            locale=(record.locale if record else None) or self._policy.serving.default_locale,
            may_personalise=may_personalise,
            may_market=self._may_market(kept, known, channel, now),
            risk_limit=suitability.limit_at(now) if suitability else None,
            suitability_ends=suitability.expires_at if suitability else None,
            segment=self._segment(record) if may_personalise else None,
            history=signals.history,
            has_recent=signals.has_recent,
            seen=frozenset() if self._policy.serving.repeat_content else signals.seen,
            suppressed=signals.turned_down,
            held_back=frozenset(category for category in categories if category),
            degraded=(),
        )

    def _may_personalise(self, record: Customer | None) -> bool:
        if record is None or record.consents is None:
            return self._policy.consent_without_record.personalisation
        return record.consents.personalisation

    def _may_market(
        self, kept: Versioned[Customer] | None, known: Known, channel: Channel, now: datetime
    ) -> bool:
        consents = kept.value.consents if kept else None
        if consents is None:
            agreed, agreed_at = channel in self._policy.consent_without_record.marketing, None
        else:
            agreed, agreed_at = channel in consents.marketing, kept.written_at if kept else None
        return agreed and may_still_market(known, channel, self._policy, agreed_at=agreed_at, now=now)

    def _segment(self, record: Customer | None) -> str | None:
        """The customer's own segment; None where only the rule for everybody fits."""
        name = self._policy.segment_of(record.attributes if record else {})
        return None if name == self._policy.segments[-1].name else name

    def _known(self, customer_id: str, model: Model | None) -> Known:
        """What happened since the model learned, and the words that stand whatever their age."""
        facts = model.bundle.manifest if model else None
        return self._events.known(
            customer_id,
            occurred_after=facts.data_window.until if facts else None,
            received_after=facts.created_at if facts else None,
            limit=MAX_RECENT,
            always=STANDING_TYPES,
        )

    def _unreachable(self, customer_id: str) -> Subject:
        return Subject(
            customer_id=customer_id,
            locale=self._policy.serving.default_locale,
            may_personalise=False,
            may_market=False,
            risk_limit=None,
            suitability_ends=None,
            segment=None,
            history=EMPTY_HISTORY,
            has_recent=False,
            seen=frozenset(),
            suppressed=frozenset(),
            held_back=frozenset(),
            degraded=("store",),
        )


def _row(customer_id: str, model: Model, erased_at: datetime | None) -> int | None:
    """The customer's row in the bundle; None for one who was erased after it was trained."""
    if erased_at is not None and erased_at >= model.bundle.manifest.created_at:
        return None
    return model.bundle.customers.row_of(customer_id)
