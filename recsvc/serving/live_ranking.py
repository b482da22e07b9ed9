"""What is live and what was trained, in one score. In: a live state, a model, a subject. Out: candidates.

A shortlist is made of the items with the highest counts, those the model thinks most of and those nobody has
met yet. The weighted parts of the live ranking and the standardised score of the model order it: the sum
whose weights a replay of the history chose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.items import Item
from recsvc.domain.rows import NO_ROW
from recsvc.domain.slates import Source
from recsvc.live.places import Floats, Rows
from recsvc.live.scoring import (
    NEVER_NEGATIVE,
    PARTS,
    SHORTLIST_LENGTH,
    TASTE,
    best_first,
    blend,
    part_scores,
    taste_scores,
    with_unmet,
)
from recsvc.live.state import LiveState
from recsvc.serving.candidate import Candidate
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.live_access import Live, Weighing
from recsvc.serving.live_popularity import HALF_LIVES, Open, open_by_score
from recsvc.serving.live_shares import shares_of
from recsvc.serving.scoring.parts import RowArray
from recsvc.serving.scoring.standardised import TrainedOpinion

_RAISED = np.array([part for part, name in enumerate(PARTS) if name in NEVER_NEGATIVE])


def shortlisted(
    live: Live, weighing: Weighing, customer_id: str | None, of: Open, trained: TrainedOpinion, source: Source
) -> list[Candidate]:
    """The shortlist in order. `customer_id` None says nothing of the customer's own."""
    items = _proposed(live, of, trained)
    if not items:
        return []
    listed, places = list(items.values()), live.state.rows_of(items)
    rows = of.view.known.rows_of(items)
    scores = _parts(live, customer_id, listed, places, rows, of.view)
    by_model = weighing.trained_weight * _trained(list(items), rows, of, trained)
    by_everybody = weighing.trained_weight * _common(rows, trained)
    weighted = scores * np.asarray(weighing.model.weights)
    total = blend(scores, weighing.model.weights) + by_model
    firsts = np.where(places >= 0, live.state.firsts()[places] if live.state.n_items else np.inf, np.inf)
    order = best_first(total, firsts)
    shares = shares_of(weighted[order], (by_model - by_everybody)[order], by_everybody[order])
    rows_or_none = [None if row == NO_ROW else row for row in rows.tolist()]
    return [
        Candidate(listed[place], float(total[place]), source, rows_or_none[place], share)
        for place, share in zip(order.tolist(), shares, strict=True)
    ]


def _proposed(live: Live, of: Open, trained: TrainedOpinion) -> dict[str, Item]:
    """The items of the shortlist by id, in an order that is always the same."""
    counts = live.state.log_counts(HALF_LIVES.short, live.at)
    hottest = islice(open_by_score(live.state, counts, of), SHORTLIST_LENGTH)
    proposed = {item.item_id: item for _, item in hottest}
    best = trained.best(of.open_rows, SHORTLIST_LENGTH).tolist()
    proposed |= {item.item_id: item for item in map(of.view.known.at, best)}
    proposed |= {item.item_id: item for item in _best_cold(of, trained) if not _is_to_come(item, live.now)}
    unmet = (
        item
        for item in of.unplaced()
        if not live.state.knows_item(item.item_id) and not _is_to_come(item, live.now)
    )
    return proposed | {item.item_id: item for item in islice(unmet, SHORTLIST_LENGTH)}


def _is_to_come(item: Item, now: float) -> bool:
    """What is to be published later is no news yet."""
    return item.published_at is not None and item.published_at.timestamp() > now


def _best_cold(of: Open, trained: TrainedOpinion) -> Iterable[Item]:
    """What has no row but factors, as far as the model thinks most of it; of equals the newest."""
    if len(of.cold.items) <= SHORTLIST_LENGTH:
        return of.cold.items
    order = np.argsort(-_of_cold(of, trained), kind="stable")[:SHORTLIST_LENGTH]
    return (of.cold.items[place] for place in order)


def _parts(
    live: Live, customer_id: str | None, items: list[Item], places: Rows, rows: RowArray, view: CatalogueView
) -> Floats:
    """What each live part says of each item: (n_items, n_parts). `places` are its rows in the state."""
    is_met = places >= 0
    of_met = part_scores(live.state, customer_id, places[is_met], HALF_LIVES, live.at)
    unmet = [item for item, met in zip(items, is_met.tolist(), strict=True) if not met]
    scores = with_unmet(of_met, is_met, _ages(unmet, live.at))
    if len(of_met) and unmet:
        _lower_forgotten(scores, of_met, ~is_met, rows >= 0)
    scores[:, TASTE] = _tastes(live.state, customer_id, items, view)
    return scores


def _tastes(state: LiveState, customer_id: str | None, items: Sequence[Item], view: CatalogueView) -> Floats:
    """What taste says of each item: (n_items,)."""
    customer = None if customer_id is None else state.customer_row(customer_id)
    recent = state.recent(customer).tolist() if customer is not None else []
    met = (view.items.get(state.item_ids[row]) for row in recent)
    return taste_scores([item.category if item else None for item in met], [item.category for item in items])


def _lower_forgotten(
    scores: Floats, of_met: Floats, is_unmet: NDArray[np.bool_], has_row: NDArray[np.bool_]
) -> None:
    """What was met before the training and is forgotten since is no news: it was the coldest of all."""
    forgotten = np.flatnonzero(is_unmet & has_row)
    scores[forgotten[:, None], _RAISED] = of_met[:, _RAISED].min(axis=0)


def _ages(items: Iterable[Item], at: float) -> Floats:
    """How long ago each was published, seconds; NaN where nobody knows."""
    published = [item.published_at.timestamp() if item.published_at else np.nan for item in items]
    return at - np.array(published, dtype=np.float64)


def _trained(item_ids: list[str], rows: RowArray, of: Open, trained: TrainedOpinion) -> Floats:
    """What the model thinks of each item: 0, the mean, where it knows none: (n_items,)."""
    scores = np.zeros(len(rows))
    scores[rows >= 0] = trained.of(rows[rows >= 0])
    if of.cold.items:
        by_id = dict(zip((item.item_id for item in of.cold.items), _of_cold(of, trained), strict=True))
        for place in np.flatnonzero(rows < 0).tolist():
            scores[place] = by_id.get(item_ids[place], 0.0)
    return scores


def _of_cold(of: Open, trained: TrainedOpinion) -> Floats:
    return trained.of_new(of.cold.factors, len(of.cold.items))


def _common(rows: RowArray, trained: TrainedOpinion) -> Floats:
    """What the model says of each item whatever the history: (n_items,)."""
    scores = np.zeros(len(rows))
    scores[rows >= 0] = trained.common_of(rows[rows >= 0])
    return scores
