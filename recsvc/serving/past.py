"""What a customer did, as far as a slate may know. In: a bundle, and what happened since. Out: a `Past`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.domain.interactions import Interaction
from recsvc.policy import Policy

EMPTY_HISTORY = History(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Past:
    """The history that is scored from, and the items that it bars.

    `is_folded_in` says that something since the training changed the history. `used` names the items that
    were used and have no row in the model; `suppressed` those whose last word was a no.
    """

    history: History = EMPTY_HISTORY
    is_folded_in: bool = False
    used: frozenset[str] = frozenset()
    suppressed: frozenset[str] = frozenset()


NO_PAST = Past()


def read_past(
    customer_row: int | None, bundle: Bundle | None, recent: Sequence[Interaction], policy: Policy
) -> Past:
    """The trained history with what happened since laid over it, in its order."""
    trained, refused = _trained(customer_row, bundle)
    if not recent:
        return Past(trained, suppressed=frozenset(refused))
    return _fold_in(trained, refused, bundle, recent, policy)


def _trained(customer_row: int | None, bundle: Bundle | None) -> tuple[History, tuple[str, ...]]:
    if bundle is None or customer_row is None:
        return EMPTY_HISTORY, ()
    return bundle.history_of(customer_row), bundle.items.ids_of(bundle.refused_by(customer_row))


def _fold_in(
    trained: History,
    refused: Sequence[str],
    bundle: Bundle | None,
    recent: Sequence[Interaction],
    policy: Policy,
) -> Past:
    scale = float(bundle.manifest.parameters.get("strength_scale", 1.0)) if bundle else 1.0
    strengths = dict(zip(trained.item_rows.tolist(), trained.strengths.tolist(), strict=True))
    changed, used, turned_down = False, set[str](), set(refused)
    for item_id, strength in _words(recent, policy):
        row = bundle.items.row_of(item_id) if bundle else None
        if strength < 0:
            turned_down.add(item_id)
            changed |= row is not None and strengths.pop(row, None) is not None
            continue
        turned_down.discard(item_id)
        if row is None:
            used.add(item_id)
        else:
            strengths[row] = strengths.get(row, 0.0) + strength * scale
            changed = True
    history = History(
        np.fromiter(strengths.keys(), dtype=np.int32, count=len(strengths)),
        np.fromiter(strengths.values(), dtype=np.float32, count=len(strengths)),
    )
    return Past(history, changed, frozenset(used), frozenset(turned_down))


def _words(recent: Sequence[Interaction], policy: Policy) -> list[tuple[str, float]]:
    """The interactions that speak for or against an item: its id and the strength."""
    rules = policy.interaction_types
    return [
        (one.item_id, rules[one.type].strength)
        for one in recent
        if one.item_id is not None and one.type in rules and rules[one.type].strength != 0
    ]
