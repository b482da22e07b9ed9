"""A spectral filter: what customers took together, smoothed to the strongest patterns of the whole history.

With R the strengths and D the degrees of customers u and items i, take the leading singular vectors V and
values s of D_u^-e R D_i^-f. A history h scores (h D_i^-a) V (s/s₁)^p Vᵀ D_i^b: for p = 0 that is the ideal
low-pass filter and for p = 2 the normalised co-occurrence of Shen et al., "How powerful is graph convolution
for recommendation?" (2021); between the two lies a filter that beats both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from recsvc.bundles.manifest import Parameter
from recsvc.training.families.base import Family, Fitted, FloatArray, TrainingData
from recsvc.training.families.singular import SingularVectors, leading_singular_vectors
from recsvc.training.threads import one_blas_thread

_POWER_STEP = 0.25
_EXPONENT_STEP = 0.1
_MIN_COMPONENTS = 16
_MAX_NUMBERS = 100_000_000  # In the block of item factors, 400 MB: beyond 97,000 items vectors are fewer.


@dataclass(frozen=True)
class Spectral(Family):
    """The exponents of the degrees, the power of the filter, and at most how many singular vectors it keeps.

    Of few items few patterns can be told apart from chance, so that the search may end with fewer vectors.
    """

    customer_exponent: float = 0.4
    item_exponent: float = 0.4
    history_exponent: float = 0.3
    output_exponent: float = 0.2
    filter_power: float = 0.5
    n_components: int = 1024
    name: str = "spectral"
    is_personal: bool = True

    def settings(self, data: TrainingData) -> tuple[Spectral, ...]:
        """A sparse history wants its popular items and its busy customers damped; a dense one less so."""
        bolder = replace(
            self, customer_exponent=0.3, item_exponent=0.4, history_exponent=0.5, output_exponent=0.3
        )
        dense = replace(
            self, customer_exponent=0.4, item_exponent=0.15, history_exponent=0.15, output_exponent=-0.05
        )
        return (self, bolder, dense)

    def reduced(self) -> Spectral:
        return replace(self, n_components=max(32, self.n_components // 6), filter_power=self.filter_power / 2)

    def fit(self, data: TrainingData, *, seed: int) -> FittedSpectral:
        customers = np.asarray(data.strengths.sum(axis=1, dtype=np.float64)).ravel()
        items = np.asarray(data.strengths.sum(axis=0, dtype=np.float64)).ravel()
        weighted = csr_matrix(
            diags_array(_power(customers, -self.customer_exponent))
            @ data.strengths
            @ diags_array(_power(items, -self.item_exponent)),
            dtype=np.float32,
        )
        affordable = max(_MIN_COMPONENTS, _MAX_NUMBERS // data.strengths.shape[1])
        n_components = min(self.n_components, affordable, *data.strengths.shape)
        with one_blas_thread():  # More threads would add up in another order.
            vectors = leading_singular_vectors(weighted, n_components, data.seeds, seed=seed)
        return FittedSpectral(replace(self, n_components=vectors.n), vectors, items)


@dataclass(frozen=True)
class FittedSpectral(Fitted):
    """`degrees` is (n_items,), the sum of each item's strengths.

    Both sides of the filter are one block of item factors: a customer's vector is the history, weighted by
    item, times the block, and the scores are the block times that.
    """

    family: Spectral
    vectors: SingularVectors
    degrees: NDArray[np.float64]

    @cached_property
    def _block(self) -> FloatArray:
        """(n_items, n_components), with half of the filter's gain; the other half comes in by the history."""
        n = self.family.n_components
        gain = (self.vectors.values[:n] / self.vectors.values[0]) ** (self.family.filter_power / 2)
        outward = _power(self.degrees, self.family.output_exponent)
        return np.ascontiguousarray(
            self.vectors.of_columns[:, :n] * gain.astype(np.float32) * outward[:, None].astype(np.float32)
        )

    @cached_property
    def _inward(self) -> FloatArray:
        """(n_items,), what each item of a history is weighted by."""
        exponent = -self.family.history_exponent - self.family.output_exponent
        return _power(self.degrees, exponent).astype(np.float32)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        settings = self.family
        return {
            "n_components": settings.n_components,
            "filter_power": settings.filter_power,
            "customer_exponent": settings.customer_exponent,
            "item_exponent": settings.item_exponent,
            "history_exponent": settings.history_exponent,
            "output_exponent": settings.output_exponent,
        }

    def score(self, histories: csr_matrix) -> FloatArray:
        return np.asarray(self.customer_factors(histories) @ self._block.T, dtype=np.float32)

    def customer_factors(self, histories: csr_matrix) -> FloatArray:
        weighted = csr_matrix(histories.multiply(self._inward), dtype=np.float32)
        return np.asarray(weighted @ self._block, dtype=np.float32)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        with one_blas_thread():
            gram = self._block.T @ self._block
        return {
            "spectral_item_factors": self._block,
            "spectral_fold_in": self._inward,
            "spectral_gram": gram,
        }

    def item_factors(self) -> FloatArray:
        return self._block

    def variations(self) -> Iterator[FittedSpectral]:
        one = self.family
        for step in (_POWER_STEP, -_POWER_STEP):
            if one.filter_power + step >= 0:
                yield self._under(replace(one, filter_power=one.filter_power + step))
        for step in (_EXPONENT_STEP, -_EXPONENT_STEP):
            yield self._under(replace(one, output_exponent=round(one.output_exponent + step, 6)))
            yield self._under(replace(one, history_exponent=round(one.history_exponent + step, 6)))
        for n in (one.n_components // 2, one.n_components * 2):
            if _MIN_COMPONENTS <= n <= self.vectors.n:
                yield self._under(replace(one, n_components=n))

    def _under(self, settings: Spectral) -> FittedSpectral:
        return replace(self, family=settings)


def _power(degrees: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """0 where nobody took anything: such a row weighs nothing."""
    powers = np.zeros_like(degrees)
    np.power(degrees, exponent, out=powers, where=degrees > 0)
    return powers
