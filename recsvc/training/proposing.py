"""A shortlist to score exactly, where items are too many to score them all. In: a history. Out: neighbours.

What a customer's items propose, summed over the history, holds nearly all of what any good model puts first:
on Gowalla the 600 best proposals hold 99.8 % of the exact first 20 of a blend of spectral and ALS, 99.4 % of
those of the spectral filter alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from recsvc.training.blending import Model
from recsvc.training.families.base import TrainingData
from recsvc.training.families.cooccurrence import Cooccurrence

MIN_ITEMS = 5_000  # Fewer are scored faster than a shortlist of them is made.
_PROPOSING = Cooccurrence(
    customer_exponent=0.6, history_exponent=0.5, proposed_exponent=0.1, n_neighbours=100
)


def proposal_arrays(data: TrainingData, model: Model, *, seed: int) -> Mapping[str, NDArray[Any]]:
    """What each item proposes: `proposal_items`, `proposal_scores`, both (n_items, n_proposals).

    Nothing where all items are quickly scored: there are few of them, or no factors to multiply by.
    """
    has_factors = any(fitted.item_factors() is not None for fitted, _ in model.parts)
    if not has_factors or data.strengths.shape[1] < MIN_ITEMS:
        return {}
    arrays = _PROPOSING.fit(data, seed=seed).arrays()
    return {
        "proposal_items": arrays["cooccurrence_items"],
        "proposal_scores": arrays["cooccurrence_scores"],
    }
