"""What the live ranking is made of. In: events before a moment. Out: half-lives and weights.

The short half-life is the one whose count alone ranks best by NDCG@10 in the stretch that is learned from:
the last first meetings before the moment. The long one, and the weights of all parts, are those of `logit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from recsvc.errors import TrainingError
from recsvc.live.places import Floats, Rows
from recsvc.live.scoring import PARTS, HalfLives, LiveModel, log_popularity
from recsvc.live.state import Bounds, LiveState
from recsvc.training.prequential.logit import Lesson, fit_parts
from recsvc.training.prequential.ranking import barred_rows, figures, rank_by_count, shortlisted
from recsvc.training.prequential.stream import EventStream, Occasion, replay

SHORT_HALF_LIVES_DAYS = (1 / 96, 1 / 24, 1 / 8, 1 / 4, 1 / 2, 1.0, 3.0, 7.0, 30.0)
LONG_HALF_LIVES_DAYS = (1.0, 3.0, 7.0, 30.0, 90.0)
MOST_LEARNED = 5_000  # First meetings: more move no weight by its standard error.
LEAST_LEARNED = 100

_MOST_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Choice:
    """The model, and by part the weights of a model that has to do without it."""

    model: LiveModel
    weights_without: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The places of the stream that are learned from: from `start` on, before `end`."""

    start: int
    end: int
    n_occasions: int


def stretch_before(stream: EventStream, seconds: float) -> Stretch:
    """The last first meetings before a moment.

    Raises:
        TrainingError: there are too few.
    """
    end = stream.place_of(seconds)
    judged = np.flatnonzero(stream.is_judged[:end])
    if len(judged) < LEAST_LEARNED:
        raise TrainingError(
            f"only {len(judged)} first-time interactions come before the date, and {LEAST_LEARNED} are "
            "needed to choose half-lives and weights by; give a later date"
        )
    learned = judged[-MOST_LEARNED:]
    return Stretch(int(learned[0]), end, len(learned))


def choose_half_life(stream: EventStream, stretch: Stretch, progress: Callable[[float], None]) -> float:
    """The half-life in days whose count alone ranks best; of equal ones the shorter."""
    state = LiveState(SHORT_HALF_LIVES_DAYS, replay_bounds(stream))
    occasions = replay(stream, state, stretch.start, stretch.end, progress)
    return best_half_life(count_ranks(state, occasions, barred_rows))


def count_ranks(
    state: LiveState, occasions: Iterable[Occasion], barred: Callable[[LiveState, Occasion], Rows]
) -> Rows:
    """The rank of what was met, by the count under each of a state's half-lives: (n_occasions, n_half_lives).

    The occasions are those of a replay into the state; `barred` are the rows that are not ranked.
    """
    places = range(len(state.half_lives_days))
    ranks = []
    for occasion in occasions:
        rows = barred(state, occasion)
        ranks.append([rank_by_count(state, occasion, rows, place) for place in places])
    return np.array(ranks)


def best_half_life(ranks: Rows) -> float:
    """That of `SHORT_HALF_LIVES_DAYS` with the best NDCG@10; of equal ones the shorter."""
    quality = [figures(of_one)["ndcg@10"].mean() for of_one in ranks.T]
    return SHORT_HALF_LIVES_DAYS[int(np.argmax(quality))]


def longer_than(half_life_days: float) -> tuple[float, ...]:
    """The long half-lives that are worth trying beside a short one."""
    return tuple(one for one in LONG_HALF_LIVES_DAYS if one > half_life_days)


def long_counts(state: LiveState, rows: Rows, at: float) -> Floats:
    """What each half-life of a state but its first says of these items: (n_half_lives - 1, n_rows)."""
    places = range(1, len(state.half_lives_days))
    return np.stack([log_popularity(state, rows, place, at) for place in places])


def choose_model(
    stream: EventStream,
    stretch: Stretch,
    half_life_days: float,
    categories: Mapping[str, str],
    progress: Callable[[float], None],
) -> Choice:
    """The long half-life and the weights. `categories` are those of the items that have one, by id.

    Raises:
        TrainingError: nothing that was met was ever on its shortlist.
    """
    longer = longer_than(half_life_days)
    state = LiveState((half_life_days, *longer), replay_bounds(stream))
    learned = []
    for occasion in replay(stream, state, stretch.start, stretch.end, progress):
        one = shortlisted(state, occasion, HalfLives(0, 1), categories)
        if one.wanted is not None:
            learned.append(Lesson(one, long_counts(state, one.rows, occasion.at)))
    if not learned:
        raise TrainingError(
            "no first-time interaction before the date was with an item that was popular then, so there is "
            "nothing to learn weights from; give a later date"
        )
    fit = fit_parts(learned)
    model = LiveModel(half_life_days, longer[fit.long], fit.weights)
    return Choice(model, dict(zip(PARTS, fit.weights_without, strict=True)))


def replay_bounds(stream: EventStream) -> Bounds:
    """Room for everybody of a history, as far as memory allows: half a gigabyte at most."""
    return Bounds(
        n_items=min(len(stream.item_ids), _MOST_ROWS), n_customers=min(len(stream.customer_ids), _MOST_ROWS)
    )
