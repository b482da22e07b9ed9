"""Build a list place by place. In: relevance, and what a list must beware of. Out: the chosen, in order.

At each place the open candidate i with the highest gain after what was chosen before, S, is taken:

    gain(i | S) = (1 − d)·[(1 − c)·s(i) − c·KL(p‖q~(S + i))] − d·max_{j in S} sim(i, j)

with the relevance s, the strength d of diversity and c of calibration, both 0 to 1. For c = 0 it is maximal
marginal relevance (Carbonell and Goldstein 1998) with λ = 1 − d; for d = 0 the calibration of Steck (2018)
with λ = c, whose greedy choice is within 1 − 1/e of the best list. A tie goes to the earlier candidate. Lists
begin with the most relevant, and `Repetition` adds a little of the mean likeness to that of the closest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recsvc.serving.reranking.concerns import (
    SMOOTHING,
    Codes,
    Concern,
    Floats,
    Miscalibration,
    Openings,
    Repetition,
)


@dataclass(frozen=True, slots=True)
class Weights:
    """What each part of the gain weighs."""

    relevance: float
    mix: float
    likeness: float

    @classmethod
    def of(cls, *, diversity: float, calibration: float) -> Weights:
        """Those of the strengths d and c."""
        rest = 1 - diversity
        return cls(rest * (1 - calibration), rest * calibration, diversity)


def choose_rows(
    openings: Openings, n: int, concerns: Sequence[tuple[float, Concern]], begun_with: Sequence[int] = ()
) -> list[int]:
    """The rows of the chosen, at most `n`: by relevance less what each concern, times its weight, costs.

    The list is `begun_with` some rows, whatever their gain.
    """
    chosen = list(begun_with)
    for row in chosen:
        _take(row, openings, concerns)
    for _ in range(min(n, len(openings.relevance)) - len(chosen)):
        gain = openings.relevance
        for weight, concern in concerns:
            gain = gain - weight * concern.cost()
        best = int(gain.argmax())  # The first of equals.
        chosen.append(best)
        _take(best, openings, concerns)
    return chosen


def _take(row: int, openings: Openings, concerns: Sequence[tuple[float, Concern]]) -> None:
    openings.take(row)
    for _, concern in concerns:
        concern.take(row)


def diverse_rows(relevance: Floats, likeness_to: Callable[[int], Floats], share: float, n: int) -> list[int]:
    """Maximal marginal relevance alone: argmax share·s(i) − (1 − share)·max sim(i, j).

    `likeness_to(row)` is (n_candidates,); `share` is the λ of the paper.
    """
    repetition = Repetition(len(relevance), likeness_to)
    return choose_rows(_all_open(share * relevance), n, [(1 - share, repetition)])


def calibrated_rows(
    relevance: Floats,
    categories: Codes,
    shares: Floats,
    strength: float,
    n: int,
    smoothing: float = SMOOTHING,
) -> list[int]:
    """Calibration alone: greedily max (1 − strength)·Σs − strength·KL(p‖q~)."""
    mix = Miscalibration(categories, shares, smoothing)
    return choose_rows(_all_open((1 - strength) * relevance), n, [(strength, mix)])


def _all_open(relevance: Floats) -> Openings:
    return Openings(relevance, np.full(len(relevance), -1, dtype=np.int64), len(relevance))
