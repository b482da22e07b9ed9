"""Item neighbours: who took this also took that. Cosine, TF-IDF or BM25, by `implicit`.

Source: Deshpande and Karypis, "Item-based top-N recommendation algorithms" (2004).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from implicit.nearest_neighbours import bm25_weight, normalize, tfidf_weight
from scipy.sparse import coo_matrix, csr_matrix

from recsvc.training.families.base import Family, TrainingData
from recsvc.training.families.similarities import FittedSimilarity, most_similar

Weighting = Literal["tfidf", "cosine", "bm25"]
WEIGHTINGS: tuple[Weighting, ...] = ("tfidf", "cosine", "bm25")
_SATURATION, _LENGTH_SHARE = 1.2, 0.75  # BM25's k1 and b, as implicit's own recommender has them.
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class Neighbours(Family):
    """The `n_neighbours` items most like each item, under one way to weigh who took them."""

    weighting: Weighting = "tfidf"
    n_neighbours: int = 100
    name: str = "neighbours"
    is_personal: bool = True

    @property
    def is_local(self) -> bool:
        return True

    def fit(self, data: TrainingData, *, seed: int) -> FittedSimilarity:
        weighted = _weighed(data.strengths.T.tocoo(), self.weighting)  # (n_items, n_customers)
        similarity = most_similar(weighted.T.tocsr(), self.n_neighbours)
        parameters = {"weighting": self.weighting, "n_neighbours": self.n_neighbours}
        return FittedSimilarity(self, similarity, parameters)

    def settings(self, data: TrainingData) -> tuple[Family, ...]:
        return tuple(replace(self, weighting=weighting) for weighting in WEIGHTINGS)


def _weighed(strengths: coo_matrix, weighting: Weighting) -> csr_matrix:
    match weighting:
        case "tfidf":
            return normalize(_positive(tfidf_weight(strengths)))
        case "cosine":
            return normalize(strengths)
        case "bm25":
            return _positive(bm25_weight(strengths, _SATURATION, _LENGTH_SHARE))


def _positive(weighted: coo_matrix) -> coo_matrix:
    """A customer who took nearly everything weighs nothing, or less: an item that only such took would
    have no length to be divided by."""
    weighted.data = np.maximum(weighted.data, _LEAST_WEIGHT)
    return weighted
