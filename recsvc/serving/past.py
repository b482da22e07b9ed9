"""What a customer did, as far as a slate may know. In: a bundle, and what happened since. Out: a `Past`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.domain.interactions import IMPRESSION, Interaction, Known
from recsvc.policy import Policy

EMPTY_HISTORY = History(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Past:
    """The history that is scored from, and the items that it bars.

    `is_folded_in` says that something since the training changed the history. `used` names the items that
    were used and have no row in the model; `suppressed` those whose last word was a no. `shown` says how
    often an item was shown lately and left alone since; `dismissed` names those lately turned down, the
    latest last.
    """

    history: History = EMPTY_HISTORY
    is_folded_in: bool = False
    used: frozenset[str] = frozenset()
    suppressed: frozenset[str] = frozenset()
    shown: Mapping[str, int] = field(default_factory=dict)
    dismissed: tuple[str, ...] = ()


NO_PAST = Past()


def read_past(customer_row: int | None, bundle: Bundle | None, known: Known, policy: Policy) -> Past:
    """The trained history with what happened since laid over it, in its order."""
    trained, refused = _trained(customer_row, bundle)
    if not known.interactions:
        return Past(trained, suppressed=frozenset(refused))
    return _fold_in(trained, refused, bundle, known, policy)


def read_refusals(customer_row: int | None, bundle: Bundle | None, known: Known, policy: Policy) -> Past:
    """What is left of a past where nothing may be personalised: the items whose last word was a no."""
    _, refused = _trained(customer_row, bundle)
    last_words = dict.fromkeys(refused, -1.0)
    last_words |= {word.item_id: word.strength for word in _words(known, policy, until=None)}
    return Past(suppressed=frozenset(item_id for item_id, strength in last_words.items() if strength < 0))


def with_reactions(
    past: Past, lately: Sequence[Interaction], known: Known, policy: Policy, *, now: datetime
) -> Past:
    """The past, with what the customer left alone of what was shown `lately`, and what was turned down.

    `lately` is everything that happened in the time for which impressions count, oldest first. Impressions
    of the last `page_minutes` do not count yet: they belong to a page of which more may be asked for.
    """
    lists = policy.lists
    shown = _left_alone(lately, until=now - timedelta(minutes=lists.page_minutes))
    dismissed = _turned_down(known, policy, since=now - timedelta(days=lists.like_dismissed_days))
    # A no of before the training is known for good, and that it was taken back is known to the model alone.
    still = tuple(item_id for item_id in dismissed if item_id in past.suppressed)
    return replace(past, shown=shown, dismissed=still)


def _left_alone(lately: Sequence[Interaction], *, until: datetime) -> Mapping[str, int]:
    """How often each item was shown, up to then, since the customer last did something with it."""
    times: dict[str, int] = {}
    for one in lately:
        if one.item_id is None:
            continue
        if one.type != IMPRESSION:
            times.pop(one.item_id, None)
        elif one.occurred_at <= until:
            times[one.item_id] = times.get(one.item_id, 0) + 1
    return times


def _turned_down(known: Known, policy: Policy, *, since: datetime) -> tuple[str, ...]:
    """The items whose last word was a no, where that came since then: the latest last."""
    rules = policy.interaction_types
    found: dict[str, None] = {}
    for one in known.interactions:
        if one.item_id is None or one.type not in rules or rules[one.type].strength == 0:
            continue
        found.pop(one.item_id, None)
        if rules[one.type].strength < 0 and one.occurred_at > since:
            found[one.item_id] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Word:
    """What one event says for or against an item. The model knows an old one; one that came late, maybe."""

    item_id: str
    strength: float
    is_late: bool
    is_old: bool


def _trained(customer_row: int | None, bundle: Bundle | None) -> tuple[History, tuple[str, ...]]:
    if bundle is None or customer_row is None:
        return EMPTY_HISTORY, ()
    return bundle.history_of(customer_row), bundle.items.ids_of(bundle.refused_by(customer_row))


def _fold_in(
    trained: History, refused: Sequence[str], bundle: Bundle | None, known: Known, policy: Policy
) -> Past:
    scale = bundle.manifest.strength_scale if bundle else 1.0
    strengths = dict(zip(trained.item_rows.tolist(), trained.strengths.tolist(), strict=True))
    changed, used, turned_down = False, set[str](), set(refused)
    until = bundle.manifest.data_window.until if bundle and len(trained) else None
    for word in _words(known, policy, until=until):
        row = bundle.items.row_of(word.item_id) if bundle else None
        if word.is_old and row is not None:
            continue  # It stands in the history already, with whatever was said after it.
        if word.strength < 0:
            turned_down.add(word.item_id)
            changed |= row is not None and strengths.pop(row, None) is not None
            continue
        turned_down.discard(word.item_id)
        if row is None:
            used.add(word.item_id)
        elif row not in strengths or not word.is_late:
            # A late event of a pair that was trained on was most likely there: it does not count twice.
            strengths[row] = strengths.get(row, 0.0) + word.strength * scale
            changed = True
    history = History(
        np.fromiter(strengths.keys(), dtype=np.int32, count=len(strengths)),
        np.fromiter(strengths.values(), dtype=np.float32, count=len(strengths)),
    )
    return Past(history, changed, frozenset(used), frozenset(turned_down))


def _words(known: Known, policy: Policy, *, until: datetime | None) -> Iterator[_Word]:
    """The events that speak for or against an item. Those up to `until` were there for the training."""
    rules = policy.interaction_types
    for one in known.interactions:
        if one.item_id is not None and one.type in rules and rules[one.type].strength != 0:
            is_late = one.event_id in known.late_ids
            is_old = until is not None and one.occurred_at <= until and not is_late
            yield _Word(one.item_id, rules[one.type].strength, is_late, is_old)
