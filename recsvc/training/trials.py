"""Candidates on the hold-out. In: a family with settings. Out: its fit, its score, and what both cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.manifest import PRIMARY_METRIC, Measured, Parameter
from recsvc.history.matrix import InteractionMatrix
from recsvc.training.blending import Recipe
from recsvc.training.chance import Seeds
from recsvc.training.company import in_company
from recsvc.training.evaluation import Evaluation, HeldOut, evaluate, evaluate_together
from recsvc.training.families.base import Family, Fitted, training_data

Progress = Callable[[str, float], None]  # The stage, and how much of it is done, 0 to 1.

MAX_JUDGED = 4_000  # Customers; enough to tell families apart, whatever the size of the bank.
MAX_TRIED = 1_000  # Enough to tell settings of one family apart: the same customers judge them all.
_PRIMARY_CUTOFF = int(PRIMARY_METRIC.split("@")[1])


@dataclass(frozen=True, slots=True)
class Trial:
    """One family under one setting, and the CPU time of fitting it and of judging it, over all threads.

    To fit it cost nothing where it varies a fit that was there.
    """

    family: str
    parameters: Mapping[str, Parameter]
    score: Measured
    fit_seconds: float
    judge_seconds: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted family, and the CPU time that it took in seconds, over all threads."""

    fitted: Fitted
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Tried:
    """A model on the hold-out. `cpu_seconds` is of its fit alone."""

    recipe: Recipe
    evaluation: Evaluation
    cpu_seconds: float

    @property
    def name(self) -> str:
        return self.recipe.name


class Judge:
    """Fits families on one matrix and judges them on what was held out, all in the same way."""

    def __init__(
        self,
        train: InteractionMatrix,
        held_out: HeldOut,
        *,
        item_categories: NDArray[np.int64] | None,
        seed: int,
        progress: Progress,
    ) -> None:
        self.data = training_data(train)
        self.held_out = held_out
        self.tried_on = at_most(held_out, MAX_TRIED, self.data.seeds[0])
        self.trials: list[Trial] = []
        self.progress = progress
        self._item_categories = item_categories
        self._seed = seed

    def fit(self, family: Family) -> Fit:
        """Learn from what was not held out."""
        self.progress(f"fit {family.name}", 0.0)
        started = time.process_time()
        fitted = family.fit(self.data, seed=self._seed)
        return Fit(fitted, time.process_time() - started)

    def try_out(self, fit: Fit) -> Measured:
        """The score on the customers that settings are tried on; it is noted among the trials."""
        return self._noted(fit.fitted, fit.cpu_seconds)

    def try_variation(self, fit: Fit) -> Measured:
        """The same for a fit that was paid for already."""
        return self._noted(fit.fitted, 0.0)

    def _noted(self, tried: Fitted, fit_seconds: float) -> Measured:
        started = time.process_time()
        evaluation = evaluate(
            in_company(tried, self.data, self.tried_on),
            self.data,
            self.tried_on,
            item_categories=None,
            rng=np.random.default_rng(self._seed),
            cutoffs=(_PRIMARY_CUTOFF,),
        )
        score, seconds = evaluation.primary, round(time.process_time() - started, 3)
        self.trials.append(Trial(tried.family.name, tried.parameters, score, round(fit_seconds, 3), seconds))
        return score

    def measure(self, recipes: Sequence[Recipe], cutoffs: Sequence[int]) -> tuple[Tried, ...]:
        """Fit all that the recipes ask for, and judge them on everybody held out."""
        families = {family.name: family for recipe in recipes for family, _ in recipe.parts}
        return self.judge([self.fit(family) for family in families.values()], recipes, cutoffs)

    def judge(
        self, fits: Sequence[Fit], recipes: Sequence[Recipe], cutoffs: Sequence[int]
    ) -> tuple[Tried, ...]:
        """Judge recipes over families that are fitted, on everybody held out; each family scores once."""
        by_name = {fit.fitted.family.name: fit for fit in fits}
        weights = {one.name: {family.name: weight for family, weight in one.parts} for one in recipes}
        evaluations = evaluate_together(
            {name: fit.fitted for name, fit in by_name.items()},
            {name: parts for name, parts in weights.items() if name not in by_name},
            self.data,
            self.held_out,
            item_categories=self._item_categories,
            rng=np.random.default_rng(self._seed),
            cutoffs=cutoffs,
            progress=lambda share: self.progress("judge models", share),
        )
        costs = {name: fit.cpu_seconds for name, fit in by_name.items()}
        return tuple(
            Tried(one, evaluations[one.name], sum(costs[family.name] for family, _ in one.parts))
            for one in recipes
        )


def at_most(held_out: HeldOut, n_customers: int, customer_seeds: Seeds) -> HeldOut:
    """The hold-out with at most so many customers, those whose seeds are the lowest."""
    if held_out.n_customers <= n_customers:
        return held_out
    order = np.argsort(customer_seeds[held_out.customer_rows], kind="stable")
    drawn = np.sort(order[:n_customers])
    return replace(
        held_out,
        customer_rows=held_out.customer_rows[drawn],
        relevant=held_out.relevant[drawn],
        n_relevant=held_out.n_relevant[drawn],
    )
