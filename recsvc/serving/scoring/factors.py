"""Families of item factors: a score is the dot product of the item's factors with the customer's.

Mean and deviation of a customer's scores over all items need no scores: with μ and Σ the mean and the
covariance of the item factors, they are μᵀu and √(uᵀΣu).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle, History
from recsvc.bundles.manifest import PartFacts
from recsvc.serving.scoring.parts import FloatArray, PlaceArray, RowArray, Spread
from recsvc.serving.scoring.products import QuadraticForm, product_of_rows

_FEW = 4
"""Up to one row in so many is faster picked out one by one than got by multiplying the whole."""
_SHORT = 3
"""A history of up to one item for so many factors is folded in by a system of its own length."""
_LEAST_LEFT = 1e-3
"""Of a system, by its determinant: less is not told from nothing in single precision."""


class ItemFactors:
    """The factors of all items. `gram` is their product with themselves: (n_factors, n_factors)."""

    def __init__(self, factors: FloatArray, gram: NDArray[Any]) -> None:
        self._factors = factors  # (n_items, n_factors)
        self._mean: FloatArray = factors.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._squares = QuadraticForm(gram)

    def of(self, item_rows: RowArray) -> FloatArray:
        """(n_item_rows, n_factors)."""
        return self._factors[item_rows]

    def scores(self, customer: FloatArray) -> FloatArray:
        """For a customer's factors, (n_factors,): (n_items,)."""
        return np.asarray(self._factors @ customer, dtype=np.float32)

    def scores_of_many(self, customers: FloatArray) -> FloatArray:
        """For the factors of several, (n_customers, n_factors): (n_customers, n_items)."""
        return np.asarray(customers @ self._factors.T, dtype=np.float32)

    def scores_of(self, customer: FloatArray, item_rows: RowArray) -> FloatArray:
        """The same for some items: (n_item_rows,)."""
        if len(item_rows) * _FEW > len(self._factors):
            return self.scores(customer)[item_rows]
        return product_of_rows(self._factors, item_rows, customer)

    def __len__(self) -> int:
        return len(self._factors)

    @property
    def n_factors(self) -> int:
        return int(self._factors.shape[1])

    def covariance_with(self, others: ItemFactors) -> FloatArray:
        """Of these factors with others of the same items: (n_factors, n_other_factors)."""
        product = (self._factors.T @ others._factors) / np.float32(len(self))
        return np.asarray(product - np.outer(self._mean, others._mean), dtype=np.float32)

    def covariance_with_scores(self, scores: FloatArray) -> FloatArray:
        """Of these factors with scores of the same items, (n_items,): (n_factors,)."""
        centred = scores - np.float32(scores.mean(dtype=np.float64))
        return np.asarray(centred @ self._factors / np.float32(len(self)), dtype=np.float32)

    def spread(self, customer: FloatArray) -> Spread:
        """Over the scores of all items."""
        mean = float(self._mean @ customer)
        return Spread.of_moments(mean, self._squares(customer) / len(self) - mean * mean)

    @property
    def mean(self) -> FloatArray:
        """(n_factors,)."""
        return self._mean

    def likeness(self, item_row: int) -> FloatArray:
        """The cosine of each item's factors with the item's: (n_items,)."""
        norms = self._norms
        cosines = self._factors @ self._factors[item_row] / np.maximum(norms * norms[item_row], 1e-12)
        return np.asarray(cosines, dtype=np.float32)

    @cached_property
    def _norms(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self._factors, axis=1), dtype=np.float32)


class CustomerFactors:
    """What a customer's factors, (n_factors,), say of items."""

    def __init__(self, items: ItemFactors, customer: FloatArray) -> None:
        self._items = items
        self._customer = customer

    @property
    def customer(self) -> FloatArray:
        """(n_factors,)."""
        return self._customer

    @property
    def items(self) -> ItemFactors:
        """What the customer's factors are multiplied by."""
        return self._items

    def scores(self) -> FloatArray:
        return self._items.scores(self._customer)

    def scores_of(self, item_rows: RowArray) -> FloatArray:
        return self._items.scores_of(self._customer, item_rows)

    def scores_of_new(self, factors: FloatArray) -> FloatArray:
        """Of items that have no rows, by their factors, (n_new, n_factors): (n_new,)."""
        return np.asarray(factors @ self._customer, dtype=np.float32)

    def spread(self) -> Spread:
        return self._spread

    @cached_property
    def _spread(self) -> Spread:
        return self._items.spread(self._customer)


