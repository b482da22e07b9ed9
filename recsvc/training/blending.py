"""Several fitted families as one model. In: fitted families with weights. Out: the sum of their scores.

Each family's scores are standardised for each customer, over all items, so that weights compare: no family
wins everywhere, and their sum is nearly always better than the best of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import BLEND, LEAST_DEVIATION, NO_DEVIATION, PartFacts
from recsvc.training.families.base import Family, Fitted, FloatArray, TrainingData


@dataclass(frozen=True)
class Recipe:
    """Which families to fit, and the weight of each: all above 0, heaviest first, summing to 1."""

    parts: tuple[tuple[Family, float], ...]

    @property
    def name(self) -> str:
        """The family's where there is only one."""
        return self.parts[0][0].name if len(self.parts) == 1 else BLEND

    @property
    def is_personal(self) -> bool:
        return any(family.is_personal for family, _ in self.parts)

    def fit(self, data: TrainingData, *, seed: int) -> Model:
        return Model(tuple((family.fit(data, seed=seed), weight) for family, weight in self.parts))


@dataclass(frozen=True)
class Model:
    """Fitted families and their weights. One alone scores as it does by itself."""

    parts: tuple[tuple[Fitted, float], ...]

    @property
    def facts(self) -> tuple[PartFacts, ...]:
        """What the manifest says of the parts."""
        return tuple(
            PartFacts(fitted.family.name, weight, fitted.parameters) for fitted, weight in self.parts
        )

    def score(self, histories: csr_matrix) -> FloatArray:
        """As `Fitted.score`."""
        if len(self.parts) == 1:
            return self.parts[0][0].score(histories)
        return blended(
            [fitted.score(histories) for fitted, _ in self.parts], [weight for _, weight in self.parts]
        )

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """What serving needs of all the parts."""
        return {name: array for part, _ in self.parts for name, array in part.arrays().items()}


def blended(scores: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """The weighted sum of standardised scores: (n_histories, n_items). Changes `scores`."""
    total = standardised(scores[0])
    total *= np.float32(weights[0])
    for one, weight in zip(scores[1:], weights[1:], strict=True):
        other = standardised(one)
        other *= np.float32(weight)
        total += other
    return total


def standardised(scores: FloatArray) -> FloatArray:
    """Each row with mean 0 and deviation 1. Changes `scores`.

    A hundredth of the mean is added to the deviation, in squares: scores that hardly differ stay small, and
    what rounding makes of them stays smaller. `Spread` in serving has to say the same.
    """
    mean = scores.mean(axis=1, keepdims=True)
    scores -= mean
    variance = np.einsum("ij,ij->i", scores, scores)[:, None] / scores.shape[1]
    scores /= np.sqrt(variance + np.square(mean * np.float32(LEAST_DEVIATION)) + np.float32(NO_DEVIATION**2))
    return scores
