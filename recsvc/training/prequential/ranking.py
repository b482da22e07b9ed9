"""The place of the item that was met among all that could be. In: state, occasion. Out: ranks from 1.

All known items are ranked except those the customer has met: the shortlist first, as its scores order it,
the others after it by their count. Of equal scores the item with the later first meeting stands first, and
where that is equal too, all others do: chance never flatters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from recsvc.live.places import Floats, Rows
from recsvc.live.scoring import TASTE, HalfLives, best_first, part_scores, shortlist, taste_scores
from recsvc.live.state import LiveState
from recsvc.training.metrics import PerCustomer
from recsvc.training.prequential.stream import Occasion

CUTOFF = 10
NO_CATEGORIES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Shortlisted:
    """The shortlist of an occasion: what each part says of each item, and where the item that was met stands.

    `rows` (n_rows,) of the state, `parts` (n_rows, n_parts), `firsts` (n_rows,) seconds. `wanted` is the
    item's place, None where it is not among them: then `rank_outside` is its rank by its count.
    """

    rows: Rows
    parts: Floats
    firsts: Floats
    wanted: int | None
    rank_outside: int

    def rank(self, scores: Floats) -> int:
        """The rank of the item that was met where these scores order the shortlist: (n_rows,)."""
        if self.wanted is None:
            return self.rank_outside
        return rank_of(self.wanted, scores, self.firsts)

    def first(self, scores: Floats, n: int) -> Rows:
        """The rows of the first so many items where these scores order the shortlist: at most (n,)."""
        first: Rows = self.rows[best_first(scores, self.firsts)][:n]
        return first

    def with_parts(self, parts: Floats) -> Shortlisted:
        """The same list where the parts say something else: (n_rows, n_parts)."""
        return replace(self, parts=parts)


def rank_of(wanted: int, scores: Floats, firsts: Floats) -> int:
    """The rank of one of these items, from 1: (n_items,) both."""
    same = scores == scores[wanted]
    before = (scores > scores[wanted]) | (same & (firsts >= firsts[wanted]))
    return int(before.sum())  # The item itself is among them.


def barred_rows(state: LiveState, occasion: Occasion) -> Rows:
    """The rows of what the customer has met."""
    return state.item_rows(occasion.met_ids)


def rank_by_count(state: LiveState, occasion: Occasion, barred: Rows, half_life: int) -> int:
    """The rank where the decayed count under one of the half-lives is all there is."""
    wanted = state.item_rows([occasion.item_id])
    if not len(wanted):
        return state.n_items + 1
    counts = state.log_counts(half_life, occasion.at)
    counts[barred] = -np.inf
    return rank_of(int(wanted[0]), counts, state.firsts())


def shortlisted(
    state: LiveState,
    occasion: Occasion,
    half_lives: HalfLives,
    categories: Mapping[str, str] = NO_CATEGORIES,
) -> Shortlisted:
    """The shortlist of an occasion, and what the parts say of it; `categories` as in `tastes`."""
    barred = barred_rows(state, occasion)
    rows = shortlist(state, barred, half_lives.short, occasion.at)
    parts = part_scores(state, occasion.customer_id, rows, half_lives, occasion.at)
    parts[:, TASTE] = tastes(state, occasion.customer_id, rows, categories)
    return listed(state, occasion, barred, rows, parts)


def tastes(state: LiveState, customer_id: str, rows: Rows, categories: Mapping[str, str]) -> Floats:
    """What taste says of these rows for a customer, nothing where no item has a category: (n_rows,).

    `categories` are those of the items that have one, by id.
    """
    if not categories:
        return np.zeros(len(rows))
    customer = state.customer_row(customer_id)
    recent = state.recent(customer).tolist() if customer is not None else []
    return taste_scores(
        [categories.get(state.item_ids[row]) for row in recent],
        [categories.get(state.item_ids[row]) for row in rows.tolist()],
    )


def listed(state: LiveState, occasion: Occasion, barred: Rows, rows: Rows, parts: Floats) -> Shortlisted:
    """Any shortlist of an occasion; what is neither on it nor barred comes after it by its first count."""
    wanted = state.item_rows([occasion.item_id])
    found = np.flatnonzero(np.isin(rows, wanted))
    is_out = not len(found)
    outside = len(rows) + rank_by_count(state, occasion, np.union1d(barred, rows), 0) if is_out else 0
    return Shortlisted(rows, parts, state.firsts()[rows], None if is_out else int(found[0]), outside)


def figures(ranks: NDArray[np.int64]) -> PerCustomer:
    """Hit rate and NDCG of the first ten, and the reciprocal rank in the whole list, each (n_occasions,)."""
    hits = (ranks <= CUTOFF).astype(np.float64)
    return {f"hit@{CUTOFF}": hits, f"ndcg@{CUTOFF}": hits / np.log2(ranks + 1), "mrr": 1 / ranks}
