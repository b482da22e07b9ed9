"""From a decision to what goes out and what is kept.

In: facts, what was decided. Out: a slate, a `Decision`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from recsvc.domain.decisions import ChosenOffer, Decision, Grounds
from recsvc.domain.items import Item, ItemKind, text_in
from recsvc.domain.slates import OfferItem, Reason, Slate, Source
from recsvc.serving.answers import render_slate
from recsvc.serving.offers.deciding import Decided
from recsvc.serving.offers.facts import AnswerFacts, Facts
from recsvc.serving.offers.table import OfferTable


def slate_of(facts: Facts, answer: AnswerFacts, decided: Decided, table: OfferTable) -> Slate:
    """The slate of a decision. It hangs on nothing else, so that it can be made again."""
    proposals = facts.proposals
    listed = [proposals.offer_ids.index(one.offer_id) for one in decided.chosen]
    rungs = {proposals.sources[place] for place in listed}
    return Slate(
        slate_id=facts.decision_id,
        customer_id=facts.customer.customer_id or None,
        kind=ItemKind.OFFER,
        channel=facts.asked.channel,
        placement=facts.asked.placement,
        locale=facts.asked.locale,
        items=tuple(
            _shown(one, proposals.scores[place], table.items[table.row_of[one.offer_id]], reason, facts)
            for one, place, reason in zip(decided.chosen, listed, answer.reasons, strict=True)
        ),
        source=next((rung for rung in Source if rung in rungs), Source.EDITORIAL),
        model_version=facts.model_version,
        policy_version=facts.policy_version,
        generated_at=facts.now,
        expires_at=answer.expires_at,
        experiment=_experiment_of(facts),
        degraded=answer.degraded,
    )


def decision_of(facts: Facts, decided: Decided, slate: Slate, grounds: Grounds) -> Decision:
    """What the log keeps of a decision and its slate. Its facts hold the answer."""
    return Decision(
        decision_id=facts.decision_id,
        customer_id=facts.customer.customer_id,
        decided_at=facts.now,
        channel=facts.asked.channel,
        placement=facts.asked.placement,
        locale=facts.asked.locale,
        profile_version=facts.profile_version,
        policy_version=facts.policy_version,
        model_version=facts.model_version,
        experiment=facts.experiment,
        variant=facts.variant,
        seed=facts.seed,
        judged=decided.judged,
        chosen=decided.chosen,
        facts=msgspec.json.encode(facts).decode(),
        body_digest=hashlib.sha256(render_slate(slate)).hexdigest(),
        grounds=grounds.digest,
    )


def _shown(chosen: ChosenOffer, score: float, offer: Item, reason: Reason, facts: Facts) -> OfferItem:
    return OfferItem(
        item_id=offer.item_id,
        position=chosen.position,
        score=round(score, 6),
        title=text_in(offer.title, facts.asked.locale),
        category=offer.category,
        url=offer.url,
        reason=reason,
        propensity=chosen.propensity,
        explored=chosen.explored,
        rules=facts.marketers.applied.get(offer.item_id, ()),
        priority=chosen.priority,
        disclosures=chosen.disclosures,
        valid_to=offer.valid_to,
    )


def _experiment_of(facts: Facts) -> Mapping[str, str] | None:
    if facts.experiment is None or facts.variant is None:
        return None
    return {"key": facts.experiment, "variant": facts.variant}
