"""Which model serves. In: the families, a split. Out: what each scored, the one chosen, and why.

Only the history that was handed in is looked at; a test file never is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.manifest import BLEND, PRIMARY_METRIC
from recsvc.errors import TrainingError
from recsvc.history.matrix import InteractionMatrix
from recsvc.training.blending import Model, Recipe
from recsvc.training.budget import Budget
from recsvc.training.chance import seeds_of
from recsvc.training.evaluation import CUTOFFS
from recsvc.training.families.base import Family
from recsvc.training.holdout import Split
from recsvc.training.search import search
from recsvc.training.trials import MAX_JUDGED, Fit, Judge, Progress, Trial, Tried, at_most
from recsvc.training.weighing import best_weights

Categories = Callable[
    [InteractionMatrix], NDArray[np.int64] | None
]  # Of the matrix's items, if they have any.


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome. `tried` holds every family at its best, and the blend of them where there is one.

    It is empty when there was not enough to judge by; `holdout` says what that was. `trials` is every setting
    that was looked at on the way; `cpu_seconds` what the whole selection cost. `judged` is the chosen model
    as it was judged, fitted to what was not held out; None where nothing was.
    """

    chosen: Recipe
    tried: tuple[Tried, ...]
    trials: tuple[Trial, ...]
    why: str
    holdout: str
    cpu_seconds: float
    judged: Model | None = None

    @property
    def als_fit_seconds(self) -> float | None:
        """CPU seconds of ALS's dearest fit, the whole one: what the cost of selection is told in."""
        return max((one.fit_seconds for one in self.trials if one.family == "als"), default=None)


def select_model(
    families: Sequence[Family],
    parts: Split,
    *,
    item_categories: Categories,
    seed: int,
    progress: Progress,
    budget: Budget,
) -> Selection:
    """Try every family and a blend of them; the simplest where nothing can be judged.

    Raises:
        TrainingError: no family can learn from such a history.
    """
    started = time.process_time()
    if parts.held_out is None:
        why = "too few customers to judge by, so the simplest family serves"
        return Selection(Recipe(((families[0], 1.0),)), (), (), why, "none", 0.0)
    judge = Judge(
        parts.train,
        at_most(parts.held_out, MAX_JUDGED, seeds_of(parts.train.strengths)[0]),
        item_categories=item_categories(parts.train),
        seed=seed,
        progress=progress,
    )
    fits = _search_all(families, judge, budget)
    if not fits:
        names = ", ".join(family.name for family in families)
        raise TrainingError(f"{names} cannot learn from so many items: name another model, or auto")
    tried = _judge_all(fits, judge)
    chosen = _choose(tried)
    return Selection(
        chosen.recipe,
        tried,
        tuple(judge.trials),
        _why(chosen, tried),
        parts.held_out.description,
        round(time.process_time() - started, 3),
        _as_judged(chosen.recipe, fits),
    )


def _as_judged(recipe: Recipe, fits: Sequence[Fit]) -> Model:
    fitted = {fit.fitted.family.name: fit.fitted for fit in fits}
    return Model(tuple((fitted[family.name], weight) for family, weight in recipe.parts))


def _search_all(families: Sequence[Family], judge: Judge, budget: Budget) -> tuple[Fit, ...]:
    """The best fit of every family, as far as the budget goes; the first family always has its turn."""
    fits: list[Fit] = []
    for family in families:
        if fits and budget.is_spent():
            break
        if (fit := search(family, judge, budget)) is not None:
            fits.append(fit)
    return tuple(fits)


def _judge_all(fits: Sequence[Fit], judge: Judge) -> tuple[Tried, ...]:
    """Every family alone, and the blend of those that pay, where there are several."""
    judge.progress("weigh families", 0.0)
    global_fits = [fit.fitted for fit in fits if not fit.fitted.family.is_local]
    weights = best_weights(global_fits, judge.data, judge.held_out) if global_fits else ()
    pairs = sorted(
        ((fitted.family, weight) for fitted, weight in zip(global_fits, weights, strict=True) if weight),
        key=lambda pair: -pair[1],
    )
    alone = [Recipe(((fit.fitted.family, 1.0),)) for fit in fits]
    blend = [Recipe(tuple(pairs))] if len(pairs) > 1 else []
    return judge.judge(fits, [*alone, *blend], CUTOFFS)


def _choose(tried: Sequence[Tried]) -> Tried:
    """The best personal family, or the blend where it is better by more than the difference's standard error.

    What is the same for everybody is taken only where it is better than that beyond what chance may have
    ordered: the popular list is always at hand as a lower rung.
    """
    alone = [one for one in tried if one.name != BLEND]
    best = max(alone, key=_primary)
    chosen = max((one for one in alone if one.recipe.is_personal), key=_primary, default=best)
    for blend in tried:
        gained = _gain(blend, chosen)
        if blend.name == BLEND and gained.mean() > gained.std() / np.sqrt(len(gained)):
            chosen = blend
    return chosen if chosen.evaluation.primary.high >= best.evaluation.primary.low else best


def _gain(one: Tried, other: Tried) -> NDArray[np.float64]:
    """What each customer's list gains by the one over the other: (n_customers,)."""
    gained: NDArray[np.float64] = (
        one.evaluation.per_customer[PRIMARY_METRIC] - other.evaluation.per_customer[PRIMARY_METRIC]
    )
    return gained


def _primary(tried: Tried) -> float:
    return tried.evaluation.primary.value


def _why(chosen: Tried, tried: Sequence[Tried]) -> str:
    score, best = chosen.evaluation.primary, max(tried, key=_primary)
    what = chosen.name
    if len(chosen.recipe.parts) > 1:
        what += f" of {_as_text({family.name: weight for family, weight in chosen.recipe.parts})}"
    merit = f"the best {PRIMARY_METRIC}" if chosen is best else f"a {PRIMARY_METRIC} that is as good"
    merit += "" if chosen is best or best.recipe.is_personal else ", and is personal"
    others = [f"{one.name} {_primary(one):.4f}" for one in tried if one is not chosen]
    return f"{what} has {merit}: {score.value:.4f} ({score.low:.4f} to {score.high:.4f})" + (
        f"; the others: {', '.join(others)}" if others else ""
    )


def _as_text(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
