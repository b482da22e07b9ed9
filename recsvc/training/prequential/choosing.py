"""What the live ranking is made of. In: events before a moment. Out: half-lives and weights.

The short half-life is the one whose count alone ranks best by NDCG@10 in the stretch that is learned from:
the last first meetings before the moment. The long one, and the weights of all parts, are those under which
what was met is likeliest among its shortlist (a conditional logit, McFadden 1974), with a little weight
decay. A part without which that likelihood is hardly less gets no weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from recsvc.errors import TrainingError
from recsvc.live.scoring import NEVER_NEGATIVE, PARTS, HalfLives, LiveModel, log_popularity
from recsvc.live.state import Bounds, Floats, LiveState, Rows
from recsvc.training.prequential.ranking import (
    Shortlisted,
    barred_rows,
    figures,
    rank_by_count,
    shortlisted,
)
from recsvc.training.prequential.stream import EventStream, replay

SHORT_HALF_LIVES_DAYS = (1 / 96, 1 / 24, 1 / 8, 1 / 4, 1 / 2, 1.0, 3.0, 7.0, 30.0)
LONG_HALF_LIVES_DAYS = (1.0, 3.0, 7.0, 30.0, 90.0)
MOST_LEARNED = 5_000  # First meetings: more move no weight by its standard error.
LEAST_LEARNED = 100

_PENALTY = 1.0  # Of the sum of squared weights of parts in units of their standard deviation, halved.
_LEAST_GAIN = 2.0  # In log-likelihood: what a weight of two standard errors brings (Wilks 1938).
_MOST_ROWS = 200_000
_LOWEST = tuple(0.0 if name in NEVER_NEGATIVE else -np.inf for name in PARTS)
_LONG_PART = PARTS.index("long_popularity")


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights of `PARTS`, and the log-likelihood (natural, less the penalty) that they reach."""

    weights: tuple[float, ...]
    likelihood: float


@dataclass(frozen=True, slots=True)
class Lessons:
    """Shortlists one after the other, each with what was met among it.

    `parts` (n_rows, n_parts); `wanted`, `starts`, `lengths` (n_shortlists,) are rows and numbers of rows.
    `lowest` (n_parts,) is the least weight that each part may get.
    """

    parts: Floats
    wanted: Rows
    starts: Rows
    lengths: Rows
    lowest: tuple[float, ...] = _LOWEST

    @classmethod
    def of(cls, learned: Sequence[Shortlisted]) -> Lessons:
        lengths = np.array([len(one.parts) for one in learned])
        starts = np.cumsum(lengths) - lengths
        wanted = starts + np.array([one.wanted for one in learned])
        return cls(np.concatenate([one.parts for one in learned]), wanted, starts, lengths)

    def with_part(self, part: int, scores: Floats) -> Lessons:
        """The same with other scores of one part: (n_rows,)."""
        parts = self.parts.copy()
        parts[:, part] = scores
        return replace(self, parts=parts)

    def without_part(self, part: int) -> Lessons:
        """The same where one part says nothing."""
        return self.with_part(part, np.zeros(len(self.parts)))


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
    ranks = []
    for occasion in replay(stream, state, stretch.start, stretch.end, progress):
        barred = barred_rows(state, occasion)
        ranks.append(
            [rank_by_count(state, occasion, barred, place) for place in range(len(SHORT_HALF_LIVES_DAYS))]
        )
    quality = [figures(of_one)["ndcg@10"].mean() for of_one in np.array(ranks).T]
    return SHORT_HALF_LIVES_DAYS[int(np.argmax(quality))]


def choose_model(
    stream: EventStream, stretch: Stretch, half_life_days: float, progress: Callable[[float], None]
) -> Choice:
    """The long half-life and the weights.

    Raises:
        TrainingError: nothing that was met was ever on its shortlist.
    """
    longer = tuple(one for one in LONG_HALF_LIVES_DAYS if one > half_life_days)
    state = LiveState((half_life_days, *longer), replay_bounds(stream))
    learned, counts = [], []
    for occasion in replay(stream, state, stretch.start, stretch.end, progress):
        one = shortlisted(state, occasion, HalfLives(0, 1))
        if one.wanted is not None:
            learned.append(one)
            of_long = [
                log_popularity(state, one.rows, place, occasion.at) for place in range(1, len(longer) + 1)
            ]
            counts.append(np.stack(of_long))
    if not learned:
        raise TrainingError(
            "no first-time interaction before the date was with an item that was popular then, so there is "
            "nothing to learn weights from; give a later date"
        )
    lessons = Lessons.of(learned)
    tried = [
        fit_weights(lessons.with_part(_LONG_PART, np.concatenate([one[place] for one in counts])))
        for place in range(len(longer))
    ]
    best = int(np.argmax([fit.likelihood for fit in tried]))
    chosen = lessons.with_part(_LONG_PART, np.concatenate([one[best] for one in counts]))
    fit, without = _pruned(chosen, tried[best])
    return Choice(LiveModel(half_life_days, longer[best], fit.weights), without)


def _pruned(lessons: Lessons, fit: Fit) -> tuple[Fit, Mapping[str, tuple[float, ...]]]:
    """The fit with only the parts that pay for themselves, and by part the weights of one without it."""
    kept = set(range(len(PARTS)))
    while True:
        without = {part: fit_weights(lessons.without_part(part)) for part in sorted(kept)}
        least = max(without, key=lambda part: without[part].likelihood)
        if len(kept) == 1 or fit.likelihood - without[least].likelihood >= _LEAST_GAIN:
            return fit, {name: without.get(part, fit).weights for part, name in enumerate(PARTS)}
        lessons, fit = lessons.without_part(least), without[least]
        kept.remove(least)


def fit_weights(lessons: Lessons) -> Fit:
    """The weights under which what was met is likeliest; a part that never differs gets 0."""
    spread = lessons.parts.std(axis=0)
    scale = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0)
    scaled = (lessons.parts - lessons.parts.mean(axis=0)) * scale
    of_wanted = scaled[lessons.wanted].sum(axis=0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = scaled @ weights
        highest = np.maximum.reduceat(scores, lessons.starts)
        powers = np.exp(scores - np.repeat(highest, lessons.lengths))
        sums = np.add.reduceat(powers, lessons.starts)
        shares = powers / np.repeat(sums, lessons.lengths)
        missed = np.log(sums).sum() + (highest - scores[lessons.wanted]).sum()
        gradient = scaled.T @ shares - of_wanted + _PENALTY * weights
        return float(missed + _PENALTY * (weights @ weights) / 2), gradient

    bounds = [(lowest, None) for lowest in lessons.lowest]
    with threadpool_limits(1, user_api="blas"):  # One order of sums on any machine.
        found = minimize(loss, np.zeros(scaled.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    weights = tuple(float(one) for one in found.x * scale)
    return Fit(weights, -float(found.fun))


def replay_bounds(stream: EventStream) -> Bounds:
    """Room for everybody of a history, as far as memory allows: half a gigabyte at most."""
    return Bounds(
        n_items=min(len(stream.item_ids), _MOST_ROWS), n_customers=min(len(stream.customer_ids), _MOST_ROWS)
    )
