"""What customers would see first. In: a contender, histories. Out: the first ten items of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.training.families.base import FloatArray
from recsvc.training.gate.footing import Contender
from recsvc.training.ranking import best_rows

FIRST = 10
_AT_ONCE = 200  # Histories: 32 MB of scores with 40,000 items.


def first_items(
    contender: Contender, histories: csr_matrix, *, may_repeat: bool, among: NDArray[np.bool_] | None = None
) -> NDArray[np.int32]:
    """The best items of each history, (n_histories, 10), -1 where there are no more.

    What is in the history is left out unless it `may_repeat`; `among` (n_items,) are the items to rank.
    """
    parts = [
        _first(contender.model.score(few), few, may_repeat, among)
        for few in (histories[start : start + _AT_ONCE] for start in range(0, histories.shape[0], _AT_ONCE))
    ]
    return np.concatenate(parts)


def has_own_list(contender: Contender, histories: csr_matrix, *, may_repeat: bool) -> NDArray[np.bool_]:
    """Which histories get more than the popular list: (n_histories,).

    A list is a customer's own when something stands on it that the model knows something of (a score of
    exactly 0 knows nothing, and a lower rung answers), and that is less popular than all of the popular list.
    """
    scores = contender.model.score(histories)
    lists = _first(scores.copy(), histories, may_repeat, None)
    popular = np.tile(contender.popularity, (histories.shape[0], 1)).astype(np.float32)
    popular[:, ~contender.is_known] = -np.inf
    everybodys = _first(popular, histories, may_repeat, None)
    least = np.where(everybodys >= 0, contender.popularity[everybodys], np.inf).min(axis=1)
    is_known = (lists >= 0) & (np.take_along_axis(scores, np.maximum(lists, 0).astype(np.int64), axis=1) != 0)
    is_rarer = contender.popularity[lists] < least[:, None] * (1 - 1e-5)
    return np.asarray((is_known & is_rarer).any(axis=1))


def _first(
    scores: FloatArray, histories: csr_matrix, may_repeat: bool, among: NDArray[np.bool_] | None
) -> NDArray[np.int32]:
    """Changes `scores`."""
    if not may_repeat:
        customers = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        scores[customers, histories.indices] = -np.inf
    if among is not None:
        scores[:, ~among] = -np.inf
    return best_rows(scores, FIRST)
