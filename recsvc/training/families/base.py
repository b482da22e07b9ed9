"""What every model family can do. In: strengths of customers for items. Out: scores from histories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import Parameter
from recsvc.history.matrix import InteractionMatrix
from recsvc.training.chance import Seeds, seeds_of

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class TrainingData:
    """What a family learns from.

    `strengths` is (n_customers, n_items), sparse, positive, with a mean of 1 over its entries, so that a
    parameter means the same on every data set; `strength_scale` is what it was multiplied by.
    `popularity` is (n_items,), decayed; `customer_counts` (n_items,) is how many customers took an item.
    """

    strengths: csr_matrix
    strength_scale: float
    popularity: FloatArray
    customer_counts: NDArray[np.int64]

    @cached_property
    def seeds(self) -> tuple[Seeds, Seeds]:
        """What chance is drawn by, of customers and of items: whatever ids are called, it stays the same."""
        return seeds_of(self.strengths)


def training_data(matrix: InteractionMatrix) -> TrainingData:
    """The matrix in the scale that the families learn from."""
    strengths = matrix.strengths
    scale = float(1 / strengths.data.mean(dtype=np.float64)) if strengths.nnz else 1.0
    return TrainingData(
        strengths=(strengths * np.float32(scale)).tocsr(),
        strength_scale=scale,
        popularity=matrix.popularity,
        customer_counts=np.bincount(strengths.indices, minlength=strengths.shape[1]),
    )


class Family(Protocol):
    """One way to model, with its settings. `name` is its name in manifests, reports and commands."""

    @property
    def name(self) -> str: ...

    @property
    def is_personal(self) -> bool:
        """Whether two customers may get different scores."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether a score hangs on near neighbours alone. Such a family stands in no blend."""
        return False

    def fit(self, data: TrainingData, *, seed: int) -> Fitted:
        """Learn from the data. The same data and seed give the same result."""
        ...

    def settings(self, data: TrainingData) -> tuple[Family, ...]:
        """The settings worth trying on such data, the likeliest first; none where it has nothing to learn."""
        return (self,)

    def reduced(self) -> Family:
        """The same settings at a fraction of the cost, good enough to tell bad settings from better ones."""
        return self


class Fitted(Protocol):
    """A family after its fit. It scores from history alone, as serving will."""

    family: Family
    """What it was fitted with: another fit of it on the same data gives the same again."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The settings as the manifest keeps them."""
        ...

    def score(self, histories: csr_matrix) -> FloatArray:
        """Scores of every item for every history: (n_histories, n_items), a new array that may be changed.

        A history is a row of strengths in the scale of the training data. Threads may score at once.
        """
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """What serving needs of it. Every name begins with the family's."""
        ...

    def variations(self) -> Iterator[Fitted]:
        """The same fit under settings one step away, where that costs next to nothing."""
        return iter(())

    def item_factors(self) -> FloatArray | None:
        """What a customer's vector is multiplied by, (n_items, n_factors); None where there is none."""
        return None

    def customer_factors(self, histories: csr_matrix) -> FloatArray | None:
        """The vectors of customers, (n_histories, n_factors); None where there are none."""
        return None
