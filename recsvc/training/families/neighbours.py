"""Item neighbours: who took this also took that. TF-IDF weighted cosine, by `implicit`.

Source: Deshpande and Karypis, "Item-based top-N recommendation algorithms" (2004).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender, normalize, tfidf_weight
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.base import FloatArray, TrainingData

_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The `n_neighbours` items most like each item."""

    n_neighbours: int = 100
    name: str = "neighbours"
    is_personal: bool = True

    def fit(self, data: TrainingData, *, seed: int) -> FittedNeighbours:
        weighted = tfidf_weight(data.strengths.T)  # (n_items, n_customers)
        # A customer who took nearly everything weighs nothing, or less: an item that only such took would
        # have no length to be divided by.
        weighted.data = np.maximum(weighted.data, _LEAST_WEIGHT)
        model = ItemItemRecommender(K=self.n_neighbours + 1)  # One more: an item is its own neighbour.
        model.fit(normalize(weighted).T.tocsr(), show_progress=False)
        likeness = csr_matrix(model.similarity, dtype=np.float32)
        likeness = csr_matrix(likeness - diags_array(likeness.diagonal(), dtype=np.float32))
        likeness.eliminate_zeros()
        _drop_one_too_many(likeness, self.n_neighbours)
        likeness.sort_indices()
        return FittedNeighbours(likeness, self.n_neighbours)


@dataclass(frozen=True, slots=True)
class FittedNeighbours:
    """`likeness` is (n_items, n_items), sparse: row j holds the neighbours that j proposes."""

    likeness: csr_matrix
    n_neighbours: int

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return {"n_neighbours": self.n_neighbours}

    def score(self, histories: csr_matrix) -> FloatArray:
        return np.asarray((histories @ self.likeness).toarray(), dtype=np.float32)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        counts = np.diff(self.likeness.indptr)
        width = max(int(counts.max(initial=0)), 1)
        items = np.full((len(counts), width), -1, dtype=np.int32)
        scores = np.zeros((len(counts), width), dtype=np.float32)
        filled = np.arange(width) < counts[:, None]
        items[filled], scores[filled] = self.likeness.indices, self.likeness.data
        return {"neighbour_items": items, "neighbour_scores": scores}


def _drop_one_too_many(likeness: csr_matrix, n_neighbours: int) -> None:
    """Where items just like it crowd an item out of its own neighbours, the least of these goes."""
    for row in np.flatnonzero(np.diff(likeness.indptr) > n_neighbours):
        entries = slice(likeness.indptr[row], likeness.indptr[row + 1])
        likeness.data[entries.start + np.argmin(likeness.data[entries])] = 0
    likeness.eliminate_zeros()
