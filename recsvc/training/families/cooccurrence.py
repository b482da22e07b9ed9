"""Normalised co-occurrence: how often two items were taken by the same customer, for what each is known.

Source: the linear part of Shen et al., "How powerful is graph convolution for recommendation?" (GF-CF, 2021,
eq. 12), with its three exponents set free: C = D_i^-a Rᵀ D_u^-e R D_i^-b, D the sums of strengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from recsvc.training.families.base import Family, Fitted, FloatArray, TrainingData
from recsvc.training.families.similarities import FittedSimilarity, most_similar, pruned, reweighed

_STEP = 0.1
_WIDER = 2  # Neighbours kept for each that is used, so that other exponents find theirs among them.
_DENSE = 0.003
# The best of Gowalla, one between, the best of MovieLens.
_SETTINGS = ((0.7, 0.5, 0.2), (0.6, 0.6, 0.3), (0.5, 0.7, 0.5))


@dataclass(frozen=True)
class Cooccurrence(Family):
    """The `n_neighbours` items that go most with each, and three exponents.

    The greater one is, the less counts a customer of many items (`customer_exponent`, e), an item of the
    history that many took (`history_exponent`, a), a proposed item that many took (`proposed_exponent`, b).
    """

    customer_exponent: float = 0.7
    history_exponent: float = 0.5
    proposed_exponent: float = 0.2
    n_neighbours: int = 100
    name: str = "cooccurrence"
    is_personal: bool = True

    @property
    def is_local(self) -> bool:
        return True

    def fit(self, data: TrainingData, *, seed: int) -> FittedCooccurrence:
        strengths = data.strengths
        customer_sums, item_sums = (np.ravel(strengths.sum(axis=axis)) for axis in (1, 0))
        # A factor of a whole row moves nothing within it: with b on both sides the greatest of a row are
        # the ones wanted, and the product is symmetric, as implicit needs it.
        by_customer = diags_array(_power(customer_sums, -self.customer_exponent / 2))
        by_item = diags_array(_power(item_sums, -self.proposed_exponent))
        weighted = csr_matrix(by_customer @ strengths @ by_item)
        found = most_similar(weighted, _WIDER * self.n_neighbours)
        undone = _power(item_sums, self.proposed_exponent)
        counts = reweighed(found, undone, undone)
        return _weighed(self, counts, item_sums)

    def settings(self, data: TrainingData) -> tuple[Family, ...]:
        """Dense data wants its popular items proposed less, and customers of many items heard more."""
        is_dense = data.strengths.nnz > _DENSE * data.strengths.shape[0] * data.strengths.shape[1]
        return tuple(
            replace(self, customer_exponent=e, history_exponent=a, proposed_exponent=b)
            for e, a, b in (_SETTINGS[::-1] if is_dense else _SETTINGS)
        )


@dataclass(frozen=True)
class FittedCooccurrence(FittedSimilarity):
    """The similarity under the exponents, and what it was weighed from.

    `counts` is Rᵀ D_u^-e R, (n_items, n_items), pruned less than the similarity; `item_sums` is (n_items,).
    """

    family: Cooccurrence
    counts: csr_matrix
    item_sums: FloatArray

    def variations(self) -> Iterator[Fitted]:
        """The history's and the proposed item's exponents one step up and down."""
        for history, proposed in ((_STEP, 0.0), (-_STEP, 0.0), (0.0, _STEP), (0.0, -_STEP)):
            family = replace(
                self.family,
                history_exponent=round(self.family.history_exponent + history, 2),
                proposed_exponent=round(self.family.proposed_exponent + proposed, 2),
            )
            yield _weighed(family, self.counts, self.item_sums)


def _weighed(family: Cooccurrence, counts: csr_matrix, item_sums: FloatArray) -> FittedCooccurrence:
    of_history = _power(item_sums, -family.history_exponent)
    of_proposed = _power(item_sums, -family.proposed_exponent)
    similarity = pruned(reweighed(counts, of_history, of_proposed), family.n_neighbours)
    parameters = {
        "customer_exponent": family.customer_exponent,
        "history_exponent": family.history_exponent,
        "proposed_exponent": family.proposed_exponent,
        "n_neighbours": family.n_neighbours,
    }
    return FittedCooccurrence(family, similarity, parameters, counts, item_sums)


def _power(sums: FloatArray, exponent: float) -> FloatArray:
    """Each sum to a power; 1 for those whom nothing was taken by, or of."""
    return np.power(np.where(sums > 0, sums, 1), exponent, dtype=np.float32)