class FoldedFactors(CustomerFactors, ABC):
    """A history as a customer's factors, which are a sum over its items."""

    @property
    @abstractmethod
    def _added(self) -> FloatArray:
        """What each history item adds to the customer's factors: (n_history, n_factors)."""

    @abstractmethod
    def _customer_without(self, places: PlaceArray) -> FloatArray:
        """The customer's factors after the rest of the history: (n_factors,)."""

    def contributions(self, item_rows: RowArray) -> FloatArray:
        return self.contributions_to_new(self._items.of(item_rows))

    def contributions_to_new(self, factors: FloatArray) -> FloatArray:
        """What each history item adds to the scores of items by their factors: (n_new, n_history)."""
        return np.asarray(factors @ self._added.T, dtype=np.float32)

    def mean_contributions(self) -> FloatArray:
        return np.asarray(self._added @ self._items.mean, dtype=np.float32)

    def without(self, places: PlaceArray) -> CustomerFactors:
        return CustomerFactors(self._items, self._customer_without(places))


@dataclass(frozen=True, slots=True)
class Gram:
    """YᵀY with the ridge, and its inverse, which no history changes: (n_factors, n_factors) each."""

    matrix: FloatArray
    inverse: FloatArray

    @classmethod
    def of(cls, matrix: FloatArray) -> Gram:
        """Raises numpy.linalg.LinAlgError where not every history could be solved for."""
        np.linalg.cholesky(matrix)
        return cls(matrix, np.linalg.inv(matrix.astype(np.float64)).astype(np.float32))


class FoldedByRidge(FoldedFactors):
    """`own`, (n_history, n_factors), are the history's factors.

    Each item's part of a score is that of Hu, Koren and Volinsky 2008, section 5: c yᵀ A⁻¹ y_j, with A the
    system, y_j and c the history item's factors and confidence, and y the factors of the scored item.

    A is the Gram matrix G and an outer product for each item of the history: A⁻¹Yᵀ = G⁻¹Yᵀ(I + WYG⁻¹Yᵀ)⁻¹
    for the history's factors Y and the confidences above 1 W, a system of as many rows as the history has
    items. Where these are not far fewer than the factors, A itself is solved.
    """

    def __init__(self, items: ItemFactors, gram: Gram, own: FloatArray, confidence: FloatArray) -> None:
        self._gram, self._own, self._confidence = gram, own, confidence
        if len(own) * _SHORT <= own.shape[1]:
            super().__init__(items, _solved(self._inner.T, confidence) @ self._shrunk)
        else:
            super().__init__(items, _solved(self._system, confidence @ own))

    @cached_property
    def _system(self) -> FloatArray:
        return _system(self._gram.matrix, self._own, self._confidence)

    @cached_property
    def _shrunk(self) -> FloatArray:
        """The factors of the history's items by the inverse of the Gram matrix: (n_history, n_factors)."""
        return np.asarray(self._own @ self._gram.inverse, dtype=np.float32)

    @cached_property
    def _inner(self) -> FloatArray:
        """I + YG⁻¹YᵀW: (n_history, n_history)."""
        inner = (self._own @ self._shrunk.T) * (self._confidence - 1)
        np.einsum("ii->i", inner)[:] += 1
        return np.asarray(inner, dtype=np.float32)

    @cached_property
    def _smoothed(self) -> FloatArray:
        """The factors of the history's items by the inverse of the system: (n_history, n_factors)."""
        if len(self._own) * _SHORT <= self._own.shape[1]:
            return np.asarray(np.linalg.solve(self._inner, self._shrunk), dtype=np.float32)
        return np.asarray(np.linalg.solve(self._system, self._own.T).T, dtype=np.float32)

    @cached_property
    def _added(self) -> FloatArray:
        return self._smoothed * self._confidence[:, None]

    def _customer_without(self, places: PlaceArray) -> FloatArray:
        """The system loses a few items' outer products: its inverse follows by Woodbury's identity.

        Where these were nearly all of it, rounding would be too: what is left is then solved for anew.
        """
        gone, weights = self._own[places], (self._confidence[places] - 1)[:, None]
        inner = np.eye(len(places), dtype=np.float32) - weights * (gone @ self._smoothed[places].T)
        if np.linalg.det(inner) < _LEAST_LEFT:
            own, confidence = (np.delete(array, places, axis=0) for array in (self._own, self._confidence))
            return _solved(_system(self._gram.matrix, own, confidence), confidence @ own)
        left = self._customer - self._added[places].sum(axis=0)  # As if only the right side had changed.
        taken_up = np.linalg.solve(inner, weights[:, 0] * (gone @ left))
        return np.asarray(left + taken_up @ self._smoothed[places], dtype=np.float32)


