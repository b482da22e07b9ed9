"""What a candidate may not break on the way to a better metric. In: a footing. Out: each guardrail's figures.

Each asks a ratio of the champion's figure: coverage (the share of items that stand on anybody's first
twenty), evenness (1 less the Gini of how often items do), cold customers (of some of the customers, asked
with two items of their history alone: how many get a list of their own) and overlap (how much of the
champion's first ten is among the candidate's, of the items that both know).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.gate_report import GuardrailOutcome, SegmentOutcome
from recsvc.policy_training import GatePolicy
from recsvc.training.evaluation import Evaluation
from recsvc.training.gate.bounds import compare
from recsvc.training.gate.first_lists import first_items, has_own_list
from recsvc.training.gate.footing import Footing

COVERAGE, EVENNESS, COLD, OVERLAP = "coverage", "evenness", "cold_customers", "overlap"
MIN_SEGMENT_CUSTOMERS = 30  # Of fewer, a loss of a tenth cannot be told from chance.
MIN_COLD_CUSTOMERS = 20
N_COLD_ITEMS = 2
_MAX_ASKED = 400  # Customers whose lists are looked at: a share of so many is off by .05 at most.


def guardrails(
    footing: Footing,
    candidate: Evaluation,
    champion: Evaluation,
    policy: GatePolicy,
    rng: np.random.Generator,
) -> tuple[GuardrailOutcome, ...]:
    """Every guardrail over the lists as a whole, in the order in which they are told."""
    rows = footing.held_out.customer_rows
    asked = np.sort(rng.choice(rows, size=min(len(rows), _MAX_ASKED), replace=False))
    return (
        _ratio(
            COVERAGE,
            _coverage(candidate),
            _coverage(champion),
            policy.least_coverage_ratio,
            "share of the items on anybody's first twenty",
        ),
        _ratio(
            EVENNESS,
            _evenness(candidate),
            _evenness(champion),
            policy.least_evenness_ratio,
            "1 - Gini of how often items are on the first twenty",
        ),
        _cold_customers(footing, asked, policy, rng),
        _overlap(footing, asked, policy),
    )


def segment_outcomes(
    segments: NDArray[np.int16],
    names: tuple[str, ...],
    figures: tuple[NDArray[np.float64], NDArray[np.float64]],
    policy: GatePolicy,
    rng: np.random.Generator,
) -> tuple[SegmentOutcome, ...]:
    """Whether a segment is shown to lose more than it may: the upper bound of its change lies below that.

    Args:
        segments: of each customer who is judged the row of the segment, -1 for none: (n_customers,).
        figures: the primary metric under the candidate and under the champion, each (n_customers,).
    """
    outcomes = []
    for row, name in enumerate(names):
        inside = segments == row
        n = int(inside.sum())
        if n < MIN_SEGMENT_CUSTOMERS:
            outcomes.append(SegmentOutcome(name, n, None, None))
            continue
        after, before = (figure[inside] for figure in figures)
        compared = compare(after, before, rng, policy.n_resamples)
        holds = None if compared.high is None else compared.high >= -policy.segment_loss
        outcomes.append(SegmentOutcome(name, n, compared, holds))
    return tuple(outcomes)


def _ratio(name: str, candidate: float, champion: float, least: float, note: str) -> GuardrailOutcome:
    limit = champion * least
    return GuardrailOutcome(name, candidate, champion, limit, candidate >= limit, note)


def _cold_customers(
    footing: Footing, asked: NDArray[np.int64], policy: GatePolicy, rng: np.random.Generator
) -> GuardrailOutcome:
    note = f"share of customers with a history of {N_COLD_ITEMS} items who get a list of their own"
    histories = _shortened(footing.data.strengths[asked], rng)
    if histories.shape[0] < MIN_COLD_CUSTOMERS:
        note = f"{note}; not judged: only {histories.shape[0]} have as many"
        return GuardrailOutcome(COLD, None, None, None, None, note)
    may_repeat = footing.held_out.may_repeat
    candidate, champion = (
        float(has_own_list(one, histories, may_repeat=may_repeat).mean())
        for one in (footing.candidate, footing.champion)
    )
    return _ratio(COLD, candidate, champion, policy.least_cold_ratio, note)


def _shortened(histories: csr_matrix, rng: np.random.Generator) -> csr_matrix:
    """Two items of each history that has as many, drawn by chance: (n, n_items)."""
    long_enough = np.flatnonzero(np.diff(histories.indptr) >= N_COLD_ITEMS)
    starts = histories.indptr[:-1]
    drawn = [
        starts[row]
        + np.sort(rng.choice(histories.indptr[row + 1] - starts[row], N_COLD_ITEMS, replace=False))
        for row in long_enough
    ]
    places = np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)
    offsets = np.arange(len(drawn) + 1) * N_COLD_ITEMS
    return csr_matrix(
        (histories.data[places], histories.indices[places], offsets), shape=(len(drawn), histories.shape[1])
    )


def _overlap(footing: Footing, asked: NDArray[np.int64], policy: GatePolicy) -> GuardrailOutcome:
    histories, may_repeat = footing.data.strengths[asked], footing.held_out.may_repeat
    both = footing.champion.is_known & footing.candidate.is_known
    before, after = (
        first_items(one, histories, may_repeat=may_repeat, among=both)
        for one in (footing.champion, footing.candidate)
    )
    is_kept = (before[:, :, None] == after[:, None, :]).any(axis=2) & (before >= 0)
    n_before = np.maximum((before >= 0).sum(axis=1), 1)
    overlap = float((is_kept.sum(axis=1) / n_before).mean())
    note = "share of the champion's first ten that are among the candidate's, of the items that both know"
    return GuardrailOutcome(
        OVERLAP, overlap, 1.0, policy.least_overlap, overlap >= policy.least_overlap, note
    )


def _coverage(evaluation: Evaluation) -> float:
    return _of_catalogue(evaluation.catalogue, "coverage")


def _evenness(evaluation: Evaluation) -> float:
    return 1 - _of_catalogue(evaluation.catalogue, "gini")


def _of_catalogue(catalogue: Mapping[str, float], name: str) -> float:
    return next(value for key, value in catalogue.items() if key.startswith(f"{name}@"))
