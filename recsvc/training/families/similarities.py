"""Items that propose items. In: a weighted matrix. Out: the greatest similarities of each item, and scores.

A similarity is (n_items, n_items), sparse, columns sorted within a row: row j holds what j proposes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.base import Family, Fitted, FloatArray

NOBODY = -1


@dataclass(frozen=True)
class FittedSimilarity(Fitted):
    """A score is the sum of what the history's items propose, weighted by strength."""

    family: Family
    similarity: csr_matrix
    learned_with: Mapping[str, Parameter]

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return self.learned_with

    def score(self, histories: csr_matrix) -> FloatArray:
        return np.asarray((histories @ self.similarity).toarray(), dtype=np.float32)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        items, scores = _padded(self.similarity)
        return {f"{self.family.name}_items": items, f"{self.family.name}_scores": scores}


def most_similar(weighted: csr_matrix, n_neighbours: int) -> csr_matrix:
    """The greatest entries of each row of WᵀW, without its diagonal, for W of (n_customers, n_items).

    The product itself is never held: at most `n_neighbours` entries of a row are.
    """
    model = ItemItemRecommender(K=n_neighbours + 1)  # One more: an item is mostly its own neighbour.
    model.fit(weighted.astype(np.float64), show_progress=False)  # It takes no other numbers.
    similarity = csr_matrix(model.similarity, dtype=np.float32)
    similarity.data[similarity.indices == _rows_of(similarity)] = 0
    return pruned(similarity, n_neighbours)


def pruned(similarity: csr_matrix, n_neighbours: int) -> csr_matrix:
    """The `n_neighbours` greatest of each row, and of these only what is above 0."""
    items, scores = _padded(similarity)
    n_dropped = scores.shape[1] - n_neighbours
    if n_dropped > 0:
        least = np.argpartition(scores, n_dropped, axis=1)[:, :n_dropped]
        np.put_along_axis(scores, least, 0, axis=1)
    kept = scores > 0
    starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
    fewest = csr_matrix((scores[kept], items[kept], starts), shape=similarity.shape)
    fewest.sort_indices()
    return fewest


def reweighed(similarity: csr_matrix, of_rows: FloatArray, of_columns: FloatArray) -> csr_matrix:
    """Every row and every column times its factor, both (n_items,)."""
    factors = of_rows[_rows_of(similarity)] * of_columns[similarity.indices]
    return csr_matrix((similarity.data * factors, similarity.indices, similarity.indptr), similarity.shape)


def _rows_of(matrix: csr_matrix) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _padded(similarity: csr_matrix) -> tuple[NDArray[np.int32], FloatArray]:
    """Items and scores, both (n_items, the most entries of a row), filled up with nobody at 0."""
    counts = np.diff(similarity.indptr)
    width = max(int(counts.max(initial=0)), 1)
    items = np.full((len(counts), width), NOBODY, dtype=np.int32)
    scores = np.zeros((len(counts), width), dtype=np.float32)
    filled = np.arange(width) < counts[:, None]
    items[filled], scores[filled] = similarity.indices, similarity.data
    return items, scores
