"""The prequential evaluation as a whole. In: a history, a moment. Out: figures of the blend and of each part.

The protocol (Dawid 1984; Gama, Sebastião and Rodrigues 2013): in the order of time, every event from the
moment on whose customer and item meet for the first time and whose item had an event before; all items with
an event before it, except those the customer has met, are ranked from what was known just before it.
Everything that is chosen is chosen from the events before the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.manifest import Measured
from recsvc.errors import TrainingError
from recsvc.history.interactions import InteractionTable
from recsvc.history.times import EPOCH
from recsvc.live.scoring import PARTS, HalfLives, LiveModel, blend
from recsvc.policy import Policy
from recsvc.training.metrics import PerCustomer, measured_together
from recsvc.training.prequential.choosing import (
    Choice,
    choose_half_life,
    choose_model,
    replay_bounds,
    stretch_before,
)
from recsvc.training.prequential.exposure import Exposure, Exposures
from recsvc.training.prequential.ranking import CUTOFF, NO_CATEGORIES, figures, shortlisted
from recsvc.training.prequential.stream import EventStream, event_stream, replay

_BLEND = "blend"

Progress = Callable[[str, float], None]
Figures = Mapping[str, Measured]  # By metric: hit@10, ndcg@10, mrr, with intervals over the judged.


@dataclass(frozen=True, slots=True)
class PartReport:
    """One part: its weight, what it ranks by itself, and what the blend gains over one without it.

    A part by itself orders the shortlist; the blend without it was fitted anew.
    """

    weight: float
    alone: Figures
    gain: Figures


@dataclass(frozen=True, slots=True)
class PrequentialReport:
    """What was judged, by what it was chosen, how good it is, and what the first ten of the blend show."""

    n_judged: int
    n_learned: int
    model: LiveModel
    blend: Figures
    exposure: Exposure
    parts: Mapping[str, PartReport]


def judge_from(
    table: InteractionTable,
    policy: Policy,
    since: datetime,
    *,
    categories: Mapping[str, str] = NO_CATEGORIES,
    rng: np.random.Generator,
    progress: Progress,
) -> PrequentialReport:
    """Replay a history and judge every first meeting from a moment on; `rng` draws the intervals.

    `categories` are those of the items that have one, by id: without any there is neither taste nor a
    diversity of the lists.

    Raises:
        TrainingError: no times, too little before the moment to choose by, or nothing after it to judge.
    """
    stream = event_stream(table, policy)
    moment = (since - EPOCH).total_seconds()
    first = stream.place_of(moment)
    n_judged = int(stream.is_judged[first:].sum())
    if not n_judged:
        last = datetime.fromtimestamp(stream.seconds[-1], tz=EPOCH.tzinfo)
        raise TrainingError(
            f"no first-time interaction with an item known before comes from {since:%Y-%m-%d} on; the events "
            f"end on {last:%Y-%m-%d}, so give an earlier date"
        )
    categories = {one: categories[one] for one in stream.item_ids if one in categories}
    stretch = stretch_before(stream, moment)
    half_life = choose_half_life(stream, stretch, lambda share: progress("choosing the half-life", share))
    choice = choose_model(
        stream, stretch, half_life, categories, lambda share: progress("fitting the weights", share)
    )
    contestants = _contestants(choice)
    shown = Exposures(stream, categories)
    ranks = _ranks(stream, first, choice.model, contestants, shown, lambda share: progress("judging", share))
    return _report(choice, contestants, ranks, shown.measured(), stretch.n_occasions, rng)


def _contestants(choice: Choice) -> Mapping[str, tuple[float, ...]]:
    """By name the weights of all that are judged: the blend, each part alone, and the blend without it."""
    alone = {_alone(name): tuple(np.eye(len(PARTS))[part]) for part, name in enumerate(PARTS)}
    without = {_without(name): weights for name, weights in choice.weights_without.items()}
    return {_BLEND: choice.model.weights, **alone, **without}


def _ranks(
    stream: EventStream,
    first: int,
    model: LiveModel,
    contestants: Mapping[str, tuple[float, ...]],
    shown: Exposures,
    progress: Callable[[float], None],
) -> NDArray[np.int64]:
    """The rank that each contestant gives to what was met: (n_judged, n_contestants).

    What the blend shows is added to `shown`.
    """
    state = model.state(replay_bounds(stream))
    ranks = []
    for occasion in replay(stream, state, first, len(stream), progress):
        one = shortlisted(state, occasion, HalfLives(0, 1), shown.categories)
        scores = {name: blend(one.parts, weights) for name, weights in contestants.items()}
        ranks.append([one.rank(of_one) for of_one in scores.values()])
        shown.add(occasion.at, (state.item_ids[row] for row in one.first(scores[_BLEND], CUTOFF).tolist()))
    return np.array(ranks)


def _report(
    choice: Choice,
    contestants: Mapping[str, tuple[float, ...]],
    ranks: NDArray[np.int64],
    exposure: Exposure,
    n_learned: int,
    rng: np.random.Generator,
) -> PrequentialReport:
    judged = {name: figures(column) for name, column in zip(contestants, ranks.T, strict=True)}
    gains = {_gain(name): _less(judged[_BLEND], judged[_without(name)]) for name in PARTS}
    measured = measured_together({**judged, **gains}, rng)
    parts = {
        name: PartReport(weight, measured[_alone(name)], measured[_gain(name)])
        for name, weight in zip(PARTS, choice.model.weights, strict=True)
    }
    return PrequentialReport(len(ranks), n_learned, choice.model, measured[_BLEND], exposure, parts)


def _less(one: PerCustomer, other: PerCustomer) -> PerCustomer:
    return {name: values - other[name] for name, values in one.items()}


def _alone(part: str) -> str:
    return f"{part} alone"


def _without(part: str) -> str:
    return f"without {part}"


def _gain(part: str) -> str:
    return f"gain by {part}"
