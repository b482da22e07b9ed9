"""Which history items carried a score. In: candidates, a history, what scored them. Out: item ids.

An item is named only where its part of the score is positive, and only together with others without which
the score as it is served, folded in anew, is lower: no reason is given that did not drive the score.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import numpy as np

from recsvc.serving.candidate import Candidate
from recsvc.serving.scoring.parts import FloatArray
from recsvc.serving.served_score import ServedScore

MAX_NAMED = 3


def trained_drivers(candidates: Sequence[Candidate], served: ServedScore) -> Mapping[str, tuple[str, ...]]:
    """By the candidate's item id the history items that carried its score, the greatest part first.

    None where the score would be no lower without those of the greatest parts; nothing of an item that the
    model has neither a row nor factors of.
    """
    return {
        one.item.item_id: _named(_greatest(own, served.history_ids), partial(served.falls_without, one))
        for one, own in served.parts_of(candidates)
    }


def taste_drivers(candidates: Sequence[Candidate], served: ServedScore) -> Mapping[str, tuple[str, ...]]:
    """By the candidate's item id recent items of its category, at most `MAX_NAMED`.

    Each of them raises what taste says of it by the same: first come those that the model sets most by.
    """
    parts = {
        one.item.item_id: dict(zip(served.history_ids, own.tolist(), strict=True))
        for one, own in served.parts_of(candidates)
    }
    drivers = {}
    for one in candidates:
        by_model = parts.get(one.item.item_id, {})
        lately = served.lately_of(one.item.category)
        order = np.argsort([-by_model.get(item_id, 0.0) for item_id in lately], kind="stable")[:MAX_NAMED]
        greatest = [lately[place] for place in order.tolist()]
        drivers[one.item.item_id] = _named(greatest, partial(served.falls_without, one))
    return drivers


def neighbours_drivers(candidates: Sequence[Candidate], served: ServedScore) -> Mapping[str, tuple[str, ...]]:
    """By the candidate's item id what the customer shares with those of its readers who are most alike."""
    return {
        one.item.item_id: _named(shared[:MAX_NAMED], partial(served.falls_beside_likeness_without, one))
        for one, shared in served.shared_with_readers(candidates)
    }


def _greatest(own: FloatArray, history_ids: Sequence[str]) -> list[str]:
    """The items of the greatest positive parts, the greatest first."""
    order = np.argsort(-own, kind="stable")[:MAX_NAMED]
    return [history_ids[place] for place in order[own[order] > 0].tolist()]


def _named(greatest: Sequence[str], falls_without: Callable[[Collection[str]], bool]) -> tuple[str, ...]:
    """As many of the greatest as the score falls without; else the greatest one that it does."""
    together = [greatest[:n] for n in range(len(greatest), 0, -1)]
    alone = [greatest[n : n + 1] for n in range(1, len(greatest))]
    return tuple(next((some for some in [*together, *alone] if falls_without(some)), ()))
