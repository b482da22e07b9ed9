"""Families of item similarities: a score is the sum of what the history's items say of an item."""

from __future__ import annotations

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.manifest import PartFacts
from recsvc.serving.scoring.parts import FloatArray, PlaceArray, RowArray, Spread


class Proposals:
    """What each item proposes, and how strongly: (n_items, n_proposals), padded with row -1 and 0."""

    def __init__(self, items: RowArray, scores: FloatArray) -> None:
        self._items = items
        self._scores = scores

    def summed(self, history: History) -> FloatArray:
        """What the history proposes together, each item by its strength: (n_items,)."""
        weighted = self._scores[history.item_rows] * history.strengths[:, None]
        return self._gathered(self._items[history.item_rows], weighted)

    def one_by_one(self, history: History, item_rows: RowArray) -> FloatArray:
        """What each history item says of each item: (n_item_rows, n_history)."""
        if not len(item_rows):
            return np.zeros((0, len(history)), dtype=np.float32)
        order = np.argsort(item_rows)
        in_order = item_rows[order]
        proposed = self._items[history.item_rows]  # (n_history, n_proposals)
        places = np.minimum(np.searchsorted(in_order, proposed), len(in_order) - 1)
        is_wanted = in_order[places] == proposed
        weighted = self._scores[history.item_rows] * history.strengths[:, None]
        parts = np.zeros((len(item_rows), len(history)), dtype=np.float32)
        np.add.at(parts, (order[places[is_wanted]], np.nonzero(is_wanted)[0]), weighted[is_wanted])
        return parts

    def totals(self, history: History) -> FloatArray:
        """What each history item says of all items together: (n_history,)."""
        own: FloatArray = self._scores[history.item_rows].sum(axis=1) * history.strengths
        return own

    def of(self, item_row: int) -> FloatArray:
        """What one item proposes: (n_items,)."""
        return self._gathered(self._items[item_row], self._scores[item_row])

    def _gathered(self, rows: RowArray, weights: FloatArray) -> FloatArray:
        padded = np.bincount(rows.ravel() + 1, weights=weights.ravel(), minlength=len(self._items) + 1)
        return padded[1:].astype(np.float32)  # Row -1, the padding, fell into the first place.


class DenseScores:
    """A score for every item, got at once since it costs little."""

    def __init__(self, scores: FloatArray) -> None:
        self._scores = scores

    def scores(self) -> FloatArray:
        return self._scores

    def scores_of(self, item_rows: RowArray) -> FloatArray:
        return self._scores[item_rows]

    def spread(self) -> Spread:
        return Spread.of_scores(self._scores)


class FoldedSimilarities(DenseScores):
    def __init__(self, proposals: Proposals, history: History) -> None:
        super().__init__(proposals.summed(history))
        self._proposals, self._history = proposals, history

    def contributions(self, item_rows: RowArray) -> FloatArray:
        return self._proposals.one_by_one(self._history, item_rows)

    def mean_contributions(self) -> FloatArray:
        return self._proposals.totals(self._history) / np.float32(len(self._scores))

    def without(self, places: PlaceArray) -> DenseScores:
        gone = History(self._history.item_rows[places], self._history.strengths[places])
        return DenseScores(self._scores - self._proposals.summed(gone))


class SimilarityPart:
    """The few items most like each (Deshpande and Karypis 2004), or a graph filter's strongest edges."""

    is_personal = True

    def __init__(self, bundle: Bundle, facts: PartFacts) -> None:
        self._proposals = Proposals(
            bundle.arrays[f"{facts.family}_items"], bundle.arrays[f"{facts.family}_scores"]
        )

    def fold_in(self, history: History) -> FoldedSimilarities:
        return FoldedSimilarities(self._proposals, history)

    def similar(self, item_row: int) -> FloatArray:
        return _to_one(self._proposals.of(item_row))


class FoldedEase(DenseScores):
    """`own`, (n_history, n_items), is what each history item adds to each score."""

    def __init__(self, own: FloatArray) -> None:
        super().__init__(own.sum(axis=0))
        self._own = own

    def contributions(self, item_rows: RowArray) -> FloatArray:
        return self._own[:, item_rows].T

    def mean_contributions(self) -> FloatArray:
        return np.asarray(self._own.mean(axis=1), dtype=np.float32)

    def without(self, places: PlaceArray) -> DenseScores:
        return DenseScores(self._scores - self._own[places].sum(axis=0))


class EasePart:
    """A linear model of every item from every other (Steck 2019)."""

    is_personal = True

    def __init__(self, bundle: Bundle) -> None:
        self._weights: FloatArray = bundle.arrays["ease_weights"]  # (n_items, n_items)

    def fold_in(self, history: History) -> FoldedEase:
        return FoldedEase(self._weights[history.item_rows] * history.strengths[:, None])

    def similar(self, item_row: int) -> FloatArray:
        return _to_one(self._weights[item_row])


def _to_one(likeness: FloatArray) -> FloatArray:
    """The same with the most alike at 1: such likenesses have no bounds of their own."""
    greatest = np.abs(likeness).max(initial=0)
    return likeness / greatest if greatest > 0 else likeness
