"""A personal family with popularity beside it. In: a fitted family, a weight. Out: scores of both.

What is popular now matters for everybody, and the more so the faster items come and go. The sum of a
customer's standardised scores and the items' standardised log popularity keeps both on one scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.base import Fitted, FloatArray

POPULARITY_WEIGHTS = (0.25, 0.5, 1.0)  # Never more than what is the customer's own.


@dataclass(frozen=True, slots=True)
class PopularityBlend:
    """Scores `z(personal) + weight * z(log(1 + popularity))`."""

    personal: Fitted
    popularity: FloatArray
    weight: float

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return {**self.personal.parameters, "popularity_weight": self.weight}

    def score(self, histories: csr_matrix) -> FloatArray:
        scores = _standardised(self.personal.score(histories))
        scores += np.float32(self.weight) * _standardised(np.log1p(self.popularity)[None, :])
        return scores

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return self.personal.arrays()


def _standardised(scores: FloatArray) -> FloatArray:
    """Each row with mean 0 and deviation 1; a row without any deviation is all 0. Changes `scores`."""
    scores -= scores.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum("ij,ij->i", scores, scores) / scores.shape[1])[:, None]
    scores /= np.where(deviation > 0, deviation, np.float32(1))
    return scores
