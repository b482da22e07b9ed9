"""What carried the scores of a shortlist. In: the parts of its scores. Out: `Shares`, each above its rivals'.

What all that could stand at a place have in common is not why this item stands there: an item is held
against the best of the shortlist, twice as many as its place says and `LEAST_RIVALS` at least.
"""

from __future__ import annotations

import numpy as np

from recsvc.live.places import Floats
from recsvc.live.scoring import PARTS, TASTE
from recsvc.serving.candidate import Shares

LEAST_RIVALS = 20

_OF_NEIGHBOURS = [PARTS.index("neighbours")]
_OF_POPULARITY = [PARTS.index(name) for name in ("popularity", "long_popularity", "recency")]
_OF_NEWNESS = [PARTS.index(name) for name in ("newness", "passed_over", "depth")]


def shares_of(weighted: Floats, own: Floats, common: Floats) -> list[Shares]:
    """The shares of the items of a shortlist, best first.

    Args:
        weighted: what each live part adds to each score: (n_items, n_parts).
        own: what the history adds to it through the model: (n_items,).
        common: what the model adds to it whatever the history: (n_items,).
    """
    shares = np.stack(
        [
            own,
            weighted[:, TASTE],
            weighted[:, _OF_NEIGHBOURS].sum(axis=1),
            weighted[:, _OF_POPULARITY].sum(axis=1) + common,
            weighted[:, _OF_NEWNESS].sum(axis=1),
        ],
        axis=1,
    )
    return [Shares(*one) for one in (shares - _of_rivals(shares)).tolist()]


def _of_rivals(shares: Floats) -> Floats:
    """The mean of each share over the rivals of each item: (n_items, n_shares)."""
    n_best = np.arange(1, len(shares) + 1)
    n_rivals = np.minimum(np.maximum(2 * n_best, LEAST_RIVALS), len(shares))
    means: Floats = shares.cumsum(axis=0) / n_best[:, None]
    of_rivals: Floats = means[n_rivals - 1]
    return of_rivals
