"""What a request may know of its customer. In: a request. Out: one frozen `Subject`.

Consent and suitability fail closed: while the store cannot answer, nothing is personalised and no
offer is made. A customer without a record is judged by the policy and has no suitability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.errors import StoreError
from recsvc.policy import Policy
from recsvc.serving.protocols import CustomerDirectory, RecentHistory
from recsvc.serving.verification import Model

MAX_RECENT = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """The customer of one request, as far as it may be used.

    `history` is empty for a cold customer and without consent; `suppressed` names the items that the
    customer turned down. `risk_limit` None means that the suitability is unknown.
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
    suppressed: frozenset[str]
    degraded: tuple[str, ...]


class SubjectReader:
    """Gathers a `Subject` from the store and the bundle."""

    def __init__(self, directory: CustomerDirectory, recent: RecentHistory, policy: Policy) -> None:
        self._directory = directory
        self._recent = recent
        self._policy = policy

    def read(self, customer_id: str, *, channel: Channel, model: Model | None, now: datetime) -> Subject:
        """What may be known of the customer on the channel at this moment."""
        try:
            record = self._directory.find(customer_id)
            may_personalise = self._may_personalise(record)
            recent = self._recent_of(customer_id, model) if may_personalise else ()
        except StoreError:
            return self._unreachable(customer_id)
        history, suppressed = (
            _history(customer_id, model.bundle, recent, self._policy)
            if model and may_personalise
            else (EMPTY_HISTORY, frozenset[str]())
        )
        suitability = record.suitability if record else None
        return Subject(
            customer_id=customer_id,
            locale=(record.locale if record else None) or self._policy.serving.default_locale,
            may_personalise=may_personalise,
            may_market=self._may_market(record, channel),
            risk_limit=suitability.limit_at(now) if suitability else None,
            suitability_ends=suitability.expires_at if suitability else None,
            segment=self._segment(record) if may_personalise else None,
            history=history,
            has_recent=bool(recent),
            suppressed=suppressed,
            degraded=(),
        )

    def _may_personalise(self, record: Customer | None) -> bool:
        if record is None or record.consents is None:
            return self._policy.consent_without_record.personalisation
        return record.consents.personalisation

    def _may_market(self, record: Customer | None, channel: Channel) -> bool:
        if record is None or record.consents is None:
            return channel in self._policy.consent_without_record.marketing
        return channel in record.consents.marketing

    def _segment(self, record: Customer | None) -> str | None:
        """The customer's own segment; None where only the rule for everybody fits."""
        name = self._policy.segment_of(record.attributes if record else {})
        return None if name == self._policy.segments[-1].name else name

    def _recent_of(self, customer_id: str, model: Model | None) -> Sequence[Interaction]:
        until = model.bundle.manifest.data_window.until if model else None
        return self._recent.since(customer_id, until, MAX_RECENT) if until else ()

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
            suppressed=frozenset(),
            degraded=("store",),
        )


EMPTY_HISTORY = History(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


def _history(
    customer_id: str, bundle: Bundle, recent: Sequence[Interaction], policy: Policy
) -> tuple[History, frozenset[str]]:
    """The trained history with what happened since, and the items whose last word was a no."""
    customer_row = bundle.customers.row_of(customer_id)
    trained = bundle.history_of(customer_row) if customer_row is not None else EMPTY_HISTORY
    strengths = dict(zip(trained.item_rows.tolist(), trained.strengths.tolist(), strict=True))
    refused = bundle.refused_by(customer_row) if customer_row is not None else ()
    turned_down = {bundle.items.id_of(int(row)) for row in refused}
    scale = float(bundle.manifest.parameters.get("strength_scale", 1.0))
    for interaction in recent:
        rule = policy.interaction_types.get(interaction.type)
        if rule is None or interaction.item_id is None or rule.strength == 0:
            continue
        row = bundle.items.row_of(interaction.item_id)
        if rule.strength < 0:
            turned_down.add(interaction.item_id)
            strengths.pop(-1 if row is None else row, None)
            continue
        turned_down.discard(interaction.item_id)
        if row is not None:
            strengths[row] = strengths.get(row, 0.0) + rule.strength * scale
    history = History(
        np.fromiter(strengths.keys(), dtype=np.int32, count=len(strengths)),
        np.fromiter(strengths.values(), dtype=np.float32, count=len(strengths)),
    )
    return history, frozenset(turned_down)
