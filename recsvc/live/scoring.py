"""How live items are ranked for a customer. In: the live state, a moment. Out: a shortlist and its scores.

The items with the highest decayed count make a shortlist; a weighted sum of the parts orders it. What each
part says of an item, all in powers of two:

- popularity, long_popularity: the decayed counts of a short and of a long half-life.
- newness: the age since the first meeting. recency: the time since the last.
- neighbours: the likeness to the customer of those of the item's last readers who are most alike.
- passed_over: the customer met something else for the first time since the item was there.
- depth: how old the item is, times how old the item was that the customer met last: somebody who reads in
  the archive goes on doing so.
- taste: the share of the item's category in what the customer met lately.

One more meeting with an item never lowers what a part says of it to somebody else, as long as it has fewer
readers than are kept. Nor does it lower the sum where no weight of a `NEVER_NEGATIVE` part is negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.live.places import Floats, Rows
from recsvc.live.state import SECONDS_A_DAY, Bounds, LiveState

PARTS = (
    "popularity",
    "long_popularity",
    "newness",
    "recency",
    "neighbours",
    "passed_over",
    "depth",
    "taste",
)
NEVER_NEGATIVE = frozenset({"popularity", "long_popularity", "recency", "neighbours", "taste"})
"""The parts that a meeting raises: the weight of each is at least 0."""
TASTE = PARTS.index("taste")
SHORTLIST_LENGTH = 60

_NEAREST = 5  # Readers who are compared: the mean over all would fall with one more who is not alike.

_NEWNESS = PARTS.index("newness")
_MINUTE = 60.0
_LOWEST_LOG_COUNT = -40.0  # What is left of one meeting after forty half-lives: below that nothing differs.
_LEAST_LIKENESS = 0.001
_OF_ONE_MEETING = np.full(len(PARTS), np.inf)  # At this moment, with somebody who is not alike.
_OF_ONE_MEETING[:2], _OF_ONE_MEETING[4] = 0.0, np.log2(_LEAST_LIKENESS)
_USUAL_SHARE = 0.1  # Of a category, as long as nothing is known of the customer.
_WORTH_OF_USUAL = 10.0  # In items: a customer who met fewer is mostly like anybody.


@dataclass(frozen=True, slots=True)
class LiveModel:
    """What a replay chose. `weights` are those of `PARTS`, one each."""

    half_life_days: float
    long_half_life_days: float
    weights: tuple[float, ...]

    def state(self, bounds: Bounds) -> LiveState:
        """An empty state with the half-lives that the model reads: `HalfLives(0, 1)`."""
        return LiveState((self.half_life_days, self.long_half_life_days), bounds)


@dataclass(frozen=True, slots=True)
class HalfLives:
    """The places of the short and of the long half-life among those of a state."""

    short: int
    long: int


def shortlist(state: LiveState, barred: Rows, half_life: int, at: float) -> Rows:
    """The rows of the items with the highest count that are not barred, at most `SHORTLIST_LENGTH`.

    Equal counts: the later first meeting is in.
    """
    counts = state.log_counts(half_life, at)
    counts[barred] = -np.inf
    n = min(SHORTLIST_LENGTH, len(counts) - len(barred))
    if n <= 0:
        return np.empty(0, np.int64)
    nth = np.partition(counts, len(counts) - n)[len(counts) - n]
    rows = np.flatnonzero(counts >= nth)
    rows = rows[counts[rows] > -np.inf]
    best: Rows = rows[best_first(counts[rows], state.firsts()[rows])][:n]
    return best


def best_first(scores: Floats, firsts: Floats) -> Rows:
    """The order of the highest scores first; equal ones: the later first meeting first: (n_items,)."""
    return np.lexsort((np.arange(len(scores)), -firsts, -scores))


def log_popularity(state: LiveState, rows: Rows, half_life: int, at: float) -> Floats:
    """log2 of the decayed counts of these items, where there is anything left of them: (n_rows,)."""
    counts: Floats = np.maximum(state.log_counts(half_life, at)[rows], _LOWEST_LOG_COUNT)
    return counts


def part_scores(
    state: LiveState, customer_id: str | None, rows: Rows, half_lives: HalfLives, at: float
) -> Floats:
    """What each part says of these items for a customer, known or not or nobody: (n_rows, n_parts).

    All but taste, which is left at 0: a state knows no categories, `taste_scores` is given them.
    """
    customer = None if customer_id is None else state.customer_row(customer_id)
    firsts = state.firsts()[rows]
    newness = -_log_days(at - firsts)
    scores = np.zeros((len(rows), len(PARTS)))
    for part, half_life in enumerate((half_lives.short, half_lives.long)):
        scores[:, part] = log_popularity(state, rows, half_life, at)
    scores[:, 2] = newness
    scores[:, 3] = -_log_days(at - state.lasts()[rows])
    if customer is None:
        scores[:, 4] = np.log2(_LEAST_LIKENESS)
        return scores
    of_readers = _highest(state.likeness(customer)[state.readers(rows)]).sum(axis=1) / _NEAREST
    seen, depth = state.seen(customer)
    scores[:, 4] = np.log2(of_readers + _LEAST_LIKENESS)
    scores[:, 5] = -(seen > firsts).astype(np.float64)
    if np.isfinite(seen):
        scores[:, 6] = -newness * _log_days(np.array(depth))
    return scores


def taste_scores(recent: Sequence[str | None], categories: Sequence[str | None]) -> Floats:
    """log2 of the share that each of these categories has in those that a customer met lately: (n_items,).

    Smoothed towards a usual share, which is also that of an item of no category.
    """
    counts = Counter(one for one in recent if one is not None)
    whole = counts.total() + _WORTH_OF_USUAL
    usual = _USUAL_SHARE * _WORTH_OF_USUAL
    shares = {category: (count + usual) / whole for category, count in counts.items()}
    of_unmet = usual / whole
    return np.log2([_USUAL_SHARE if one is None else shares.get(one, of_unmet) for one in categories])


def shared_with_readers(state: LiveState, customer: int, items: Rows) -> list[tuple[Rows, Floats]]:
    """What made the neighbours' part of each item: rows of the customer's recent items, and what each added.

    Both (n_shared,), in no order. Together that is the likeness of those of the item's readers who are most
    alike, over the number of readers who are compared.
    """
    likeness = state.likeness(customer)
    shared = []
    for readers in state.readers(items):
        nearest = readers[np.argsort(-likeness[readers], kind="stable")[:_NEAREST]]
        recent, parts = state.parts_of_likeness(customer, nearest)
        added = parts.sum(axis=0) / _NEAREST
        shared.append((recent[added > 0], added[added > 0]))
    return shared


def with_unmet(scores: Floats, is_met: NDArray[np.bool_], ages: Floats) -> Floats:
    """Scores of a list of items of which some were never met: (n_rows, n_parts).

    `scores` (n_met, n_parts) are those of the met ones, `is_met` (n_rows,) says where they stand, `ages`
    (n_unmet,) how long ago each other was published, seconds, NaN where nobody knows. Of these every part
    says the mean of the list, for nothing speaks against them yet, but no more than it would say after a
    first meeting, which thus lowers nothing. Their newness is their own; their taste is not known here.
    """
    mean = scores.mean(axis=0) if len(scores) else np.zeros(len(PARTS))
    usual = np.minimum(mean, _OF_ONE_MEETING)
    whole = np.broadcast_to(usual, (len(is_met), len(PARTS))).copy()
    whole[is_met] = scores
    own = np.full(len(is_met), np.nan)
    own[~is_met] = -_log_days(ages)
    is_known = np.isfinite(own)
    whole[is_known, _NEWNESS] = own[is_known]
    return whole


def blend(scores: Floats, weights: Sequence[float]) -> Floats:
    """The weighted sum of the parts: (n_rows,)."""
    blended: Floats = scores @ np.asarray(weights)
    return blended


def _highest(likeness: Floats) -> Floats:
    """The highest of each row, as many as are compared: (n_rows, at most _NEAREST)."""
    if likeness.shape[1] <= _NEAREST:
        return likeness
    highest: Floats = np.partition(likeness, -_NEAREST, axis=1)[:, -_NEAREST:]
    return highest


def _log_days(seconds: Floats) -> Floats:
    """log2 of a time in days, which may lie ahead or be nothing: no less than a minute's."""
    days: Floats = np.log2((np.maximum(seconds, 0.0) + _MINUTE) / SECONDS_A_DAY)
    return days
