"""The engine: from a request to a slate. Candidates → eligibility → re-ranking → reasons, rung by rung.

It knows neither the cache nor how experiments deal: a request that comes with an arm is answered by the arm's
model and levers. Whatever the model lacks, a lower rung answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item, ItemKind, text_in
from recsvc.domain.slates import Arm, OfferItem, Reason, ShownDisclosure, Slate, SlateItem, SlateRequest
from recsvc.policy import Policy
from recsvc.policy_lists import ListsPolicy, with_levers
from recsvc.serving.candidates import Candidate, rankings
from recsvc.serving.customers import Subject, SubjectReader
from recsvc.serving.eligibility import Circumstances, may_stand
from recsvc.serving.live_access import NO_LIVE, Live, LiveReader
from recsvc.serving.live_catalogue import CatalogueView, LiveCatalogue
from recsvc.serving.merchandising import (
    as_ranked,
    log_ruled,
    pinned_below,
    place_pins,
    ruled,
    source_of,
    with_picks,
)
from recsvc.serving.reasons import explain
from recsvc.serving.reranking import Pool, after, arrange, consider, fitting, requests_of_page
from recsvc.serving.verification import Model


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a slate is made from, all of one moment."""

    subject: Subject
    model: Model | None
    view: CatalogueView
    live: Live | None
    now: datetime
    policy: Policy


class Engine:
    """Makes slates. Whatever is wrong with what is live, they are made without it."""

    def __init__(
        self,
        catalogue: LiveCatalogue,
        subjects: SubjectReader,
        policy: Policy,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        live: LiveReader = NO_LIVE,
    ) -> None:
        self._catalogue = catalogue
        self._subjects = subjects
        self._policy = policy
        self._clock = clock
        self._new_id = new_id
        self._live = live

    def recommend(self, request: SlateRequest) -> Slate:
        """The slate for this request, from one model and one state of the catalogue."""
        return self._recommend(request, partial(self._subjects.read, request.customer_id))

    def recommend_visitor(self, request: SlateRequest, did: Sequence[Interaction]) -> Slate:
        """The slate for somebody of whom nothing is known but what they `did` in this session."""
        return self._recommend(request, partial(self._subjects.read_visitor, did))

    def _recommend(self, request: SlateRequest, read: Callable[..., Subject]) -> Slate:
        now, arm = self._clock(), request.arm
        model, view = self._catalogue.model_and_view(arm.model_version if arm else None)
        policy = _policy_for(arm, model, self._policy)
        subject = read(channel=request.channel, model=model, items=view.items, now=now, lists=policy.lists)
        made = self._live.made(
            model, now, lambda live: self._slate(request, _Basis(subject, model, view, live, now, policy))
        )
        slate = made.value
        return slate if made.is_whole else replace(slate, degraded=(*slate.degraded, "live"))

    def _slate(self, request: SlateRequest, basis: _Basis) -> Slate:
        subject, model, view, now = basis.subject, basis.model, basis.view, basis.now
        locale = request.locale or subject.locale
        state = basis.live.state if basis.live else None
        chosen, circumstances = self._choose(request, basis)
        proposed = [as_ranked(candidate) for candidate in chosen]
        reasons = explain(
            proposed, subject, model, view, locale=locale, in_detail=request.explain, now=now, state=state
        )
        reasons = with_picks(chosen, reasons, locale)
        slate = Slate(
            slate_id=f"s_{self._new_id()}",
            customer_id=request.customer_id or None,
            kind=request.kind,
            channel=request.channel,
            placement=request.placement,
            locale=locale,
            items=tuple(
                show_item(candidate, position, reason, locale)
                for position, (candidate, reason) in enumerate(zip(chosen, reasons, strict=True), start=1)
            ),
            source=source_of(chosen),
            model_version=model.version if model else None,
            policy_version=basis.policy.version,
            generated_at=now,
            expires_at=self._expiry(now, view, subject),
            experiment=_experiment(request.arm),
            degraded=_degraded(subject, model_missing=model is None, stale=self._catalogue.is_stale),
        )
        log_ruled(slate, circumstances.blocked)
        return slate

    def _choose(self, request: SlateRequest, basis: _Basis) -> tuple[list[Candidate], Circumstances]:
        """The list, without what other placements of its page show first, nor anything of the same series.

        With it comes what it was made in.
        """
        shown: list[Candidate] = []
        chosen: list[Candidate] = []
        subject, model, view, now = basis.subject, basis.model, basis.view, basis.now
        lists = fitting(basis.policy.lists, request.kind, view)
        for asked in requests_of_page(request, self._policy.pages):
            rules = view.rules.on(now, asked.channel, asked.placement)
            at = Circumstances(after(asked, shown), subject, now, rules)
            elsewhere = [*shown, *pinned_below(at, model, view, self._policy)]
            circumstances = Circumstances(after(asked, elsewhere), subject, now, rules)
            considered = self._consider(circumstances, basis, lists, elsewhere)
            chosen = arrange(considered, asked, subject, view, lists)
            chosen = place_pins(chosen, circumstances, model, view, self._policy, elsewhere)
            shown += chosen
        return chosen, circumstances

    def _consider(
        self,
        circumstances: Circumstances,
        basis: _Basis,
        lists: ListsPolicy,
        shown: Sequence[Candidate],
    ) -> Sequence[Candidate]:
        """The best eligible candidates, of the first ranking that has enough of them."""
        request = circumstances.request
        pool = Pool((), False)
        proposed = rankings(request.kind, basis.subject, basis.model, basis.view, self._policy, basis.live)
        eligible = (_eligible(ranking, circumstances) for ranking in proposed)
        for ranking in ruled(eligible, circumstances.rules):
            pool = consider(ranking, request, lists, shown)
            if pool.is_enough:
                break
        return pool.candidates

    def _expiry(self, now: datetime, view: CatalogueView, subject: Subject) -> datetime:
        """No slate outlives the validity of an item or of a suitability assessment."""
        boundaries = (view.next_change(now), subject.suitability_ends)
        to_come = [moment for moment in boundaries if moment and moment > now]
        return min([now + timedelta(seconds=self._policy.serving.slate_ttl_seconds), *to_come])