def _system(gram: FloatArray, own: FloatArray, confidence: FloatArray) -> FloatArray:
    return np.asarray(gram + (own.T * (confidence - 1)) @ own, dtype=np.float32)


def _solved(system: FloatArray, right_side: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(system, right_side), dtype=np.float32)


class FactorPart(ABC):
    """A family of item factors."""

    is_personal = True

    def __init__(self, items: ItemFactors) -> None:
        self._items = items

    @property
    def items(self) -> ItemFactors:
        """The factors of all items."""
        return self._items

    @abstractmethod
    def fold_in(self, history: History) -> FoldedFactors:
        """Take in a history that is not empty."""

    def similar(self, item_row: int) -> FloatArray:
        """The cosine of each item's factors with the item's: (n_items,)."""
        return self._items.likeness(item_row)


class RidgePart(FactorPart):
    """Fold-in is one ridge solve (Hu, Koren and Volinsky 2008, eq. 4), however the factors were learned."""

    def __init__(self, bundle: Bundle, facts: PartFacts) -> None:
        factors: FloatArray = bundle.arrays[f"{facts.family}_item_factors"]
        gram: FloatArray = bundle.arrays[f"{facts.family}_gram"]  # With the ridge on its diagonal.
        self._alpha = float(facts.parameters["confidence"])
        ridge = float(facts.parameters["regularization"]) * np.eye(len(gram))
        super().__init__(ItemFactors(factors, gram - ridge))
        self._gram = Gram.of(gram)

    def fold_in(self, history: History) -> FoldedByRidge:
        own = self._items.of(history.item_rows)
        confidence = np.asarray(self._alpha * history.strengths, dtype=np.float32)
        return FoldedByRidge(self._items, self._gram, own, confidence)


class FoldedLinearly(FoldedFactors):
    """Each history item adds its row of `own`, (n_history, n_factors), times its weight, (n_history,)."""

    def __init__(self, items: ItemFactors, own: FloatArray, weights: FloatArray) -> None:
        super().__init__(items, weights @ own)
        self._own, self._weights = own, weights

    @property
    def _added(self) -> FloatArray:
        return self._own * self._weights[:, None]

    def _customer_without(self, places: PlaceArray) -> FloatArray:
        return np.asarray(self._customer - self._weights[places] @ self._own[places], dtype=np.float32)


class SpectralPart(FactorPart):
    """A low-pass filter over the items (Shen et al. 2021): fold-in is a weighted sum of item factors."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(ItemFactors(bundle.arrays["spectral_item_factors"], bundle.arrays["spectral_gram"]))
        self._fold_in: FloatArray = bundle.arrays["spectral_fold_in"]  # (n_items,)

    def fold_in(self, history: History) -> FoldedLinearly:
        weights = history.strengths * self._fold_in[history.item_rows]
        return FoldedLinearly(self._items, self._items.of(history.item_rows), weights)
