"""What a bundle knows of items that it has no row for: factors by feature. In: features. Out: factors.

An item's factors are the sum of those of its features; a feature that training did not learn adds nothing.
Training gives the names in bytewise order, as every table of ids has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.id_table import IdTable, id_arrays

FloatArray = NDArray[np.float32]
_NAMES = "feature_names"


class FeatureFactors:
    """The features of a bundle, and for each factor family their factors."""

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], families: Iterable[str]) -> None:
        """Raises KeyError where the arrays are not there: ask `has_features` first."""
        text, offsets = arrays[f"{_NAMES}_text"], arrays[f"{_NAMES}_offsets"]
        names = IdTable(text.view(np.uint8), offsets.view(np.int64))
        self._rows = {names.id_of(row): row for row in range(len(names))}
        self._factors: Mapping[str, FloatArray] = {
            family: arrays[array_of(family)].view(np.float32)
            for family in families
            if array_of(family) in arrays
        }

    @property
    def families(self) -> tuple[str, ...]:
        """The families that items can be scored by from their features alone."""
        return tuple(self._factors)

    def knows(self, feature: str) -> bool:
        """Whether training learned anything of the feature."""
        return feature in self._rows

    def factors_of(self, items: Sequence[Iterable[str]], family: str) -> FloatArray:
        """The factors of items by their features: (n_items, n_factors)."""
        by_feature = self._factors[family]
        factors = np.zeros((len(items), by_feature.shape[1]), dtype=np.float32)
        for place, features in enumerate(items):
            rows = [self._rows[name] for name in features if name in self._rows]
            factors[place] = by_feature[rows].sum(axis=0)
        return factors


def has_features(arrays: Mapping[str, NDArray[np.generic]]) -> bool:
    """Whether a bundle of these arrays knows features at all."""
    return f"{_NAMES}_text" in arrays


def array_of(family: str) -> str:
    """The name of the array of the features' factors: (n_features, n_factors)."""
    return f"{family}_feature_factors"


def feature_arrays(
    names: Sequence[str], factors: Mapping[str, FloatArray]
) -> Mapping[str, NDArray[np.generic]]:
    """The arrays of a bundle. `names` are in bytewise order, the rows of each family's factors in theirs."""
    return {**id_arrays(_NAMES, names), **{array_of(family): block for family, block in factors.items()}}
