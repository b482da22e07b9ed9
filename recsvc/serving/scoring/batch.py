"""Many customers at once. In: a scorer, histories. Out: for each what it would have got alone.

Parts of factors score all customers by one product of matrices. Where a shortlist finds the few items worth
scoring, that is cheaper still, customer by customer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsvc.bundles.bundle import History
from recsvc.serving.scoring.factors import CustomerFactors
from recsvc.serving.scoring.parts import FloatArray, FoldedIn, OpenRows, RowArray
from recsvc.serving.scoring.scorers import Scorer
from recsvc.serving.scoring.shortlist import Shortlist

_MOST_SCORES = 4_000_000
"""Held at once, 16 MB: so many customers are scored together."""


def score_many(scorer: Scorer, histories: Sequence[History]) -> FloatArray:
    """Row for row what `Scorer.score` says: (n_histories, n_items). No history is empty."""
    after = [scorer.parts_after(history) for history in histories]
    is_alone = len(after[0]) == 1
    total: FloatArray | None = None
    for part in zip(*after, strict=True):
        scores = _scores([folded for folded, _ in part])
        if is_alone:
            return scores
        spreads = [folded.spread() for folded, _ in part]
        scales = [weight / spread.deviation for (_, weight), spread in zip(part, spreads, strict=True)]
        means = [spread.mean for spread in spreads]
        scores *= np.array(scales, dtype=np.float32)[:, None]
        scores -= (np.array(scales) * np.array(means)).astype(np.float32)[:, None]
        total = scores if total is None else total + scores
    assert total is not None, "a model has a part"
    return total


def best_of_many(
    scorer: Scorer,
    shortlist: Shortlist | None,
    histories: Sequence[History],
    open_rows: Sequence[OpenRows],
    n: int,
) -> Sequence[tuple[RowArray, FloatArray]]:
    """For each history the best `n` of its open rows, best first, with their scores: (n,), (n,)."""
    if shortlist is not None:
        return [
            _best(few, scorer.score_of(history, few), n)
            for history, its in zip(histories, open_rows, strict=True)
            for few in [shortlist.among(its, history, n)]
        ]
    found: list[tuple[RowArray, FloatArray]] = []
    n_items = open_rows[0].n_items if open_rows else 1
    at_once = max(1, _MOST_SCORES // max(n_items, 1))
    for start in range(0, len(histories), at_once):
        scores = score_many(scorer, histories[start : start + at_once])
        for its, of_one in zip(open_rows[start : start + at_once], scores, strict=True):
            found.append(_best(its.all, of_one[its.all], n))
    return found


def _scores(folded: Sequence[FoldedIn]) -> FloatArray:
    """Of one part after several histories, a new array: (n_histories, n_items)."""
    customers = [one for one in folded if isinstance(one, CustomerFactors)]
    if len(customers) == len(folded):
        return customers[0].items.scores_of_many(np.stack([one.customer for one in customers]))
    return np.stack([one.scores() for one in folded])


def _best(rows: RowArray, scores: FloatArray, n: int) -> tuple[RowArray, FloatArray]:
    order = np.argsort(-scores, kind="stable")[:n]
    return rows[order], scores[order]
