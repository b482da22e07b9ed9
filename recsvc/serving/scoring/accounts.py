"""What scores are made of. In: the parts of a model, folded in. Out: what each history item adds to a score.

The parts of a blend are standardised over all items, so that an item that raises all scores alike raises
none: what it adds to a score counts above what it adds to the mean. Without some items of the history the
mean and the deviation are others too; `falls_without` says whether then the score as it is served is lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsvc.serving.scoring.factors import FoldedFactors
from recsvc.serving.scoring.parts import (
    FloatArray,
    FoldedIn,
    NewFactors,
    PlaceArray,
    RowArray,
    Scores,
    Spread,
)


@dataclass(frozen=True, slots=True)
class Carried:
    """What carried the scores of some items.

    `own` is what each history item adds: (n_items, n_history). `common` is what everybody gets, whatever
    they did: (n_items,). Together they are the scores.
    """

    own: FloatArray
    common: FloatArray


@dataclass(frozen=True, slots=True)
class Share:
    """One part of a model after a history. `is_standardised` says whether its scores were, in the sum."""

    family: str
    folded: FoldedIn
    weight: float
    is_personal: bool
    is_standardised: bool

    def spread_of(self, scores: Scores) -> Spread:
        return scores.spread() if self.is_standardised else _AS_IT_IS

    def scaled(self, values: FloatArray, scores: Scores) -> FloatArray:
        """Scores as they stand in the sum."""
        spread = self.spread_of(scores)
        return np.asarray((values - spread.mean) * (self.weight / spread.deviation), dtype=np.float32)

    def own(self, contributions: FloatArray) -> FloatArray:
        """Contributions as they stand in the sum: (n_items, n_history)."""
        scale = np.float32(self.weight / self.spread_of(self.folded).deviation)
        if self.is_standardised:
            contributions = contributions - self.folded.mean_contributions()
        return np.asarray(contributions * scale, dtype=np.float32)


_AS_IT_IS = Spread(0.0, 1.0)


class Account:
    """The parts of a model after one history of `n_history` items."""

    def __init__(self, shares: Sequence[Share], n_history: int) -> None:
        self._shares = shares
        self._n_history = n_history

    def of(self, item_rows: RowArray) -> Carried:
        """What carried the scores of items with rows. No row stands twice."""
        own = np.zeros((len(item_rows), self._n_history), dtype=np.float32)
        common = np.zeros(len(item_rows), dtype=np.float32)
        for share in self._shares:
            if share.is_personal:
                own += share.own(share.folded.contributions(item_rows))
            else:
                common += share.scaled(share.folded.scores_of(item_rows), share.folded)
        return Carried(own, common)

    def of_new(self, new: NewFactors) -> Carried:
        """The same for items without rows; of these nobody gets anything in common."""
        parts = [
            share.own(share.folded.contributions_to_new(new[share.family]))
            for share in self._shares
            if share.family in new and isinstance(share.folded, FoldedFactors)
        ]
        own: FloatArray = np.asarray(sum(parts), dtype=np.float32)
        return Carried(own, np.zeros(len(own), dtype=np.float32))

    def own_without(self, item_row: int, places: PlaceArray) -> float:
        """What the history would add to the item's score if it lacked the items at these places."""
        row, own = np.array([item_row], dtype=np.int32), 0.0
        for share in self._shares:
            if share.is_personal:
                left = share.folded.without(places)
                own += float(share.scaled(left.scores_of(row), left)[0])
        return own

    def own_of_new_without(self, new: NewFactors, places: PlaceArray) -> float:
        """The same for one item without a row, by its factors: (1, n_factors) each."""
        own = 0.0
        for share in self._shares:
            if share.family in new and isinstance(share.folded, FoldedFactors):
                left = share.folded.without(places)
                own += float(share.scaled(left.scores_of_new(new[share.family]), left)[0])
        return own

    def falls_without(self, item_row: int, own: float, places: PlaceArray) -> bool:
        """Whether the item's score falls, to which the history adds `own`. Without one there is no score."""
        return len(places) == self._n_history or self.own_without(item_row, places) < own

    def new_falls_without(self, new: NewFactors, own: float, places: PlaceArray) -> bool:
        """The same for one item without a row, by its factors: (1, n_factors) each."""
        return len(places) == self._n_history or self.own_of_new_without(new, places) < own
