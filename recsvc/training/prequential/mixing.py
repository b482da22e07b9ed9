"""Live parts and the trained score in one list. In: occasions with opinions. Out: lessons, ranks, weights.

The list of an occasion is the live shortlist and the best by the trained score together. Items of another
kind are known to the live state as they are in service, but they are not ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsvc.live.places import Floats, Rows
from recsvc.live.scoring import TASTE, HalfLives, blend, part_scores, shortlist
from recsvc.live.state import LiveState
from recsvc.training.prequential.choosing import (
    SHORT_HALF_LIVES_DAYS,
    best_half_life,
    count_ranks,
    long_counts,
    longer_than,
    replay_bounds,
)
from recsvc.training.prequential.logit import LOWEST, Lesson, PrunedFit, fit_parts
from recsvc.training.prequential.ranking import Shortlisted, barred_rows, listed, tastes
from recsvc.training.prequential.snapshot import state_before
from recsvc.training.prequential.stream import EventStream, Occasion, resume
from recsvc.training.prequential.trained import Opinion

CONTESTANTS = ("blend", "live", "trained")

_LOWEST_WITH_TRAINED = (*LOWEST, 0.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is replayed: the judged events of a stream from `start` on.

    `trained_items` are the ids of the trained model's rows; `other_ids` the items that are not ranked;
    `categories` those of the items that have one, by id.
    """

    stream: EventStream
    start: int
    trained_items: Sequence[str]
    other_ids: Set[str]
    categories: Mapping[str, str]

    def replay(self, state: LiveState, progress: Callable[[float], None]) -> Iterator[Occasion]:
        return resume(self.stream, state, self.start, len(self.stream), progress)

    def state(self, half_lives_days: tuple[float, ...]) -> LiveState:
        """What is known just before the start, with room for all that comes."""
        bounds = replace(replay_bounds(self.stream), n_items=len(self.stream.item_ids))
        return state_before(self.stream, self.start, half_lives_days, bounds)


@dataclass(frozen=True, slots=True)
class Mixed:
    """An occasion: the live shortlist, and with it what the trained score says best.

    The parts of `whole` are the live ones and the trained score; its rows begin with those of `live`.
    `alone` (n_rows of whole,) is the trained score of a service without live parts; `long_counts`
    (n_half_lives, n_rows of whole) what each long half-life says.
    """

    live: Shortlisted
    whole: Shortlisted
    alone: Floats
    long_counts: Floats

    def lesson(self) -> Lesson:
        """Of the whole list."""
        return Lesson(self.whole, self.long_counts)

    def live_lesson(self) -> Lesson:
        """Of the live shortlist."""
        return Lesson(self.live, self.long_counts[:, : len(self.live.rows)])

    def under(self, long: int) -> Mixed:
        """The same where the long half-life at this place is the one that counts."""
        parts = self.whole.parts.copy()
        parts[:, 1] = self.long_counts[long]
        n_live, n_parts = self.live.parts.shape
        return Mixed(
            self.live.with_parts(parts[:n_live, :n_parts]),
            self.whole.with_parts(parts),
            self.alone,
            self.long_counts,
        )


def choose_short_half_life(stage: Stage, n_learned: int, progress: Callable[[float], None]) -> float:
    """The half-life in days whose count alone ranks best on the first so many occasions."""
    state = stage.state(SHORT_HALF_LIVES_DAYS)
    known = _KnownItems(stage)

    def barred(state: LiveState, occasion: Occasion) -> Rows:
        known.follow(state)
        return known.barred(state, occasion)

    occasions = (one for _, one in zip(range(n_learned), stage.replay(state, progress), strict=False))
    return best_half_life(count_ranks(state, occasions, barred))


def mix(
    stage: Stage, said: Iterable[Opinion], half_life_days: float, progress: Callable[[float], None]
) -> list[Mixed]:
    """Every occasion of the stage with what the trained model said on it."""
    state = stage.state((half_life_days, *longer_than(half_life_days)))
    known = _KnownItems(stage)
    row_ids = stage.trained_items
    mixed = []
    for occasion, opinion in zip(stage.replay(state, progress), said, strict=True):
        known.follow(state)
        barred = known.barred(state, occasion)
        live_rows = shortlist(state, barred, 0, occasion.at)
        best = state.rows_of(row_ids[row] for row in opinion.best.tolist() if row >= 0)
        rows = np.concatenate([live_rows, best[~np.isin(best, live_rows)]])
        parts = part_scores(state, occasion.customer_id, rows, HalfLives(0, 1), occasion.at)
        parts[:, TASTE] = tastes(state, occasion.customer_id, rows, stage.categories)
        trained = known.trained(opinion.scores, rows)
        whole = listed(state, occasion, barred, rows, np.column_stack([parts, trained]))
        live = listed(state, occasion, barred, live_rows, parts[: len(live_rows)])
        mixed.append(
            Mixed(live, whole, known.trained(opinion.alone, rows), long_counts(state, rows, occasion.at))
        )
    return mixed


def fit_blend(learned: Iterable[Mixed]) -> PrunedFit | None:
    """The weights of the live parts and the trained score; None where nothing that was met was listed."""
    lessons = [one.lesson() for one in learned if one.whole.wanted is not None]
    return fit_parts(lessons, _LOWEST_WITH_TRAINED) if lessons else None


def fit_live(learned: Iterable[Mixed]) -> PrunedFit | None:
    """The weights of the live parts by themselves; None where nothing that was met was listed."""
    lessons = [one.live_lesson() for one in learned if one.live.wanted is not None]
    return fit_parts(lessons) if lessons else None


def contest(judged: Sequence[Mixed], whole: PrunedFit, live: PrunedFit) -> dict[str, Rows]:
    """The rank that each of `CONTESTANTS` gives to what was met: (n_occasions,) each."""
    of_blend = [
        one.whole.rank(blend(one.whole.parts, whole.weights)) for one in (a.under(whole.long) for a in judged)
    ]
    of_live = [
        one.live.rank(blend(one.live.parts, live.weights)) for one in (a.under(live.long) for a in judged)
    ]
    of_trained = [one.whole.rank(one.alone) for one in judged]
    ranks = (np.array(of_one) for of_one in (of_blend, of_live, of_trained))
    return dict(zip(CONTESTANTS, ranks, strict=True))


class _KnownItems:
    """By row of a state that grows: the row in the trained model, -1 for none, and whether it is ranked."""

    def __init__(self, stage: Stage) -> None:
        n_items = len(stage.stream.item_ids)
        self._trained_rows = {one: row for row, one in enumerate(stage.trained_items)}
        self._other_ids = stage.other_ids
        self._rows = np.full(n_items, -1, np.int64)
        self._is_other: NDArray[np.bool_] = np.zeros(n_items, np.bool_)
        self._n = 0

    def follow(self, state: LiveState) -> None:
        """Take note of the items that the state has come to know."""
        for row in range(self._n, state.n_items):
            item_id = state.item_ids[row]
            self._rows[row] = self._trained_rows.get(item_id, -1)
            self._is_other[row] = item_id in self._other_ids
        self._n = state.n_items

    def barred(self, state: LiveState, occasion: Occasion) -> Rows:
        """The rows of what the customer has met, and of what is not ranked; each once."""
        return np.union1d(barred_rows(state, occasion), np.flatnonzero(self._is_other[: self._n]))

    def trained(self, scores: NDArray[np.float32], rows: Rows) -> Floats:
        """The trained score of these rows, 0 where the model has none: (n_rows,)."""
        places = self._rows[rows]
        return np.where(places >= 0, scores[np.maximum(places, 0)].astype(np.float64), 0.0)
