"""Which history items carried a score. In: candidates, a history, what scored them. Out: item ids.

An item is named only where its part of the score is positive, and only together with others without which
the score, folded in anew, is lower: no reason is given that did not drive the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice

import numpy as np

from recsvc.bundles.bundle import History
from recsvc.live.places import NO_ROW
from recsvc.live.scoring import shared_with_readers
from recsvc.live.state import LiveState
from recsvc.serving.candidate import Candidate
from recsvc.serving.live_catalogue import CatalogueView
from recsvc.serving.scoring.parts import FloatArray, PlaceArray
from recsvc.serving.verification import Model

MAX_NAMED = 3


def trained_drivers(
    candidates: Sequence[Candidate], history: History, model: Model, view: CatalogueView
) -> Mapping[str, tuple[str, ...]]:
    """By the candidate's item id the history items that carried its score, the greatest part first.

    None where the score would be no lower without those of the greatest parts; nothing of an item that the
    model has neither a row nor factors of.
    """
    if not candidates or not len(history):
        return {}
    account = model.scorer.account(history)
    history_ids = model.bundle.items.ids_of(history.item_rows.tolist())
    known = {one.item.item_id: one.row for one in candidates if one.row is not None}
    parts = account.of(np.array(list(known.values()), dtype=np.int32)).own
    drivers = {
        item_id: _named(own, history_ids, partial(account.falls_without, row, float(own.sum())))
        for (item_id, row), own in zip(known.items(), parts, strict=True)
    }
    for one in candidates:
        if one.row is None and (factors := view.cold[one.item.kind].factors_of(one.item.item_id)):
            own = account.of_new(factors).own[0]
            falls = partial(account.new_falls_without, factors, float(own.sum()))
            drivers[one.item.item_id] = _named(own, history_ids, falls)
    return drivers


def neighbours_drivers(
    candidates: Sequence[Candidate], live_id: str, state: LiveState, may_be_named: frozenset[str]
) -> Mapping[str, tuple[str, ...]]:
    """By the candidate's item id what the customer shares with those of its readers who are most alike."""
    customer = state.customer_row(live_id)
    rows = state.rows_of(one.item.item_id for one in candidates)
    met = [one.item.item_id for one, row in zip(candidates, rows.tolist(), strict=True) if row != NO_ROW]
    if customer is None or not met:
        return {}
    drivers = {}
    for item_id, (shared, parts) in zip(
        met, shared_with_readers(state, customer, rows[rows != NO_ROW]), strict=True
    ):
        ids = (state.item_ids[row] for row in shared[np.argsort(-parts, kind="stable")].tolist())
        drivers[item_id] = tuple(islice((one for one in ids if one in may_be_named), MAX_NAMED))
    return drivers


def _named(
    own: FloatArray, history_ids: Sequence[str], falls_without: Callable[[PlaceArray], bool]
) -> tuple[str, ...]:
    """The greatest positive parts, as many as the score falls without; else the greatest one that it does."""
    order = np.argsort(-own, kind="stable")[:MAX_NAMED]
    greatest = order[own[order] > 0]
    together = [greatest[:n] for n in range(len(greatest), 0, -1)]
    alone = [greatest[n : n + 1] for n in range(1, len(greatest))]
    named: PlaceArray = next((places for places in together + alone if falls_without(places)), greatest[:0])
    return tuple(history_ids[place] for place in named.tolist())
