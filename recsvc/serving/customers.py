"""What a request may know of its customer. In: a request. Out: one frozen `Subject`.

Consent and suitability fail closed: while the store cannot answer, nothing is personalised and no
offer is made. A customer without a record is judged by the policy and has no suitability. A customer
who was erased begins anew: nothing from before counts, not even in a bundle that was trained before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import merge

from recsvc.bundles.bundle import Bundle
from recsvc.domain.customers import Customer
from recsvc.domain.interactions import IMPRESSION, STANDING_TYPES, Deed, Interaction, Known
from recsvc.domain.items import Channel, Item
from recsvc.domain.records import Versioned
from recsvc.domain.slates import ANONYMOUS
from recsvc.errors import StoreError
from recsvc.policy import Policy
from recsvc.policy_lists import ListsPolicy
from recsvc.serving.objections import Refusal, held_back_categories, may_still_market, refusals_of
from recsvc.serving.past import NO_PAST, Past, read_past, read_refusals, with_reactions
from recsvc.serving.protocols import CustomerDirectory, EventHistory
from recsvc.serving.verification import Model

LOAD = "load"
"""Among what a list is without: the time to make it."""
MAX_RECENT = 200
MAX_SHOWN = 1_000  # Impressions of the hours for which they count: ten lists of a hundred.


@dataclass(frozen=True, slots=True)
class Subject:
    """The customer of one request, as far as it may be used.

    `past` is empty for a cold customer, and without consent to personalisation but for the refusals.
    `held_back` names categories of which the customer wants no more. `risk_limit` None means that the
    suitability is unknown; `segment` None, that only the rule for everybody fits. `live_id` is what the live
    state may be asked by: None without consent, and for one who was erased after the model was trained, since
    that state began with what the model was trained on. `record` and `profile_version`, the version of it,
    are None where there is none. `refusals` holds what still may keep each item away, `erased_at` when
    the customer was erased, if ever. `in_session` is what a visitor did, oldest first.
    """

    customer_id: str
    locale: str
    may_market: bool
    risk_limit: int | None
    suitability_ends: datetime | None
    segment: str | None
    past: Past
    held_back: frozenset[str]
    degraded: tuple[str, ...]
    live_id: str | None = None
    record: Customer | None = None
    profile_version: str | None = None
    refusals: Mapping[str, tuple[Refusal, ...]] = field(default_factory=dict)
    may_personalise: bool = False
    erased_at: datetime | None = None
    in_session: tuple[Interaction, ...] = ()


class SubjectReader:
    """Gathers a `Subject` from the store and the bundle."""

    def __init__(self, directory: CustomerDirectory, events: EventHistory, policy: Policy) -> None:
        self._directory = directory
        self._events = events
        self._policy = policy
        rules = policy.interaction_types
        # What says nothing for or against an item must not push out what does.
        self._says_nothing = frozenset(name for name in rules if rules[name].strength == 0)
        self._is_done = frozenset(rules) - {IMPRESSION}

    def read(
        self,
        customer_id: str,
        *,
        channel: Channel,
        model: Model | None,
        items: Mapping[str, Item],
        now: datetime,
        lists: ListsPolicy | None = None,
    ) -> Subject:
        """What may be known of the customer on the channel at this moment.

        `lists` None is what the policy says of lists.
        """
        policy = self._with(lists)
        try:
            kept = self._directory.get(customer_id)
            erased_at = self._directory.erased_at(customer_id)
            is_erased = is_erased_since(erased_at, model)
            customer_row = None if is_erased or model is None else model.bundle.customers.row_of(customer_id)
            known = self._known(customer_id, customer_row, model)
            record = kept.value if kept else None
            may_personalise = self._may_personalise(record)
            lately = self._lately(customer_id, policy, now) if may_personalise else ()
        except StoreError:
            return self._unknown(customer_id, without="store")
        bundle = model.bundle if model else None
        suitability = record.suitability if record else None
        past = (
            self._past(customer_row, bundle, known, lately, policy, now)
            if may_personalise
            else read_refusals(customer_row, bundle, known, self._policy)
        )
        return Subject(
            customer_id=customer_id,
            locale=(record.locale if record else None) or self._policy.serving.default_locale,
            may_market=self._may_market(kept, known, channel, now),
            risk_limit=suitability.limit_at(now) if suitability else None,
            suitability_ends=suitability.expires_at if suitability else None,
            segment=self._segment(record, customer_row, model) if may_personalise else None,
            past=past,
            held_back=held_back_categories(known, items, self._policy, now=now),
            degraded=(),
            live_id=customer_id if may_personalise and not is_erased else None,
            record=record,
            profile_version=kept.etag if kept else None,
            refusals=refusals_of(past.suppressed, known, self._policy),
            may_personalise=may_personalise,
            erased_at=erased_at,
        )

    def read_visitor(
        self,
        did: Sequence[Interaction],
        *,
        channel: Channel,
        model: Model | None,
        items: Mapping[str, Item],
        now: datetime,
        lists: ListsPolicy | None = None,
    ) -> Subject:
        """What may be known of somebody who is nobody's customer yet: what they did in this session.

        Consent is what the policy says of those without a record, and there is no suitability.
        """
        policy = self._with(lists)
        known = Known(tuple(sorted(did, key=lambda one: one.occurred_at)))
        bundle = model.bundle if model else None
        since = now - timedelta(hours=policy.lists.rotation_hours)
        lately = tuple(one for one in known.interactions if one.occurred_at > since)
        may_personalise = self._may_personalise(None)
        past = (
            self._past(None, bundle, known, lately, policy, now)
            if may_personalise
            else read_refusals(None, bundle, known, self._policy)
        )
        return Subject(
            customer_id=ANONYMOUS,
            locale=self._policy.serving.default_locale,
            may_market=self._may_market(None, known, channel, now),
            risk_limit=None,
            suitability_ends=None,
            segment=None,
            past=past,
            held_back=held_back_categories(known, items, self._policy, now=now),
            degraded=(),
            refusals=refusals_of(past.suppressed, known, self._policy),
            in_session=known.interactions if may_personalise else (),
        )

    def read_nobody(self, customer_id: str, **_: object) -> Subject:
        """The customer as far as there is time to ask: not at all."""
        return self._unknown(customer_id, without=LOAD)

    def did(self, subject: Subject, types: Collection[str], *, limit: int) -> Sequence[Interaction | Deed]:
        """The latest interactions of these types that may be used, oldest first. Raises StoreError."""
        if not subject.may_personalise:
            return subject.in_session
        return self._events.deeds(subject.customer_id, types, limit=limit)

    def _with(self, lists: ListsPolicy | None) -> Policy:
        """The policy with these lists: nearly always those that it has."""
        return self._policy if lists in (None, self._policy.lists) else replace(self._policy, lists=lists)

    def _may_personalise(self, record: Customer | None) -> bool:
        if record is None or record.consents is None:
            return self._policy.consent_without_record.personalisation
        return record.consents.personalisation

    def _may_market(
        self, kept: Versioned[Customer] | None, known: Known, channel: Channel, now: datetime
    ) -> bool:
        if kept is None or kept.value.consents is None:
            agreed, agreed_at = channel in self._policy.consent_without_record.marketing, None
        else:
            agreed, agreed_at = channel in kept.value.consents.marketing, kept.written_at
        return agreed and may_still_market(known, channel, self._policy, agreed_at=agreed_at, now=now)

    def _segment(self, record: Customer | None, customer_row: int | None, model: Model | None) -> str | None:
        """The customer's own segment; None where only the rule for everybody fits.

        Profile fields are those of the bundle, so that it is the segment that training counted them in.
        """
        fields: Mapping[str, object] = {}
        if model is not None and customer_row is not None and self._policy.segments_reading_profiles():
            fields = model.bundle.profile_of(customer_row).fields()
        name = self._policy.segment_of(record.attributes if record else {}, fields)
        return None if name == self._policy.segments[-1].name else name

    def _known(self, customer_id: str, customer_row: int | None, model: Model | None) -> Known:
        """What the model cannot know: all of it, for a customer whom it never met."""
        facts = model.bundle.manifest if model and customer_row is not None else None
        return self._events.known(
            customer_id,
            occurred_after=facts.data_window.until if facts else None,
            received_after=facts.created_at if facts else None,
            limit=MAX_RECENT,
            always=STANDING_TYPES,
            ignoring=self._says_nothing,
        )

    def _lately(self, customer_id: str, policy: Policy, now: datetime) -> Sequence[Interaction]:
        """What happened while impressions count, whatever the model knows of it, oldest first.

        What was shown and what was done are asked for apart, so that neither pushes out the other.
        """
        hours = policy.lists.rotation_hours
        if not hours:
            return ()
        since = now - timedelta(hours=hours)
        shown = self._events.known(
            customer_id, occurred_after=since, received_after=None, limit=MAX_SHOWN, ignoring=self._is_done
        ).interactions
        if not shown:
            return ()
        done = self._events.known(
            customer_id, occurred_after=since, received_after=None, limit=MAX_RECENT, ignoring=(IMPRESSION,)
        ).interactions
        return tuple(merge(shown, done, key=lambda one: (one.occurred_at, one.event_id)))

    def _past(
        self,
        customer_row: int | None,
        bundle: Bundle | None,
        known: Known,
        lately: Sequence[Interaction],
        policy: Policy,
        now: datetime,
    ) -> Past:
        past = read_past(customer_row, bundle, known, policy)
        return with_reactions(past, lately, known, policy, now=now)

    def _unknown(self, customer_id: str, *, without: str) -> Subject:
        return Subject(
            customer_id=customer_id,
            locale=self._policy.serving.default_locale,
            may_market=False,
            risk_limit=None,
            suitability_ends=None,
            segment=None,
            past=NO_PAST,
            held_back=frozenset(),
            degraded=(without,),
        )


def is_erased_since(erased_at: datetime | None, model: Model | None) -> bool:
    """Whether the customer was erased after the model was trained."""
    return erased_at is not None and model is not None and erased_at >= model.bundle.manifest.created_at
