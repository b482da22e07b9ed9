"""Weights under which what was met is likeliest. In: shortlists with what was met. Out: a weight a part.

A conditional logit (McFadden 1974) with a little weight decay. A part without which the likelihood is hardly
less gets no weight. Parts leave one by one, first that which a parabola through the best weights says is
missed least; each that stays has paid for itself in a fit without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from recsvc.live.places import Floats, Rows
from recsvc.live.scoring import NEVER_NEGATIVE, PARTS
from recsvc.training.prequential.ranking import Shortlisted
from recsvc.training.threads import one_blas_thread

LOWEST = tuple(0.0 if name in NEVER_NEGATIVE else -np.inf for name in PARTS)
"""The least weight of each live part."""

_PENALTY = 1.0  # Of the sum of squared weights of parts in units of their standard deviation, halved.
_LEAST_GAIN = 2.0  # In log-likelihood: what a weight of two standard errors brings (Wilks 1938).
_LONG_PART = PARTS.index("long_popularity")


@dataclass(frozen=True, slots=True)
class Fit:
    """A weight for each part, and the log-likelihood (natural, less the penalty) that they reach."""

    weights: tuple[float, ...]
    likelihood: float


@dataclass(frozen=True, slots=True)
class PrunedFit:
    """A fit of the parts that pay. `long` is the place of the long half-life among those that were tried.

    `weights_without` is by part: the weights of a fit that has to do without it.
    """

    long: int
    weights: tuple[float, ...]
    weights_without: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A shortlist with what was met among it, and what each long half-life says: (n_half_lives, n_rows)."""

    shortlist: Shortlisted
    long_counts: Floats


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
    lowest: tuple[float, ...] = LOWEST

    @classmethod
    def of(cls, learned: Sequence[Shortlisted], lowest: tuple[float, ...] = LOWEST) -> Lessons:
        lengths = np.array([len(one.parts) for one in learned])
        starts = np.cumsum(lengths) - lengths
        wanted = starts + np.array([one.wanted for one in learned])
        return cls(np.concatenate([one.parts for one in learned]), wanted, starts, lengths, lowest)

    def with_part(self, part: int, scores: Floats) -> Lessons:
        """The same with other scores of one part: (n_rows,)."""
        parts = self.parts.copy()
        parts[:, part] = scores
        return replace(self, parts=parts)

    def without_part(self, part: int) -> Lessons:
        """The same where one part says nothing."""
        return self.with_part(part, np.zeros(len(self.parts)))


def fit_parts(learned: Sequence[Lesson], lowest: tuple[float, ...] = LOWEST) -> PrunedFit:
    """The long half-life and the weights under which what was met is likeliest, of the parts that pay.

    `learned` is not empty, and on each shortlist stands what was met. Its parts are `PARTS`, with or without
    others behind them; `lowest` is the least weight of each.
    """
    lessons = Lessons.of([one.shortlist for one in learned], lowest)
    variants = [
        lessons.with_part(_LONG_PART, np.concatenate([one.long_counts[place] for one in learned]))
        for place in range(len(learned[0].long_counts))
    ]
    fits: list[Fit] = []
    for variant in variants:
        fits.append(fit_weights(variant, fits[-1].weights if fits else None))
    best = int(np.argmax([fit.likelihood for fit in fits]))
    fit, without = _pruned(variants[best], fits[best])
    return PrunedFit(best, fit.weights, tuple(without.get(part, fit).weights for part in range(len(lowest))))


def fit_weights(lessons: Lessons, start: tuple[float, ...] | None = None) -> Fit:
    """The weights under which what was met is likeliest; a part that never differs gets 0.

    There is one such set of weights: `start` only says where to look first.
    """
    scaled, spread = _standardised(lessons)
    scale = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0)
    first = np.zeros(len(spread)) if start is None else np.array(start) * spread
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
    with one_blas_thread():  # One order of sums on any machine.
        found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = tuple(float(one) for one in found.x * scale)
    return Fit(weights, -float(found.fun))


def _standardised(lessons: Lessons) -> tuple[Floats, Floats]:
    """The parts in units of their standard deviations, and these: 0 for a part that never differs."""
    centred = lessons.parts - lessons.parts.mean(axis=0)
    spread = np.sqrt(np.square(centred).mean(axis=0))
    return centred * np.where(spread > 0, 1 / np.where(spread > 0, spread, 1.0), 0.0), spread


def _pruned(lessons: Lessons, fit: Fit) -> tuple[Fit, Mapping[int, Fit]]:
    """The fit with only the parts that pay for themselves, and by part the fit without it."""
    kept = set(range(len(lessons.lowest)))
    while True:
        losses = expected_losses(lessons, fit)
        least = min(sorted(kept), key=lambda part: losses[part])
        without = {least: fit_weights(lessons.without_part(least), fit.weights)}
        if fit.likelihood - without[least].likelihood >= _LEAST_GAIN or len(kept) == 1:
            others = sorted(kept - {least})
            without |= {part: fit_weights(lessons.without_part(part), fit.weights) for part in others}
            least = max(without, key=lambda part: without[part].likelihood)
            if len(kept) == 1 or fit.likelihood - without[least].likelihood >= _LEAST_GAIN:
                return fit, without
        lessons, fit = lessons.without_part(least), without[least]
        kept.remove(least)


def expected_losses(lessons: Lessons, fit: Fit) -> Floats:
    """By part, about what the log-likelihood loses without it (Wald 1943): (n_parts,).

    The likelihood is taken for a parabola around the fit, which has to be the best one.
    """
    scaled, spread = _standardised(lessons)
    weights = np.array(fit.weights) * spread
    with one_blas_thread():
        scores = scaled @ weights
        powers = np.exp(scores - np.repeat(np.maximum.reduceat(scores, lessons.starts), lessons.lengths))
        shares = powers / np.repeat(np.add.reduceat(powers, lessons.starts), lessons.lengths)
        shared = scaled * shares[:, None]
        means = np.add.reduceat(shared, lessons.starts)
        curvature = scaled.T @ shared - means.T @ means + _PENALTY * np.eye(len(spread))
        return np.asarray(weights**2 / np.diag(np.linalg.inv(curvature)) / 2)
