"""Which model serves. In: the families, a split. Out: what each scored, the one chosen, and why.

Only the history that was handed in is looked at; a test file never is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsvc.history.matrix import InteractionMatrix
from recsvc.training.blending import POPULARITY_WEIGHTS, PopularityBlend
from recsvc.training.evaluation import CUTOFFS, PRIMARY_METRIC, Evaluation, HeldOut, evaluate
from recsvc.training.families.base import Family, Fitted, TrainingData, training_data
from recsvc.training.holdout import Split

Progress = Callable[[str, float], None]  # The stage, and how much of it is done, 0 to 1.
Categories = Callable[
    [InteractionMatrix], NDArray[np.int64] | None
]  # Of the matrix's items, if they have any.

MAX_JUDGED = 5_000  # Customers; enough to tell families apart, whatever the size of the bank.


@dataclass(frozen=True, slots=True)
class Candidate:
    """A family with a weight for popularity beside it. The weight 0 is the family alone."""

    family: Family
    popularity_weight: float = 0.0

    @property
    def name(self) -> str:
        """As reports show it."""
        return f"{self.family.name}+popularity" if self.popularity_weight else self.family.name

    def fit(self, data: TrainingData, *, seed: int) -> Fitted:
        """Fit the family and lay popularity beside it."""
        return self.over(self.family.fit(data, seed=seed), data)

    def over(self, fitted: Fitted, data: TrainingData) -> Fitted:
        """The same over a family that was fitted already."""
        if not self.popularity_weight:
            return fitted
        return PopularityBlend(fitted, data.popularity, self.popularity_weight)


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate on the hold-out. `seconds` is of the fit alone."""

    candidate: Candidate
    evaluation: Evaluation
    seconds: float

    @property
    def name(self) -> str:
        return self.candidate.name


@dataclass(frozen=True, slots=True)
class Selection:
    """The outcome. `tried` is empty when there was not enough to judge by; `holdout` says what that was."""

    chosen: Candidate
    tried: tuple[Tried, ...]
    why: str
    holdout: str


def select_model(
    families: Sequence[Family], parts: Split, *, item_categories: Categories, seed: int, progress: Progress
) -> Selection:
    """Try every family; the simplest where nothing can be judged.

    With times, what is popular now is also tried beside each family. Without them there is no now.
    """
    if parts.held_out is None:
        why = "too few customers to judge by, so the simplest family serves"
        return Selection(Candidate(families[0]), (), why, "none")
    judge = Judge(
        parts.train,
        _at_most(parts.held_out, MAX_JUDGED, np.random.default_rng(seed)),
        item_categories=item_categories(parts.train),
        seed=seed,
        progress=progress,
    )
    weights = POPULARITY_WEIGHTS if parts.is_by_time else ()
    tried = tuple(outcome for family in families for outcome in _try_family(family, weights, judge))
    chosen = _choose(tried)
    return Selection(chosen.candidate, tried, _why(chosen, tried), parts.held_out.description)


class Judge:
    """Fits candidates on one matrix and judges them on what was held out, all in the same way."""

    def __init__(
        self,
        train: InteractionMatrix,
        held_out: HeldOut,
        *,
        item_categories: NDArray[np.int64] | None,
        seed: int,
        progress: Progress,
        cutoffs: Sequence[int] = CUTOFFS,
    ) -> None:
        self._data = training_data(train)
        self._held_out = held_out
        self._item_categories = item_categories
        self._seed = seed
        self._progress = progress
        self._cutoffs = cutoffs

    def judge(self, family: Family, popularity_weights: Sequence[float]) -> Iterator[Tried]:
        """One fit of the family, judged at each weight for popularity."""
        self._progress(f"fit {family.name}", 0.0)
        started = time.perf_counter()
        fitted = family.fit(self._data, seed=self._seed)
        seconds = time.perf_counter() - started
        for weight in popularity_weights:
            candidate = Candidate(family, weight)
            yield Tried(candidate, self._evaluate(candidate, fitted), seconds)

    def _evaluate(self, candidate: Candidate, fitted: Fitted) -> Evaluation:
        return evaluate(
            candidate.over(fitted, self._data),
            self._data,
            self._held_out,
            item_categories=self._item_categories,
            rng=np.random.default_rng(self._seed),
            cutoffs=self._cutoffs,
            progress=lambda share: self._progress(f"judge {candidate.name}", share),
        )


def _try_family(family: Family, weights: Sequence[float], judge: Judge) -> tuple[Tried, ...]:
    """The family alone, and where it is personal the best of the weights for popularity beside it."""
    alone, *blended = judge.judge(family, (0.0, *weights) if family.is_personal else (0.0,))
    return (alone, max(blended, key=_primary)) if blended else (alone,)


def _choose(tried: Sequence[Tried]) -> Tried:
    """The best, and of two that chance may have ordered the personal one.

    The popular list is always at hand as a lower rung; it is worth serving everybody the same only where
    that is better beyond doubt.
    """
    best = max(tried, key=_primary)
    personal = max((one for one in tried if one.candidate.family.is_personal), key=_primary, default=best)
    in_doubt = personal.evaluation.primary.high >= best.evaluation.primary.low
    return personal if in_doubt else best


def _primary(tried: Tried) -> float:
    return tried.evaluation.primary.value


def _at_most(held_out: HeldOut, n_customers: int, rng: np.random.Generator) -> HeldOut:
    """The hold-out with at most so many customers, drawn at random."""
    if held_out.n_customers <= n_customers:
        return held_out
    drawn = np.sort(rng.choice(held_out.n_customers, n_customers, replace=False))
    return replace(
        held_out,
        customer_rows=held_out.customer_rows[drawn],
        relevant=held_out.relevant[drawn],
        n_relevant=held_out.n_relevant[drawn],
    )


def _why(chosen: Tried, tried: Sequence[Tried]) -> str:
    score, best = chosen.evaluation.primary, max(tried, key=_primary)
    merit = (
        f"the best {PRIMARY_METRIC}"
        if chosen is best
        else f"a {PRIMARY_METRIC} that is as good, and is personal"
    )
    others = [f"{one.name} {_primary(one):.4f}" for one in tried if one is not chosen]
    return f"{chosen.name} has {merit}: {score.value:.4f} ({score.low:.4f} to {score.high:.4f})" + (
        f"; the others: {', '.join(others)}" if others else ""
    )
