"""The parts of a model as one scorer. In: a bundle. Out: what answers for it.

One part alone scores as it does by itself. Of several the score is the weighted sum, each standardised over
all items for the customer, as in training. Whether all items are scored or some, a score is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.layouts import RIDGE_FAMILIES, SIMILARITY_FAMILIES
from recsvc.bundles.manifest import PartFacts
from recsvc.serving.scoring.accounts import Account, Share
from recsvc.serving.scoring.covariances import Covariances
from recsvc.serving.scoring.factors import FactorPart, FoldedFactors, RidgePart, SpectralPart
from recsvc.serving.scoring.parts import FloatArray, FoldedIn, NewFactors, Part, RowArray, Spread
from recsvc.serving.scoring.popularity import PopularityPart
from recsvc.serving.scoring.similarities import EasePart, SimilarityPart

_NO_HISTORY = History(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))

_NOT_WIDE = 256
"""So many factors of a few hundred items are soon multiplied."""
_HINTED = 3.0
"""What hints vary by among items that are near a history, in deviations over all items: so much varies there
what a part of factors says."""


class Scorer(Protocol):
    """How a model scores."""

    @property
    def is_personal(self) -> bool:
        """Whether two customers may get different scores."""
        ...

    def score(self, history: History) -> FloatArray:
        """A score for every item: (n_items,). The history is not empty. Not to be changed."""
        ...

    def score_of(self, history: History, item_rows: RowArray) -> FloatArray:
        """What `score` says of some items, at the cost of scoring those: (n_item_rows,)."""
        ...

    def score_with_new(
        self, history: History, item_rows: RowArray, new: NewFactors
    ) -> tuple[FloatArray, FloatArray]:
        """What `score_of` says, and what it would say of items without rows: (n_item_rows,), (n_new,).

        A part that has no factors of the new items takes each for its average item.

        Raises:
            ValueError: no part has any.
        """
        ...

    def glance(self, history: History, item_rows: RowArray, hints: FloatArray) -> FloatArray | None:
        """What `score_of` would nearly say, for less: (n_item_rows,); None where it would not be less.

        `hints` say roughly which of the items are the better ones: (n_item_rows,), greater for better.
        """
        ...

    def parts_after(self, history: History) -> Sequence[tuple[FoldedIn, float]]:
        """The parts after a history that is not empty, each with its weight; one alone is as it is."""
        ...

    def spread(self, history: History) -> Spread:
        """Of what `score` says, over all items; where what is live is weighed too, without scoring them."""
        ...

    def account(self, history: History) -> Account:
        """What the scores after this history are made of. The history is not empty."""
        ...

    def common_of(self, item_rows: RowArray) -> FloatArray:
        """What every history gets, whatever is in it, as it stands in the score: (n_item_rows,)."""
        ...

    def similar(self, item_row: int) -> FloatArray:
        """How like the item every other one is: (n_items,), at most 0 where nothing is known."""
        ...


T = TypeVar("T")


class _Lately(Generic[T]):
    """Folds a history in once, however often it is asked for in a row, as one request does.

    Threads may share it: a history that came between is folded in twice.
    """

    def __init__(self, fold_in: Callable[[History], T]) -> None:
        self._fold_in = fold_in
        self._last: tuple[History, T] | None = None

    def __call__(self, history: History) -> T:
        last = self._last
        if last is not None and last[0] is history:
            return last[1]
        folded = self._fold_in(history)
        self._last = (history, folded)
        return folded


class Alone:
    """A model of one part."""

    def __init__(self, family: str, part: Part) -> None:
        self._family, self._part = family, part
        self._folded = _Lately(part.fold_in)

    @property
    def is_personal(self) -> bool:
        return self._part.is_personal

    def score(self, history: History) -> FloatArray:
        return self._folded(history).scores()

    def score_of(self, history: History, item_rows: RowArray) -> FloatArray:
        return self._folded(history).scores_of(item_rows)

    def score_with_new(
        self, history: History, item_rows: RowArray, new: NewFactors
    ) -> tuple[FloatArray, FloatArray]:
        folded = self._folded(history)
        if not isinstance(folded, FoldedFactors):
            raise ValueError(f"{self._family} has no factors to score new items by")
        return folded.scores_of(item_rows), folded.scores_of_new(new[self._family])

    def folded(self, history: History) -> FoldedIn:
        """What the part thinks after a history that is not empty."""
        return self._folded(history)

    def parts_after(self, history: History) -> Sequence[tuple[FoldedIn, float]]:
        return [(self._folded(history), 1.0)]

    def glance(self, history: History, item_rows: RowArray, hints: FloatArray) -> FloatArray | None:
        return None

    def spread(self, history: History) -> Spread:
        return self._folded(history).spread()

    def account(self, history: History) -> Account:
        folded = self._folded(history)
        return Account([Share(self._family, folded, 1.0, self.is_personal, False)], len(history))

    def common_of(self, item_rows: RowArray) -> FloatArray:
        return np.zeros(len(item_rows), dtype=np.float32)

    def similar(self, item_row: int) -> FloatArray:
        return self._part.similar(item_row)


class Blend:
    """A model of several parts, each with its weight. Without their covariances all items tell the spread."""

    def __init__(
        self, parts: Iterable[tuple[str, Part, float]], covariances: Covariances | None = None
    ) -> None:
        named = tuple(parts)
        self._families = tuple(family for family, _, _ in named)
        self._parts = tuple((part, weight) for _, part, weight in named)
        self._covariances = covariances
        self._folded = _Lately(partial(_fold_in, self._parts))
        self._wide = _wide_place([part for part, _ in self._parts])

    @property
    def is_personal(self) -> bool:
        return any(part.is_personal for part, _ in self._parts)

    def score(self, history: History) -> FloatArray:
        return self._summed((folded, weight, folded.scores()) for folded, weight in self._folded(history))

    def score_of(self, history: History, item_rows: RowArray) -> FloatArray:
        folded = self._folded(history)
        return self._summed((one, weight, one.scores_of(item_rows)) for one, weight in folded)

    def score_with_new(
        self, history: History, item_rows: RowArray, new: NewFactors
    ) -> tuple[FloatArray, FloatArray]:
        folded = self._folded(history)
        known = self._summed((one, weight, one.scores_of(item_rows)) for one, weight in folded)
        by_factors = [
            (one, weight, one.scores_of_new(new[family]))
            for family, (one, weight) in zip(self._families, folded, strict=True)
            if family in new and isinstance(one, FoldedFactors)
        ]
        if not by_factors:
            raise ValueError("no part has factors to score new items by")
        return known, self._summed(by_factors)

    def parts_after(self, history: History) -> Sequence[tuple[FoldedIn, float]]:
        return self._folded(history)

    def glance(self, history: History, item_rows: RowArray, hints: FloatArray) -> FloatArray | None:
        if self._wide is None:
            return None
        folded = list(self._folded(history))
        _, weight = folded.pop(self._wide)
        rough = self._summed((one, other, one.scores_of(item_rows)) for one, other in folded)
        above = hints - hints.mean()
        deviation = math.sqrt(float(above @ above) / max(len(above), 1)) or 1.0
        rough += above * np.float32(_HINTED * weight / deviation)
        return rough

    def spread(self, history: History) -> Spread:
        if self._covariances is None:
            return Spread.of_scores(self.score(history))
        folded = self._folded(history)
        scales = [weight / one.spread().deviation for one, weight in folded]
        variance = self._covariances.variance_of_sum([one for one, _ in folded], scales)
        return Spread.of_moments(0.0, variance)

    def account(self, history: History) -> Account:
        shares = [
            Share(family, folded, weight, part.is_personal, True)
            for family, (part, weight), (folded, _) in zip(
                self._families, self._parts, self._folded(history), strict=True
            )
        ]
        return Account(shares, len(history))

    def common_of(self, item_rows: RowArray) -> FloatArray:
        common = np.zeros(len(item_rows), dtype=np.float32)
        for part, weight in self._parts:
            if not part.is_personal:
                share = Share("", part.fold_in(_NO_HISTORY), weight, False, True)
                common += share.scaled(share.folded.scores_of(item_rows), share.folded)
        return common

    def similar(self, item_row: int) -> FloatArray:
        (first, weight), *others = self._parts
        total = first.similar(item_row) * np.float32(weight)
        for part, weight in others:
            total += part.similar(item_row) * np.float32(weight)
        return total

    def _summed(self, parts: Iterable[tuple[FoldedIn, float, FloatArray]]) -> FloatArray:
        scaled, constant = [], 0.0
        for folded, weight, scores in parts:
            spread = folded.spread()
            scaled.append(scores * np.float32(weight / spread.deviation))
            constant -= weight * spread.mean / spread.deviation
        return np.asarray(sum(scaled, np.float32(constant)), dtype=np.float32)


def _fold_in(parts: Sequence[tuple[Part, float]], history: History) -> list[tuple[FoldedIn, float]]:
    return [(part.fold_in(history), weight) for part, weight in parts]


def _wide_place(parts: Sequence[Part]) -> int | None:
    """The place of a part that costs more than all others together, where another one is personal too."""
    widths = [part.items.n_factors if isinstance(part, FactorPart) else 0 for part in parts]
    widest = widths.index(max(widths))
    others = [part for place, part in enumerate(parts) if place != widest]
    is_worth_it = widths[widest] > max(sum(widths) - widths[widest], _NOT_WIDE)
    return widest if is_worth_it and any(part.is_personal for part in others) else None


_OTHERS: Mapping[str, Callable[[Bundle], Part]] = {
    "spectral": SpectralPart,
    "ease": EasePart,
    "popularity": PopularityPart,
}


def make_scorer(bundle: Bundle) -> Scorer:
    """The scorer of a bundle whose parts are known and whose arrays fit them.

    Raises:
        KeyError: a part lacks a parameter.
        ValueError: a parameter is no number.
        numpy.linalg.LinAlgError: factors cannot be folded in.
    """
    parts = [(facts.family, _make_part(bundle, facts), facts.weight) for facts in bundle.manifest.parts]
    (family, part, _), *others = parts
    if not others:
        return Alone(family, part)
    is_mixed = bundle.manifest.live is not None
    return Blend(parts, Covariances([one for _, one, _ in parts]) if is_mixed else None)


def _make_part(bundle: Bundle, facts: PartFacts) -> Part:
    if facts.family in RIDGE_FAMILIES:
        return RidgePart(bundle, facts)
    if facts.family in SIMILARITY_FAMILIES:
        return SimilarityPart(bundle, facts)
    return _OTHERS[facts.family](bundle)
