"""What is live and what was trained, in one score. In: a live state, a model, a subject. Out: candidates.

A shortlist is made of the items with the highest counts, those the model thinks most of and those nobody has
met yet. The weighted parts of the live ranking and the standardised score of the model order it: the sum
whose weights a replay of the history chose.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Source
from recsvc.live.places import NO_ROW, Floats, Rows
from recsvc.live.scoring import (
    NEVER_NEGATIVE,
    PARTS,
    SHORTLIST_LENGTH,
    TASTE,
    HalfLives,
    LiveModel,
    best_first,
    blend,
    log_popularity,
    part_scores,
    taste_scores,
    with_unmet,
)
from recsvc.live.state import LiveState
from recsvc.serving.candidate import Candidate
from recsvc.serving.cold_items import ColdItems
from recsvc.serving.live_catalogue import CatalogueView
from recsvc.serving.live_shares import shares_of
from recsvc.serving.live_snapshot import live_model_of
from recsvc.serving.scoring.parts import RowArray
from recsvc.serving.scoring.standardised import TrainedOpinion
from recsvc.serving.verification import Model

log = structlog.get_logger()

T = TypeVar("T")

MOST_NEWS = 1_000
"""So many of the newest items without a place are looked through for what nobody has met, at each request."""

_HALF_LIVES = HalfLives(0, 1)
_AT_MOST_AGE_SECONDS = 0.05
_FIRST_LOOK = 256  # Of so many items a shortlist is nearly always full.
_RAISED = np.array([part for part, name in enumerate(PARTS) if name in NEVER_NEGATIVE])


class Reading(Protocol):
    """A live state that nobody changes meanwhile, and the moment to score it at, seconds since 1970."""

    @property
    def state(self) -> LiveState: ...

    @property
    def moment(self) -> float: ...


class LiveStates(Protocol):
    """Has a live state for each model that serves."""

    def reading(
        self, model: Model | None, *, at_most_age_seconds: float = ...
    ) -> AbstractContextManager[Reading | None]:
        """The state of the model, no older than the age; None while it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Live:
    """What is live for a request at `now`; `at` is the time of the latest event. Seconds since 1970."""

    model: LiveModel
    trained_weight: float
    state: LiveState
    at: float
    now: float

    def knows(self, customer_id: str | None) -> bool:
        """Whether anything was recorded of the customer; None is nobody."""
        return customer_id is not None and self.state.customer_row(customer_id) is not None


@contextmanager
def live_of(states: LiveStates | None, model: Model | None, now: datetime) -> Iterator[Live | None]:
    """What is live for a model, for as long as it is read; None where the model has no live parts."""
    facts = model.bundle.manifest.live if model is not None else None
    chosen = live_model_of(model.bundle.manifest) if model is not None else None
    if states is None or facts is None or chosen is None:
        yield None
        return
    with states.reading(model, at_most_age_seconds=_AT_MOST_AGE_SECONDS) as reading:
        if reading is None:
            yield None
        else:
            yield Live(chosen, facts.trained_weight, reading.state, reading.moment, now.timestamp())


def made_with_live(
    states: LiveStates | None, model: Model | None, now: datetime, make: Callable[[Live | None], T]
) -> T:
    """What is made of what is live; whatever goes wrong with it, what is made without it."""
    try:
        with live_of(states, model, now) as live:
            return make(live)
    except Exception as error:
        log.warning("live_state_unusable", reason=repr(error))
    return make(None)


@dataclass(frozen=True, slots=True)
class Open:
    """The items of a kind that a customer may be shown: in the view, and not used before.

    `rows` are the bundle's, ascending; `cold` items have none but factors, `unplaced` ones nothing.
    """

    kind: ItemKind
    view: CatalogueView
    rows: RowArray
    cold: ColdItems
    used: Collection[str]
    used_rows: Collection[int]

    def item(self, item_id: str) -> Item | None:
        """The item of this id, if it is one of them."""
        item = self.view.items.get(item_id)
        if item is None or item.kind is not self.kind or item_id in self.used:
            return None
        return None if self.view.rows.get(item_id) in self.used_rows else item

    def unplaced(self) -> Iterator[Item]:
        """Those that the model can say nothing of, newest first: no more than can be news."""
        newest = islice(self.view.unplaced[self.kind], MOST_NEWS)
        return (item for item in newest if item.item_id not in self.used)


