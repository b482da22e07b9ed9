"""One number per item for a history. In: a bundle and a history. Out: scores, their parts, likenesses.

Each family folds a customer in from history alone, with numpy only, and answers as it did at training:
the golden queries of every bundle hold it to that.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle, History
from recsvc.errors import BundleCorruptError

FloatArray = NDArray[np.float32]
RowArray = NDArray[np.int32]


class Scorer(Protocol):
    """How one model family scores."""

    @property
    def is_personal(self) -> bool:
        """Whether two customers may get different scores."""
        ...

    def score(self, history: History) -> FloatArray:
        """A score for every item: (n_items,). The history is not empty."""
        ...

    def contributions(self, history: History, item_rows: RowArray) -> FloatArray:
        """What each history item adds to each score: (n_item_rows, n_history)."""
        ...

    def similar(self, item_row: int) -> FloatArray:
        """How like the item every other one is: (n_items,), at most 0 where nothing is known."""
        ...


class AlsScorer:
    """Alternating least squares (Hu, Koren and Volinsky 2008): fold-in is one ridge solve, eq. 4."""

    is_personal = True

    def __init__(self, bundle: Bundle) -> None:
        self._factors: FloatArray = bundle.arrays["als_item_factors"]  # (n_items, n_factors)
        self._gram: FloatArray = bundle.arrays["als_gram"]  # (n_factors, n_factors), YᵀY + λI
        self._alpha = float(bundle.manifest.parameters["confidence"])
        np.linalg.cholesky(self._gram)  # Else not every history could be solved for.

    def score(self, history: History) -> FloatArray:
        factors, confidence = self._of(history)
        customer = np.linalg.solve(self._system(factors, confidence), confidence @ factors)
        return np.asarray(self._factors @ customer, dtype=np.float32)

    def contributions(self, history: History, item_rows: RowArray) -> FloatArray:
        factors, confidence = self._of(history)
        smoothed = np.linalg.solve(self._system(factors, confidence), self._factors[item_rows].T)
        return np.asarray((smoothed.T @ factors.T) * confidence, dtype=np.float32)

    def similar(self, item_row: int) -> FloatArray:
        norms = self._norms
        likeness = self._factors @ self._factors[item_row] / np.maximum(norms * norms[item_row], 1e-12)
        return np.asarray(likeness, dtype=np.float32)

    @cached_property
    def _norms(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self._factors, axis=1), dtype=np.float32)

    def _of(self, history: History) -> tuple[FloatArray, FloatArray]:
        confidence = np.asarray(self._alpha * history.strengths, dtype=np.float32)
        return self._factors[history.item_rows], confidence

    def _system(self, factors: FloatArray, confidence: FloatArray) -> FloatArray:
        return np.asarray(self._gram + (factors.T * (confidence - 1)) @ factors, dtype=np.float32)


class NeighbourScorer:
    """Item neighbours: a score is the sum of the history's likenesses, weighted by strength."""

    is_personal = True

    def __init__(self, bundle: Bundle) -> None:
        # Both (n_items, n_neighbours); where there are fewer neighbours: row -1, likeness 0.
        self._neighbours: RowArray = bundle.arrays["neighbour_items"]
        self._likeness: FloatArray = bundle.arrays["neighbour_scores"]

    def score(self, history: History) -> FloatArray:
        weighted = self._likeness[history.item_rows] * history.strengths[:, None]
        return self._gathered(self._neighbours[history.item_rows], weighted)

    def contributions(self, history: History, item_rows: RowArray) -> FloatArray:
        one_by_one = (
            self._gathered(self._neighbours[row], self._likeness[row] * strength)[item_rows]
            for row, strength in zip(history.item_rows, history.strengths, strict=True)
        )
        return np.stack(list(one_by_one), axis=1)

    def similar(self, item_row: int) -> FloatArray:
        return self._gathered(self._neighbours[item_row], self._likeness[item_row])

    def _gathered(self, rows: RowArray, weights: FloatArray) -> FloatArray:
        n_items = len(self._neighbours)
        padded = np.bincount(rows.ravel() + 1, weights=weights.ravel(), minlength=n_items + 1)
        return padded[1:].astype(np.float32)  # Row -1, the padding, fell into the first place.


class PopularityScorer:
    """Everybody gets what most people take."""

    is_personal = False

    def __init__(self, bundle: Bundle) -> None:
        self._popularity: FloatArray = bundle.popularity

    def score(self, history: History) -> FloatArray:
        return self._popularity

    def contributions(self, history: History, item_rows: RowArray) -> FloatArray:
        return np.zeros((len(item_rows), len(history)), dtype=np.float32)

    def similar(self, item_row: int) -> FloatArray:
        return np.zeros(len(self._popularity), dtype=np.float32)


class PopularityBlend:
    """A personal scorer with popularity beside it: the sum of both, each with mean 0 and deviation 1."""

    def __init__(self, personal: Scorer, popularity: FloatArray, weight: float) -> None:
        self._personal = personal
        self._popular = np.float32(weight) * _standardised(np.log1p(popularity))

    @property
    def is_personal(self) -> bool:
        return self._personal.is_personal

    def score(self, history: History) -> FloatArray:
        return np.asarray(_standardised(self._personal.score(history)) + self._popular, dtype=np.float32)

    def contributions(self, history: History, item_rows: RowArray) -> FloatArray:
        deviation = self._personal.score(history).std() or 1.0
        return np.asarray(self._personal.contributions(history, item_rows) / deviation, dtype=np.float32)

    def similar(self, item_row: int) -> FloatArray:
        return self._personal.similar(item_row)


_FAMILIES: dict[str, type[AlsScorer | NeighbourScorer | PopularityScorer]] = {
    "als": AlsScorer,
    "neighbours": NeighbourScorer,
    "popularity": PopularityScorer,
}


def make_scorer(bundle: Bundle) -> Scorer:
    """The scorer of the bundle's family. Raises BundleCorruptError for a family that nobody knows."""
    if bundle.manifest.family not in _FAMILIES:
        family = bundle.manifest.family
        raise BundleCorruptError(
            bundle.version, "its family", f"{family!r} is not one that this release knows"
        )
    scorer = _FAMILIES[bundle.manifest.family](bundle)
    weight = float(bundle.manifest.parameters.get("popularity_weight", 0))
    return PopularityBlend(scorer, bundle.popularity, weight) if weight else scorer


def _standardised(scores: FloatArray) -> FloatArray:
    deviation = scores.std() or 1.0
    return np.asarray((scores - scores.mean()) / deviation, dtype=np.float32)
