"""Popularity: everybody gets what most people took lately. The floor that every other family must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.base import Family, Fitted, FloatArray, TrainingData


@dataclass(frozen=True)
class Popularity(Family):
    """Items by decayed count."""

    name: str = "popularity"
    is_personal: bool = False

    def fit(self, data: TrainingData, *, seed: int) -> FittedPopularity:
        return FittedPopularity(self, np.log1p(data.popularity))


@dataclass(frozen=True)
class FittedPopularity(Fitted):
    """Logarithms of the counts, which keep their order and stand in a blend beside what is nearly normal.

    The counts are in every bundle, so the family adds no arrays of its own.
    """

    family: Popularity
    log_popularity: FloatArray

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return {}

    def score(self, histories: csr_matrix) -> FloatArray:
        return np.tile(self.log_popularity, (histories.shape[0], 1))

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {}
