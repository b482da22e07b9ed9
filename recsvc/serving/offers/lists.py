"""Make the offer list of a customer.

In: a request, its basis. Out: a slate that was decided, and entered with what it reserves.

The decision itself is `deciding`'s, and pure. Here is what stands around it: what the ladder proposes, what
the counts of contacts say, and the ledger. A store that cannot answer, or a ledger that cannot keep, leaves
an empty list: never a guess.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import structlog
from msgspec.structs import replace as with_changes

from recsvc.domain.contacts import Shortage
from recsvc.domain.decisions import Gate
from recsvc.domain.items import Item
from recsvc.domain.slates import Reason, Slate, SlateRequest
from recsvc.errors import StoreError
from recsvc.policy import Policy
from recsvc.serving.basis import Basis
from recsvc.serving.candidate import Candidate
from recsvc.serving.customers import LOAD, SubjectReader
from recsvc.serving.live_access import LiveReader
from recsvc.serving.merchandising import log_ruled, with_picks
from recsvc.serving.offers.asking import PropensityReader
from recsvc.serving.offers.auditing import Explanation, explanation_of
from recsvc.serving.offers.deciding import NOTHING, Decided, decide, decide_among
from recsvc.serving.offers.facts import AnswerFacts, Facts
from recsvc.serving.offers.gates import OPEN, refused_by, refused_once_counted
from recsvc.serving.offers.gathering import gather, proposals_of, propose
from recsvc.serving.offers.pages import OfferPage, page_of
from recsvc.serving.offers.pairs import alike, categories_of, content_beside
from recsvc.serving.offers.protocols import Contacts, OfferLedger
from recsvc.serving.offers.slates import decision_of, slate_of
from recsvc.serving.offers.table import OfferTable, Rows
from recsvc.serving.offers.tables import OfferTables
from recsvc.serving.offers.uncounted import NobodyCounts
from recsvc.serving.reasons import explain
from recsvc.serving.verification import Model

log = structlog.get_logger()

MAX_ROUNDS = 4
"""So often a list is chosen anew because somebody else took the last contact of an offer on it."""
MAX_NOTED = 20
"""Of so many offers it is noted that a rule kept them from a list."""

ContentOf = Callable[[SlateRequest, Basis], Sequence[Item]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A list that is asked for, and what it is to be made from."""

    request: SlateRequest
    basis: Basis
    table: OfferTable
    contacts: Contacts


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a list is decided on.

    `refused` says which gate refuses which offer, `candidates` are the proposals by offer id, `degraded` is
    what was missing.
    """

    asked: _Asked
    facts: Facts
    refused: Rows
    candidates: Mapping[str, Candidate]
    degraded: tuple[str, ...]


class OfferLists:
    """Makes offer lists."""

    def __init__(
        self,
        subjects: SubjectReader,
        contacts: Contacts,
        ledger: OfferLedger,
        policy: Policy,
        *,
        live: LiveReader,
        champion: Callable[[], Model | None],
        content: ContentOf,
    ) -> None:
        """`content` gives the articles of a content request, with what comes before it on its page."""
        self._propensities = PropensityReader(subjects)
        self._contacts = contacts
        self._ledger = ledger
        self._policy = policy
        self._live = live
        self._champion = champion
        self._content = content
        self._tables = OfferTables(policy)

    def make(self, request: SlateRequest, basis: Basis, slate_id: str) -> Slate:
        """The slate for the request; an empty one while the store is not asked."""
        table = self._tables.of(basis.view)
        if not {"store", LOAD}.isdisjoint(basis.degraded):
            return self._nothing(request, basis, slate_id, table, basis.degraded)
        try:
            return self._made(request, basis, slate_id, table)
        except StoreError as error:
            log.warning("offers_withheld", reason=str(error))
            return self._nothing(request, basis, slate_id, table, (*basis.degraded, "store"))

    def explain(self, request: SlateRequest, basis: Basis, offer_id: str) -> Explanation:
        """Why the offer is on the list, or is not. Nothing is reserved and nothing kept.

        Raises:
            NotFoundError: there is no such offer.
            StoreError: the store cannot be asked, and then no offers are made to anybody.
        """
        if "store" in basis.degraded:
            raise StoreError("the store cannot be asked, so no offers are made: ask again later")
        table = self._tables.with_offer(basis.view, offer_id)
        draft = self._draft(self._asked(request, basis, table), "")
        short = self._shortages(draft.facts, table.rows_of([offer_id]), draft.asked)
        facts = with_changes(draft.facts, shortages={**draft.facts.shortages, **short})
        decided = decide(facts, table, self._policy.offers)
        offer = table.items[table.row_of[offer_id]]
        return explanation_of(offer, table, facts, decided, self._policy.offers)

    def _made(self, request: SlateRequest, basis: Basis, slate_id: str, table: OfferTable) -> Slate:
        """The list, once it is entered. Where somebody else took the last of an offer, it is made anew."""
        draft = self._draft(self._asked(request, basis, table), slate_id)
        facts, refused = draft.facts, draft.refused
        expires_at = self._expiry(basis)
        for rounds in itertools.count(1):
            decided = decide_among(refused, facts, table, self._policy.offers)
            answer = AnswerFacts(self._reasons(decided, facts, draft), expires_at, draft.degraded)
            facts = with_changes(facts, answer=answer)
            slate = slate_of(facts, answer, decided, table)
            short = self._enter(facts, decided, slate, draft)
            if not short:
                break
            facts = _without(short, facts, decided, is_last=rounds >= MAX_ROUNDS)
            refused = refused_once_counted(refused, table, facts, self._policy.offers)
        log_ruled(slate, _blocked(decided, facts))
        return slate

    def _asked(self, request: SlateRequest, basis: Basis, table: OfferTable) -> _Asked:
        # Nobody can count the contacts of a visitor without an id.
        return _Asked(request, basis, table, self._contacts if request.customer_id else NobodyCounts())

    def _draft(self, asked: _Asked, slate_id: str) -> _Draft:
        """The gates come first: only what may be shown is proposed, predicted and counted."""
        basis, table, policy = asked.basis, asked.table, self._policy.offers
        page = self._page(asked, slate_id)
        refused = page.refused(table, policy)
        passing = np.flatnonzero((np.array(refused) == OPEN).any(axis=0))
        proposed = self._live.made(
            basis.model, basis.now, lambda live: propose(replace(basis, live=live), table, passing)
        )
        known = self._propensities.read(basis, asked.request.channel, table, passing)
        short = self._shortages(page.facts, passing, asked)
        page = page.with_proposals(proposals_of(proposed.value, basis, table, known), short)
        facts = page.left(table, policy)
        return _Draft(
            asked,
            facts,
            refused_once_counted(refused[0], table, facts, policy)
            if len(refused) == 1
            else refused_by(table, facts, policy),
            proposed.value,
            basis.degraded if proposed.is_whole else (*basis.degraded, "live"),
        )

    def _page(self, asked: _Asked, slate_id: str) -> OfferPage:
        """The facts of every placement of the page, as far as gates ask for them before a contact counts."""
        request, basis, table = asked.request, asked.basis, asked.table
        # Where no arm has a model of its own, the basis is the champion's: its files need no second look.
        of_arm = request.arm is not None and request.arm.model_version is not None
        champion = self._champion if of_arm else lambda: basis.model
        facts = gather(request, basis, table, decision_id=slate_id, champion=champion)
        return page_of(request, self._beside_content(facts, asked), basis, table, self._policy)

    def _beside_content(self, facts: Facts, asked: _Asked) -> Facts:
        """The facts, with the articles that stand beside the list."""
        content = content_beside(asked.request, self._policy)
        if content is None:
            return facts
        articles = self._content(content, asked.basis)
        return with_changes(facts, beside=categories_of(articles), alike=alike(articles, asked.table))

    def _shortages(self, facts: Facts, passing: Rows, asked: _Asked) -> Mapping[str, Shortage]:
        """What has no contact left, of the offers that pass every other gate and are counted."""
        counted = self._counted(passing, asked.table)
        if not counted:
            return {}
        who, channel = facts.customer.customer_id, facts.asked.channel
        return asked.contacts.shortages(who, counted, channel=channel, now=facts.now)

    def _counted(self, rows: Rows, table: OfferTable) -> list[Item]:
        """The offers of which somebody counts the contacts: all, where the policy caps contacts over all."""
        if not self._policy.offers.contact_caps:
            rows = rows[table.with_counts[rows]]
        return [table.items[row] for row in rows.tolist()]

    def _reasons(self, decided: Decided, facts: Facts, draft: _Draft) -> tuple[Reason, ...]:
        basis, locale = draft.asked.basis, facts.asked.locale
        chosen = [draft.candidates[one.offer_id] for one in decided.chosen]
        ruled = [with_changes(one, rules=facts.marketers.applied.get(one.item.item_id, ())) for one in chosen]
        reasons = self._live.made(
            basis.model,
            basis.now,
            lambda live: explain(
                chosen,
                basis.subject,
                basis.model,
                basis.view,
                locale=locale,
                in_detail=facts.asked.explain,
                now=basis.now,
                state=live.state if live else None,
            ),
        )
        return tuple(with_picks(ruled, reasons.value, locale))

    def _enter(self, facts: Facts, decided: Decided, slate: Slate, draft: _Draft) -> Mapping[str, Shortage]:
        """Keep the decision, with a contact reserved for every offer on its list that is counted, or neither.

        Then what is short. Raises StoreError.
        """
        asked = draft.asked
        grounds = self._tables.grounds_of(asked.basis.view)
        listed = [one.offer_id for one in decided.chosen] if asked.request.customer_id else []
        return self._ledger.enter(
            decision_of(facts, decided, slate, grounds),
            grounds,
            self._counted(asked.table.rows_of(listed), asked.table),
            until=slate.expires_at + timedelta(minutes=self._policy.offers.shown_within_minutes),
        )

    def _expiry(self, basis: Basis) -> datetime:
        """No slate outlives what it stands on; one that was drawn, the day (UTC) of its seed."""
        if self._policy.offers.exploration == 0:
            return basis.expires_at
        tomorrow = (basis.now.astimezone(UTC) + timedelta(days=1)).date()
        return min(basis.expires_at, datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=UTC))

    def _nothing(
        self,
        request: SlateRequest,
        basis: Basis,
        slate_id: str,
        table: OfferTable,
        degraded: tuple[str, ...],
    ) -> Slate:
        """An empty list, because the store was not asked."""
        facts = gather(request, basis, table, decision_id=slate_id, champion=lambda: None)
        return slate_of(facts, AnswerFacts((), basis.expires_at, degraded), NOTHING, table)


def _without(short: Mapping[str, Shortage], facts: Facts, decided: Decided, *, is_last: bool) -> Facts:
    """The facts once something proved short: at last, or where a cap over all offers was reached, nothing new
    is chosen in its place."""
    facts = with_changes(facts, shortages={**facts.shortages, **short})
    if not is_last and all(one.what != "contact_cap" for one in short.values()):
        return facts
    left = (one.offer_id for one in decided.chosen if one.offer_id not in short)
    return with_changes(facts, reserved=tuple(left))


def _blocked(decided: Decided, facts: Facts) -> Mapping[str, str]:
    """The first offers that only a rule kept away, and the rule."""
    if not facts.marketers.blocked:
        return {}
    judged = decided.judged
    gates = zip(judged.offer_ids, judged.refused_by, strict=True)
    ids = [offer_id for offer_id, gate in gates if gate is Gate.BLOCK]
    return {offer_id: facts.marketers.blocked[offer_id] for offer_id in ids[:MAX_NOTED]}
