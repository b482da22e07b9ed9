"""Promote or hold. In: a candidate, the champion, the policy. Out: a decision with its reasons and figures.

*Promote* when the lower bound of the primary metric's change lies above the margin and no guardrail breaks;
else *hold*. Without a champion there is nothing to be worse than, so the candidate is promoted; where nothing
could be held out there is nothing to go by, and the champion stays. The same inputs and seed give the same
report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.gate_report import (
    Compared,
    Decision,
    GateReason,
    GateReport,
    GuardrailOutcome,
    PersonaOutcome,
    SegmentOutcome,
)
from recsvc.bundles.manifest import PRIMARY_METRIC
from recsvc.policy import Policy
from recsvc.policy_training import GatePolicy
from recsvc.training.evaluation import Evaluation, evaluate_together
from recsvc.training.gate.bounds import compare
from recsvc.training.gate.footing import Candidate, Footing, find_footing
from recsvc.training.gate.guardrails import guardrails, segment_outcomes
from recsvc.training.gate.personas import Shelves, persona_outcomes
from recsvc.training.gate.standing import Champion
from recsvc.training.holdout import rows_in

_CUTOFF = int(PRIMARY_METRIC.split("@")[1])


@dataclass(frozen=True, slots=True)
class Vacancy:
    """There is no champion; or there is one, but it cannot serve, and `problem` says why."""

    champion: str | None = None
    problem: str = ""

    @property
    def reason(self) -> GateReason:
        """Why the candidate is promoted unopposed."""
        if self.champion is None:
            return GateReason("no_champion", "there is no champion yet, so nothing is lost by it")
        return GateReason("champion_unreadable", f"the champion cannot serve: {self.problem}")


def decide(candidate: Candidate, champion: Champion | Vacancy, policy: Policy, *, seed: int) -> GateReport:
    """Judge a candidate against the champion."""
    if isinstance(champion, Vacancy):
        return GateReport(candidate.version, champion.champion, Decision.PROMOTE, (champion.reason,))
    standing = champion.bundle.version
    try:
        footing = find_footing(candidate, champion, policy, seed=seed)
    except KeyError as unknown:
        text = f"the champion's model family {unknown} is none of this release, so it cannot be compared"
        return _held(candidate, standing, "nothing_to_judge_by", text)
    if footing is None:
        text = "too few customers came back for anything to be held out, so nothing says that it is as good"
        return _held(candidate, standing, "nothing_to_judge_by", text)
    if not footing.champion.is_known.any():
        text = (
            "the champion knows no item of what there is now, so it serves nobody a list that could be lost"
        )
        return GateReport(
            candidate.version, standing, Decision.PROMOTE, (GateReason("other_catalogue", text),)
        )
    return _judged(candidate, standing, footing, policy, np.random.default_rng(seed))


def _judged(
    candidate: Candidate, champion: str, footing: Footing, policy: Policy, rng: np.random.Generator
) -> GateReport:
    gate, material = policy.training.gate, candidate.material
    after, before = _evaluate(footing, rng)
    figures = after.per_customer[PRIMARY_METRIC], before.per_customer[PRIMARY_METRIC]
    primary = compare(*figures, rng, gate.n_resamples)
    broken = guardrails(footing, after, before, gate, rng)
    names = tuple(rule.name for rule in policy.segments)
    segments = segment_outcomes(_segments(candidate, footing), names, figures, gate, rng)
    categories = material.categories_of(footing.matrix)
    personas = (
        persona_outcomes(
            footing, Shelves(categories[: len(footing.matrix.item_ids)], material.categories), policy.personas
        )
        if categories is not None
        else ()
    )
    against = tuple(
        chain(
            _against_primary(primary, gate),
            _against_guardrails(broken),
            _against_segments(segments, gate),
            _against_personas(personas),
        )
    )
    return GateReport(
        version=candidate.version,
        champion=champion,
        decision=Decision.HOLD if against else Decision.PROMOTE,
        reasons=against or (_in_favour(primary, gate),),
        basis=footing.basis,
        holdout=footing.held_out.description,
        n_customers=footing.held_out.n_customers,
        metric=PRIMARY_METRIC,
        primary=primary,
        guardrails=broken,
        segments=segments,
        personas=personas,
    )


def _held(candidate: Candidate, champion: str, code: str, text: str) -> GateReport:
    return GateReport(candidate.version, champion, Decision.HOLD, (GateReason(code, text),))


def _evaluate(footing: Footing, rng: np.random.Generator) -> tuple[Evaluation, Evaluation]:
    both = evaluate_together(
        {"candidate": footing.candidate.model, "champion": footing.champion.model},
        {},
        footing.data,
        footing.held_out,
        item_categories=None,
        rng=rng,
        cutoffs=(_CUTOFF,),
    )
    return both["candidate"], both["champion"]


def _segments(candidate: Candidate, footing: Footing) -> NDArray[np.int16]:
    """The segment of each customer who is judged, -1 for one of whom nothing is left: (n_customers,)."""
    ids = [footing.matrix.customer_ids[row] for row in footing.held_out.customer_rows]
    rows = rows_in(candidate.material.matrix.customer_ids, ids)
    return np.where(rows >= 0, candidate.segment_rows[rows], np.int16(-1))


def _in_favour(primary: Compared, gate: GatePolicy) -> GateReason:
    if primary.low is not None and primary.low > 0:
        return GateReason("better", f"{_told(primary)}: it is better beyond chance")
    return GateReason(
        "no_worse", f"{_told(primary)}: it is no worse than the margin of {_pct(-gate.primary_margin)}"
    )


def _against_primary(primary: Compared, gate: GatePolicy) -> Iterator[GateReason]:
    if primary.low is None or primary.high is None or primary.low > -gate.primary_margin:
        return
    margin = f"the margin is {_pct(-gate.primary_margin)}"
    if primary.high < 0:
        yield GateReason("primary_worse", f"{_told(primary)}: it is worse beyond chance; {margin}")
    else:
        yield GateReason(
            "primary_uncertain", f"{_told(primary)}: it may be worse, as far as can be told; {margin}"
        )


def _against_guardrails(outcomes: Sequence[GuardrailOutcome]) -> Iterator[GateReason]:
    for one in outcomes:
        if one.holds is False:
            text = (
                f"{one.note}: {one.candidate:.3f}, the champion {one.champion:.3f}, at least {one.limit:.3f}"
            )
            yield GateReason(one.name, text)


def _against_segments(outcomes: Sequence[SegmentOutcome], gate: GatePolicy) -> Iterator[GateReason]:
    for one in outcomes:
        if one.holds is False and one.compared is not None:
            text = f"the segment {one.segment} of {one.n_customers:,} customers: {_told(one.compared)}"
            yield GateReason("segment_loss", f"{text}; it may lose {gate.segment_loss:.1%} at most")


def _against_personas(outcomes: Sequence[PersonaOutcome]) -> Iterator[GateReason]:
    for one in outcomes:
        if one.holds is False:
            text = (
                f"{one.name}: {one.candidate:.0%} of the first ten are of {', '.join(one.expect_categories)}"
            )
            yield GateReason("persona", f"{text}, the champion {one.champion:.0%}, at least {one.wanted:.0%}")


def _told(compared: Compared) -> str:
    text = f"{PRIMARY_METRIC} {compared.candidate:.4f} against {compared.champion:.4f}"
    if compared.change is None or compared.low is None or compared.high is None:
        return text
    return f"{text}, {_pct(compared.change)} ({_pct(compared.low)} to {_pct(compared.high)})"


def _pct(share: float) -> str:
    return f"{share:+.1%}"
