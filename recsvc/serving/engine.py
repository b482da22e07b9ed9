"""The engine: from a request to a slate. Candidates → eligibility → re-ranking → reasons, rung by rung.

It knows neither the cache nor how experiments deal: a request that comes with an arm is answered by the arm's
model and levers. Whatever the model lacks, a lower rung answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Arm, Slate, SlateRequest
from recsvc.policy import Policy
from recsvc.policy_lists import ListsPolicy, with_levers
from recsvc.serving.basis import Basis
from recsvc.serving.candidates import Candidate, rankings
from recsvc.serving.customers import Subject, SubjectReader
from recsvc.serving.eligibility import Circumstances, may_stand
from recsvc.serving.live_access import NO_LIVE, LiveReader
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.merchandising import (
    as_ranked,
    log_ruled,
    pinned_below,
    place_pins,
    ruled,
    source_of,
    with_picks,
)
from recsvc.serving.offers.auditing import Explanation
from recsvc.serving.offers.lists import OfferLists
from recsvc.serving.offers.protocols import Contacts, OfferLedger
from recsvc.serving.offers.uncounted import NOBODY_COUNTS, NOTHING_ENTERED
from recsvc.serving.reasons import explain
from recsvc.serving.reranking import Pool, after, arrange, consider, fitting, requests_of_page
from recsvc.serving.showing import show_item
from recsvc.serving.verification import Model


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
        contacts: Contacts = NOBODY_COUNTS,
        ledger: OfferLedger = NOTHING_ENTERED,
    ) -> None:
        """Without `contacts`, no offer is made that somebody would have to count the contacts of.

        Without `ledger`, nothing is reserved and nothing kept: then no list may be shown to anybody.
        """
        self._catalogue = catalogue
        self._subjects = subjects
        self._policy = policy
        self._clock = clock
        self._new_id = new_id
        self._live = live
        self._offers = OfferLists(
            subjects,
            contacts,
            ledger,
            policy,
            live=live,
            champion=lambda: catalogue.model_and_view()[0],
            content=self._content_of_page,
        )

    def recommend(self, request: SlateRequest) -> Slate:
        """The slate for this request, from one model and one state of the catalogue."""
        return self._recommend(request, partial(self._subjects.read, request.customer_id))

    def recommend_ahead(self, request: SlateRequest, champion: str) -> Slate:
        """The slate as it will be when that version, which serves beside the champion, is champion."""
        return self._recommend(request, partial(self._subjects.read, request.customer_id), champion)

    def recommend_visitor(self, request: SlateRequest, did: Sequence[Interaction]) -> Slate:
        """The slate for somebody of whom nothing is known but what they `did` in this session."""
        return self._recommend(request, partial(self._subjects.read_visitor, did))

    def recommend_at_once(self, request: SlateRequest) -> Slate:
        """What is popular, from memory: the store is not asked, and nothing is known of the customer."""
        return self._recommend(request, partial(self._subjects.read_nobody, request.customer_id))

    def readdressed(self, slate: Slate, request: SlateRequest) -> Slate:
        """A slate that depends on nobody, as the answer to a customer's own request."""
        whose = request.customer_id or None
        return replace(
            slate, slate_id=self._slate_id(), customer_id=whose, experiment=_experiment(request.arm)
        )

    def explain_offer(self, request: SlateRequest, offer_id: str) -> Explanation:
        """Why the offer is on the list that is asked for now, or is not. Raises NotFoundError, StoreError."""
        basis = self._basis(request, partial(self._subjects.read, request.customer_id))
        return self._offers.explain(request, basis, offer_id)

    def _recommend(
        self, request: SlateRequest, read: Callable[..., Subject], champion: str | None = None
    ) -> Slate:
        basis = self._basis(request, read, champion)
        model, now = basis.model, basis.now
        if request.kind is ItemKind.OFFER:
            return self._offers.make(request, basis, self._slate_id())
        made = self._live.made(model, now, lambda live: self._slate(request, replace(basis, live=live)))
        slate = made.value
        return slate if made.is_whole else replace(slate, degraded=(*slate.degraded, "live"))

    def _basis(
        self, request: SlateRequest, read: Callable[..., Subject], champion: str | None = None
    ) -> Basis:
        """What the slate is made from, all of one moment."""
        now, arm = self._clock(), request.arm
        model, view = self._catalogue.model_and_view((arm.model_version if arm else None) or champion)
        policy = _policy_for(arm, model, self._policy)
        subject = read(channel=request.channel, model=model, items=view.known, now=now, lists=policy.lists)
        return Basis(subject, model, view, None, now, policy, self._catalogue.is_stale)

    def _slate_id(self) -> str:
        return f"s_{self._new_id()}"

    def _slate(self, request: SlateRequest, basis: Basis) -> Slate:
        subject, model, view, now = basis.subject, basis.model, basis.view, basis.now
        locale = request.locale or subject.locale
        state = basis.live.state if basis.live else None
        _, chosen, circumstances = self._choose(request, basis)
        proposed = [as_ranked(candidate) for candidate in chosen]
        reasons = explain(
            proposed, subject, model, view, locale=locale, in_detail=request.explain, now=now, state=state
        )
        reasons = with_picks(chosen, reasons, locale)
        slate = Slate(
            slate_id=self._slate_id(),
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
            model_version=basis.model_version,
            policy_version=basis.policy.version,
            generated_at=now,
            expires_at=basis.expires_at,
            experiment=_experiment(request.arm),
            degraded=basis.degraded,
        )
        log_ruled(slate, circumstances.blocked)
        return slate

    def _content_of_page(self, request: SlateRequest, basis: Basis) -> list[Item]:
        """The articles of a list, and of what comes before it on its page."""
        made = self._live.made(
            basis.model, basis.now, lambda live: self._choose(request, replace(basis, live=live))
        )
        shown, _, _ = made.value
        return [candidate.item for candidate in shown]

    def _choose(
        self, request: SlateRequest, basis: Basis
    ) -> tuple[list[Candidate], list[Candidate], Circumstances]:
        """The list, without what other placements of its page show first, nor anything of the same series.

        Before it comes all that the page shows down to it, after it what it was made in.
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
        return shown, chosen, circumstances

    def _consider(
        self,
        circumstances: Circumstances,
        basis: Basis,
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
