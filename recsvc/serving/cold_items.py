"""Items that the model has no rows for. In: live items, a bundle. Out: their factors, by what they are.

Made once for a model and a state of the catalogue, not for a request.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.features import FeatureFactors, has_features
from recsvc.domain.item_features import item_features, says_what_it_is
from recsvc.domain.items import Item
from recsvc.serving.scoring.parts import NewFactors

MAX_COLD_ITEMS = 1_000
"""Of a kind. A catalogue that holds more unknown items wants a training, not guesses."""


@dataclass(frozen=True, slots=True)
class ColdItems:
    """Items with factors by family, row for row; none where the bundle knows no features."""

    items: tuple[Item, ...]
    factors: NewFactors

    def without(self, item_ids: Collection[str]) -> ColdItems:
        """All but the items of these ids."""
        if not item_ids:
            return self
        kept = [place for place, item in enumerate(self.items) if item.item_id not in item_ids]
        places = np.array(kept, dtype=np.intp)
        return ColdItems(
            tuple(self.items[place] for place in kept),
            {family: factors[places] for family, factors in self.factors.items()},
        )

    def factors_of(self, item_id: str) -> NewFactors | None:
        """Of one item, (1, n_factors) by family; None where it is none of them."""
        place = next((place for place, item in enumerate(self.items) if item.item_id == item_id), None)
        if place is None:
            return None
        return {family: factors[place : place + 1] for family, factors in self.factors.items()}


NO_COLD_ITEMS = ColdItems((), {})


def place_cold_items(fresh: Sequence[Item], bundle: Bundle | None) -> ColdItems:
    """The first of the items, with the factors that the bundle's features give them.

    Left out is an item of which the bundle knows nothing but its kind and age: that fits nobody. Ages are
    those at the end of the training, as training saw them.
    """
    if not fresh or bundle is None or not has_features(bundle.arrays):
        return NO_COLD_ITEMS
    learned = FeatureFactors(bundle.arrays, (part.family for part in bundle.manifest.parts))
    if not learned.families:
        return NO_COLD_ITEMS
    as_of = bundle.manifest.data_window.until
    described = [(item, item_features(item, as_of=as_of)) for item in fresh[:MAX_COLD_ITEMS]]
    known = [
        (item, names)
        for item, names in described
        if any(says_what_it_is(name) and learned.knows(name) for name in names)
    ]
    if not known:
        return NO_COLD_ITEMS
    items, features = zip(*known, strict=True)
    return ColdItems(items, {family: learned.factors_of(features, family) for family in learned.families})
