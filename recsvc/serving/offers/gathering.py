"""Gather what a decision stands on. In: a request, its basis, what the ladder proposes. Out: `Facts`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from recsvc.domain.condition_facts import SEGMENT, facts_of
from recsvc.domain.conditions import NO_FACTS, Fact
from recsvc.domain.customers import Suitability
from recsvc.domain.items import ItemKind
from recsvc.domain.merchandising import MerchandisingRule, RulesOn
from recsvc.domain.profiles import CustomerProfile
from recsvc.domain.segments import segments_of
from recsvc.domain.slates import AppliedRule, SlateRequest, Source
from recsvc.policy import Policy
from recsvc.serving.basis import Basis
from recsvc.serving.candidate import Candidate
from recsvc.serving.candidates import rankings
from recsvc.serving.customers import Subject, is_erased_since
from recsvc.serving.offers.asking import Propensities
from recsvc.serving.offers.exploring import seed_of
from recsvc.serving.offers.facts import CustomerFacts, Facts, ListFacts, MarketersFacts, Proposals
from recsvc.serving.offers.table import OfferTable, Rows
from recsvc.serving.reranking import fitting, wanted_mix, weariness_of
from recsvc.serving.verification import Model


def propose(basis: Basis, table: OfferTable, rows: Rows) -> Mapping[str, Candidate]:
    """The offers of these rows by id, as the highest rung that names it ranks each; the others come last."""
    found: dict[str, Candidate] = {}
    wanted = {table.ids[row]: row for row in rows.tolist()}
    if not wanted:
        return found
    *_, whole = rankings(ItemKind.OFFER, basis.subject, basis.model, basis.view, basis.policy, basis.live)
    for candidate in whole:
        item_id = candidate.item.item_id
        if wanted.pop(item_id, None) is not None:
            found[item_id] = candidate
            if not wanted:
                break
    for offer_id, row in wanted.items():
        found[offer_id] = Candidate(table.items[row], 0.0, Source.EDITORIAL, None)
    return found


def proposals_of(
    candidates: Mapping[str, Candidate], basis: Basis, table: OfferTable, known: Propensities | None
) -> Proposals:
    """The proposals as columns, with what is known of who responds to them."""
    proposed, n = list(candidates.values()), len(candidates)
    propensity: list[float | None] = [None] * n
    evidence = [0.0] * n
    if known is not None:
        rows = table.rows_of(candidates)
        propensity, evidence = known.propensity[rows].tolist(), known.evidence[rows].tolist()
    return Proposals(
        offer_ids=tuple(candidates),
        sources=tuple([one.source for one in proposed]),
        scores=tuple([one.score for one in proposed]),
        weariness=tuple(weariness_of(proposed, basis.subject.past, basis.view).tolist()),
        propensity=tuple(propensity),
        evidence=tuple(evidence),
    )


def gather(
    request: SlateRequest,
    basis: Basis,
    table: OfferTable,
    *,
    decision_id: str,
    champion: Callable[[], Model | None],
) -> Facts:
    """The facts of the request, for its own placement, before anything is proposed or counted.

    What rules ask of a portrait is asked of the `champion`, so that they hold alike in every arm of a test.
    """
    subject, policy, arm = basis.subject, basis.policy, request.arm
    lists = fitting(policy.lists, ItemKind.OFFER, basis.view)
    return Facts(
        decision_id=decision_id,
        now=basis.now,
        customer=customer_facts(subject, policy, fields=_fields(basis, table, champion), used=_used(basis)),
        asked=list_facts(request, request.locale or subject.locale),
        lists=lists,
        policy_version=policy.version,
        marketers=marketers_facts(basis, request, table),
        mix=wanted_mix(request, subject, basis.view, lists),
        seed=seed_of(subject.customer_id, basis.now),
        profile_version=subject.profile_version,
        model_version=basis.model_version,
        experiment=arm.experiment if arm else None,
        variant=arm.variant if arm else None,
    )


def customer_facts(
    subject: Subject,
    policy: Policy,
    *,
    fields: Mapping[str, Fact] = NO_FACTS,
    used: tuple[str, ...] = (),
) -> CustomerFacts:
    """The customer as gates may know them. An assessment that has expired says nothing."""
    record = subject.record
    assessed = _assessed(subject)
    country = record.attributes.get(policy.offers.country_attribute) if record else None
    return CustomerFacts(
        customer_id=subject.customer_id,
        may_market=subject.may_market,
        country=country.strip().upper() or None if isinstance(country, str) else None,
        client_type=assessed.client_type if assessed else "retail",
        risk_limit=subject.risk_limit,
        knowledge=assessed.knowledge if assessed else None,
        loss_capacity=assessed.loss_capacity if assessed else None,
        objectives=assessed.objectives if assessed else (),
        horizon_years=assessed.horizon_years if assessed else None,
        fields=fields,
        held_back=tuple(sorted(subject.held_back)),
        refusals=subject.refusals,
        used=used,
    )


def list_facts(request: SlateRequest, locale: str) -> ListFacts:
    """What is asked for."""
    return ListFacts(
        limit=request.limit,
        channel=request.channel,
        placement=request.placement,
        locale=locale,
        categories=request.categories,
        exclude=request.exclude,
        diversity=request.diversity,
        explain=request.explain,
    )


def marketers_facts(basis: Basis, request: SlateRequest, table: OfferTable) -> MarketersFacts:
    """What the rules that are on for the list say of offers."""
    rules = basis.view.rules.on(basis.now, request.channel, request.placement)
    if not rules.rules:
        return MarketersFacts()
    named: dict[str, None] = {}
    for rule in rules.rules:
        named |= dict.fromkeys(_named(rule, table))
    blocked, factors, applied = {}, {}, {}
    pins = _pins(rules, table)
    for offer_id in named:
        offer = table.items[table.row_of[offer_id]]
        if block := rules.block_of(offer):
            blocked[offer_id] = block.rule_id
        weighing = rules.weighing(offer)
        if weighing:
            factors[offer_id] = rules.factor_of(offer)
        pinning = [pins[offer_id]] if offer_id in pins else []
        if pinning or weighing:
            applied[offer_id] = tuple(AppliedRule(one.rule_id, one.action) for one in (*pinning, *weighing))
    at = tuple((pin.position or 1, offer_id) for offer_id, pin in pins.items())
    return MarketersFacts(blocked, factors, applied, at)


def _named(rule: MerchandisingRule, table: OfferTable) -> Iterable[str]:
    """The offers that a rule is about, by id."""
    if rule.kind is ItemKind.CONTENT:
        return ()
    if rule.item_id is not None:
        return (rule.item_id,) if rule.item_id in table.row_of else ()
    return (table.ids[row] for row in table.by_category.get(rule.category, ()))


def _pins(rules: RulesOn, table: OfferTable) -> dict[str, MerchandisingRule]:
    """Each pinned offer with the first of its pins, in the order of pins."""
    found: dict[str, MerchandisingRule] = {}
    for pin in rules.pins:
        for offer_id in _named(pin, table):
            found.setdefault(offer_id, pin)
    return found


def _fields(basis: Basis, table: OfferTable, champion: Callable[[], Model | None]) -> Mapping[str, Fact]:
    """What the rules of offers ask of the customer, as far as it is known and may be used."""
    asked = table.asked_fields
    if not asked:
        return NO_FACTS
    subject, record = basis.subject, basis.subject.record
    profile = _profile(subject, champion()) if any(_is_of_portrait(name) for name in asked) else None
    segments = segments_of(record.attributes if record else {}, profile, basis.policy)
    known = facts_of(record, profile, segments, as_of=basis.now)
    return {name: value for name, value in known.items() if name in asked}


def _is_of_portrait(field: str) -> bool:
    return field == SEGMENT or field.startswith("profile.")


def _profile(subject: Subject, model: Model | None) -> CustomerProfile | None:
    """The customer's portrait; None without consent, and where the model is from before an erasure."""
    if model is None or not subject.may_personalise or is_erased_since(subject.erased_at, model):
        return None
    row = model.bundle.customers.row_of(subject.customer_id)
    return None if row is None else model.bundle.profile_of(row)


def _used(basis: Basis) -> tuple[str, ...]:
    """What was used and may not be met again, by id."""
    if basis.policy.serving.repeat_offers:
        return ()
    past = basis.subject.past
    of_model = basis.model.bundle.items.ids_of(past.history.item_rows.tolist()) if basis.model else ()
    return (*of_model, *sorted(past.used))


def _assessed(subject: Subject) -> Suitability | None:
    """What an assessment that has not expired says."""
    record = subject.record
    return record.suitability if record and subject.risk_limit is not None else None
