"""On what both models are compared. In: a candidate and the champion. Out: equal footing, or the lack of it.

The bundle that is published is fitted on everything, the hold-out included, so it cannot be judged on the
hold-out: what is judged is the candidate as selection judged it, fitted to what came before. The champion was
trained earlier, and what it may have seen of the hold-out decides what stands for it:

1. Its data ended before the hold-out began. Then its bundle is judged as it stands, on the whole hold-out.
   It is older than the candidate, and that is as it should be: it would be as old if it went on serving.
2. Enough came after its data ended, though not the whole hold-out. Then the two are compared on what came
   after, and the candidate's recipe is fitted anew to all that came before: else the champion would have
   seen the later part of the history and the candidate not.
3. It has seen the hold-out, or too much of it, or the history has no times. Whoever has seen the answers is
   flattered, so its bundle cannot be judged. Its recipe (families, settings, weights) is fitted to the same
   training part as the candidate's and stands for it. That compares two recipes on one history: of two with
   the same recipe the newer bundle is as good here, and has seen more.

The candidate's settings were chosen on this hold-out and the champion's on an earlier one, which flatters the
candidate where customers are few: the bound asks for more than a better mean for that reason too. What is
compared is the trained score, without what is live.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.manifest import Manifest
from recsvc.history.matrix import InteractionMatrix
from recsvc.policy import Policy
from recsvc.training.blending import Recipe
from recsvc.training.evaluation import HeldOut
from recsvc.training.families import family_from
from recsvc.training.families.base import FloatArray, TrainingData, training_data
from recsvc.training.gate.standing import Champion, StandingScores
from recsvc.training.holdout import MIN_CUSTOMERS_BY_TIME, Split, held_out_later
from recsvc.training.listing import Scores
from recsvc.training.material import Material
from recsvc.training.trained_before import matrix_before
from recsvc.training.trials import MAX_JUDGED, at_most

_NEXT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new version, and what it was trained from and judged on.

    `judged` is the model as it is fitted to `parts.train`; None where nothing could be held out.
    `segment_rows` is (n_customers,), row for row with the material's matrix, in the order of the policy.
    """

    version: str
    recipe: Recipe
    judged: Scores | None
    parts: Split
    material: Material
    segment_rows: NDArray[np.int16]


@dataclass(frozen=True)
class Contender:
    """One of the two.

    `popularity` (n_items,) orders what it would show to anybody, `is_known` (n_items,) is what it can show.
    """

    model: Scores
    popularity: FloatArray
    is_known: NDArray[np.bool_]


@dataclass(frozen=True)
class Footing:
    """Both models over the same items, and the customers that they are judged on.

    `basis` says in one sentence what stands for the champion.
    """

    candidate: Contender
    champion: Contender
    matrix: InteractionMatrix
    data: TrainingData
    held_out: HeldOut
    basis: str


def find_footing(candidate: Candidate, champion: Champion, policy: Policy, *, seed: int) -> Footing | None:
    """Equal footing for the two; None where nothing was held out, so that nothing can be compared.

    Raises:
        KeyError: the champion's recipe names a family that is none of ours.
    """
    parts, until = candidate.parts, champion.bundle.manifest.data_window.until
    if parts.held_out is None or candidate.judged is None:
        return None
    if parts.cut is not None and until is not None and until < parts.cut:
        return _as_it_stands(candidate.judged, parts.train, parts.held_out, champion)
    if until is not None:
        later = _after(until, candidate, policy)
        if later is not None:
            train, held_out = later
            model = candidate.recipe.fit(training_data(train), seed=seed)
            return _as_it_stands(model, train, held_out, champion)
    return _by_recipe(candidate.judged, parts.train, parts.held_out, champion, seed)


def recipe_of(manifest: Manifest) -> Recipe:
    """What a bundle was made by: the same on the same history gives the same. Raises KeyError."""
    parts = manifest.parts
    return Recipe(
        tuple((family_from(one.family, one.parameters, manifest.rows.items), one.weight) for one in parts)
    )


def _as_it_stands(model: Scores, train: InteractionMatrix, held_out: HeldOut, champion: Champion) -> Footing:
    data = training_data(train)
    standing = StandingScores(champion, train.item_ids, data.strength_scale)
    until = champion.bundle.manifest.data_window.until
    return Footing(
        _fitted(model, data),
        Contender(standing, standing.popularity, standing.is_known),
        train,
        data,
        at_most(held_out, MAX_JUDGED, data.seeds[0]),
        f"the champion as it serves: its data ended at {until:%Y-%m-%d %H:%M}, before what it is judged on",
    )


def _by_recipe(
    model: Scores, train: InteractionMatrix, held_out: HeldOut, champion: Champion, seed: int
) -> Footing:
    data = training_data(train)
    return Footing(
        _fitted(model, data),
        _fitted(recipe_of(champion.bundle.manifest).fit(data, seed=seed), data),
        train,
        data,
        at_most(held_out, MAX_JUDGED, data.seeds[0]),
        "the champion's recipe, fitted to the same part of the history: its bundle has seen the hold-out",
    )


def _fitted(model: Scores, data: TrainingData) -> Contender:
    everything = np.ones(data.strengths.shape[1], dtype=np.bool_)
    return Contender(model, data.popularity, everything)


def _after(until: datetime, candidate: Candidate, policy: Policy) -> tuple[InteractionMatrix, HeldOut] | None:
    """The history up to the end of the champion's data, and what came after; None where that is little."""
    material, start = candidate.material, until + _NEXT
    later = material.table.between(start, None)
    if not len(later):
        return None
    train = matrix_before(start, material, policy)
    when = f"after {until:%Y-%m-%d %H:%M}"
    held_out = held_out_later(train, later, policy, material.kind, when, min_customers=MIN_CUSTOMERS_BY_TIME)
    return None if held_out is None else (train, held_out)