def show_item(candidate: Candidate, position: int, reason: Reason | None, locale: str) -> SlateItem:
    """The item as it stands on a slate, in the locale."""
    item = candidate.item
    shown = SlateItem(
        item_id=item.item_id,
        position=position,
        score=round(candidate.score, 6),
        title=text_in(item.title, locale),
        category=item.category,
        url=item.url,
        reason=reason,
        propensity=1.0,  # The list is a pure function of its inputs: no other could have been shown.
        rules=candidate.rules,
    )
    if item.kind is ItemKind.CONTENT:
        return shown
    return OfferItem(
        **{name: getattr(shown, name) for name in SlateItem.__slots__},
        disclosures=_disclosures(item, locale),
        valid_to=item.valid_to,
    )


def _eligible(candidates: Iterable[Candidate], circumstances: Circumstances) -> Iterator[Candidate]:
    """The candidates that every gate lets pass, each item once: from the highest rung that names it."""
    seen: set[str] = set()
    for candidate in candidates:
        item_id = candidate.item.item_id
        if item_id in seen:
            continue
        seen.add(item_id)
        if may_stand(candidate.item, circumstances):
            yield candidate


def _disclosures(item: Item, locale: str) -> tuple[ShownDisclosure, ...]:
    return tuple(
        ShownDisclosure(disclosure.id, disclosure.version, text)
        for disclosure in item.offer_terms.disclosures
        if (text := text_in(disclosure.text, locale)) is not None
    )


def _policy_for(arm: Arm | None, model: Model | None, policy: Policy) -> Policy:
    """The policy with the levers of the arm laid over; the champion in its stead is served without them."""
    if arm is None or not arm.levers:
        return policy
    if arm.model_version is not None and (model is None or model.version != arm.model_version):
        return policy
    levers = ",".join(f"{name}={value:g}" for name, value in arm.levers)
    lists = with_levers(policy.lists, arm.levers)
    return replace(policy, version=f"{policy.version}+{levers}", lists=lists)


def _experiment(arm: Arm | None) -> Mapping[str, str] | None:
    return None if arm is None else {"key": arm.experiment, "variant": arm.variant}


def _degraded(subject: Subject, *, model_missing: bool, stale: bool) -> tuple[str, ...]:
    parts = [*subject.degraded]
    if model_missing:
        parts.append("model")
    if stale and "store" not in parts:
        parts.append("store")
    return tuple(parts)