def shortlisted(
    live: Live, customer_id: str | None, of: Open, trained: TrainedOpinion, source: Source
) -> list[Candidate]:
    """The shortlist in order. `customer_id` None says nothing of the customer's own."""
    items = _proposed(live, of, trained)
    if not items:
        return []
    places = live.state.rows_of(items)
    scores = _parts(live, customer_id, list(items.values()), places, of.view)
    by_model = _trained(list(items), of, trained)
    weighted = scores * np.asarray(live.model.weights)
    total = blend(scores, live.model.weights) + live.trained_weight * by_model
    by_everybody = _common(list(items), of, trained)
    firsts = np.where(places >= 0, live.state.firsts()[places] if live.state.n_items else np.inf, np.inf)
    order = best_first(total, firsts)
    own, common = live.trained_weight * (by_model - by_everybody), live.trained_weight * by_everybody
    listed = list(items.values())
    return [
        Candidate(listed[place], float(total[place]), source, of.view.rows.get(listed[place].item_id), shares)
        for place, shares in zip(
            order.tolist(), shares_of(weighted[order], own[order], common[order]), strict=True
        )
    ]


def popular_now(live: Live, of: Open) -> Iterator[Candidate]:
    """Every item that anybody has met, by its counts of both half-lives, which multiplied make its score.

    What few take now and many took lately stands behind what many take now.
    """
    rows = np.arange(live.state.n_items)
    of_short, of_long = (
        log_popularity(live.state, rows, place, live.at) for place in (_HALF_LIVES.short, _HALF_LIVES.long)
    )
    scores = np.where(
        np.isfinite(live.state.log_counts(_HALF_LIVES.long, live.at)), of_short + of_long, -np.inf
    )
    for row, item in _open_of(live.state, scores, of):
        yield Candidate(item, float(scores[row]), Source.POPULAR, of.view.rows.get(item.item_id))


def _proposed(live: Live, of: Open, trained: TrainedOpinion) -> dict[str, Item]:
    """The items of the shortlist by id, in an order that is always the same."""
    counts = live.state.log_counts(_HALF_LIVES.short, live.at)
    proposed = {item.item_id: item for _, item in islice(_open_of(live.state, counts, of), SHORTLIST_LENGTH)}
    best = trained.best(of.rows, SHORTLIST_LENGTH).tolist()
    proposed |= {item.item_id: item for item in map(of.view.by_row.__getitem__, best)}
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


def _open_of(state: LiveState, scores: Floats, of: Open) -> Iterator[tuple[int, Item]]:
    """The open items and their rows in the state by falling score; of equals the later first met first."""
    ids = state.item_ids
    for row in _falling(scores, state.firsts()):
        if (item := of.item(ids[row])) is not None:
            yield row, item


def _falling(scores: Floats, firsts: Floats) -> Iterator[int]:
    known = np.flatnonzero(scores > -np.inf)
    among = scores[known]
    least = np.partition(among, -_FIRST_LOOK)[-_FIRST_LOOK] if len(among) > 2 * _FIRST_LOOK else -np.inf
    for rows in (known[among >= least], known[among < least]):
        yield from rows[best_first(scores[rows], firsts[rows])].tolist()


def _parts(
    live: Live, customer_id: str | None, items: list[Item], places: Rows, view: CatalogueView
) -> Floats:
    """What each live part says of each item: (n_items, n_parts)."""
    is_met = places >= 0
    of_met = part_scores(live.state, customer_id, places[is_met], _HALF_LIVES, live.at)
    unmet = [item for item, met in zip(items, is_met.tolist(), strict=True) if not met]
    scores = with_unmet(of_met, is_met, _ages(unmet, live.at))
    if len(of_met) and unmet:
        _lower_forgotten(scores, of_met, ~is_met, np.array([item.item_id in view.rows for item in items]))
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


def _trained(item_ids: list[str], of: Open, trained: TrainedOpinion) -> Floats:
    """What the model thinks of each item: 0, the mean, where it knows none: (n_items,)."""
    scores = np.zeros(len(item_ids))
    rows = np.array([of.view.rows.get(item_id, NO_ROW) for item_id in item_ids], dtype=np.int32)
    scores[rows >= 0] = trained.of(rows[rows >= 0])
    if of.cold.items:
        by_id = dict(zip((item.item_id for item in of.cold.items), _of_cold(of, trained), strict=True))
        for place in np.flatnonzero(rows < 0).tolist():
            scores[place] = by_id.get(item_ids[place], 0.0)
    return scores


def _of_cold(of: Open, trained: TrainedOpinion) -> Floats:
    return trained.of_new(of.cold.factors, len(of.cold.items))


def _common(item_ids: list[str], of: Open, trained: TrainedOpinion) -> Floats:
    """What the model says of each item whatever the history: (n_items,)."""
    scores = np.zeros(len(item_ids))
    rows = np.array([of.view.rows.get(item_id, NO_ROW) for item_id in item_ids], dtype=np.int32)
    scores[rows >= 0] = trained.common_of(rows[rows >= 0])
    return scores
