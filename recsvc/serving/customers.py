"""What a request may know of its customer. In: a request. Out: one frozen `Subject`.

Consent and suitability fail closed: while the store cannot answer, nothing is personalised and no
offer is made. A customer without a record is judged by the policy and has no suitability.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from recsvc.domain.customers import Customer
from recsvc.domain.items import Channel
from recsvc.errors import StoreError
from recsvc.policy import Policy
from recsvc.serving.past import NO_PAST, Past, read_past
from recsvc.serving.protocols import CustomerDirectory, RecentHistory
from recsvc.serving.verification import Model

MAX_RECENT = 200
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)  # No event is older.


@dataclass(frozen=True, slots=True)
class Subject:
    """The customer of one request, as far as it may be used.

    `past` is empty for a cold customer and without consent to personalisation. `risk_limit` None means that
    the suitability is unknown; `segment` None, that only the rule for everybody fits.
    """

    customer_id: str
    locale: str
    may_market: bool
    risk_limit: int | None
    suitability_ends: datetime | None
    segment: str | None
    past: Past
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
            past = self._past_of(customer_id, model) if may_personalise else NO_PAST
        except StoreError:
            return self._unreachable(customer_id)
        suitability = record.suitability if record else None
        return Subject(
            customer_id=customer_id,
            locale=(record.locale if record else None) or self._policy.serving.default_locale,
            may_market=self._may_market(record, channel),
            risk_limit=suitability.limit_at(now) if suitability else None,
            suitability_ends=suitability.expires_at if suitability else None,
            segment=self._segment(record) if may_personalise else None,
            past=past,
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

    def _past_of(self, customer_id: str, model: Model | None) -> Past:
        """What the model knows with what it cannot know: all of it, for a customer whom it never met."""
        bundle = model.bundle if model else None
        customer_row = bundle.customers.row_of(customer_id) if bundle else None
        since = _BEGINNING
        if bundle is not None and customer_row is not None:
            since = bundle.manifest.data_window.until or bundle.manifest.created_at
        recent = self._recent.since(customer_id, since, MAX_RECENT)
        return read_past(customer_row, bundle, recent, self._policy)

    def _unreachable(self, customer_id: str) -> Subject:
        return Subject(
            customer_id=customer_id,
            locale=self._policy.serving.default_locale,
            may_market=False,
            risk_limit=None,
            suitability_ends=None,
            segment=None,
            past=NO_PAST,
            degraded=("store",),
        )
