"""What a customer's own words and deeds mean for the next slate. In: events, the bundle. Out: `Signals`.

The trained history is what the bundle holds; what happened since is laid over it, so that an event that
was acknowledged a moment ago counts in the very next answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from recsvc.bundles.bundle import Bundle, History
from recsvc.domain.interactions import Known
from recsvc.domain.items import Channel
from recsvc.policy import Policy

NOT_INTERESTED = "not_interested"
COMPLAINT = "complaint"
UNSUBSCRIBE = "unsubscribe"
STANDING_TYPES = (
    "reject",
    "dismiss",
    NOT_INTERESTED,
    COMPLAINT,
    UNSUBSCRIBE,
)  # They hold however old they are.

EMPTY_HISTORY = History(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Signals:
    """What the events say.

    `history` is what the model scores by, the events since training included; `has_recent` tells whether
    any of those counted. `seen` names used items that the bundle has no row for. `turned_down` are items
    whose last word was a no; `held_back` are items of which the customer wants no more of the kind.
    """

    history: History
    has_recent: bool
    seen: frozenset[str]
    turned_down: frozenset[str]
    held_back: tuple[str, ...]


def read_signals(
    customer_row: int | None, bundle: Bundle, known: Known, policy: Policy, *, now: datetime
) -> Signals:
    """Lay what is known since over what the bundle holds of the customer."""
    trained = bundle.history_of(customer_row) if customer_row is not None else EMPTY_HISTORY
    strengths: dict[int, float] = dict(
        zip(trained.item_rows.tolist(), trained.strengths.tolist(), strict=True)
    )
    refused = bundle.refused_by(customer_row) if customer_row is not None else ()
    turned_down = {bundle.items.id_of(int(row)) for row in refused}
    scale = float(bundle.manifest.parameters.get("strength_scale", 1.0))
    seen: set[str] = set()
    has_recent = False
    for event in known.interactions:
        rule = policy.interaction_types.get(event.type)
        if rule is None or event.item_id is None or rule.strength == 0:
            continue
        row = bundle.items.row_of(event.item_id)
        if rule.strength < 0:
            turned_down.add(event.item_id)
            strengths.pop(-1 if row is None else row, None)
            continue
        turned_down.discard(event.item_id)
        if row is None:
            seen.add(event.item_id)
        elif row not in strengths or event.event_id not in known.late_ids:
            # A late event of a pair that was trained on was most likely there: it does not count twice.
            strengths[row] = strengths.get(row, 0.0) + rule.strength * scale
            has_recent = True
    return Signals(
        history=_as_history(strengths),
        has_recent=has_recent,
        seen=frozenset(seen),
        turned_down=frozenset(turned_down),
        held_back=held_back_in(known, policy, now=now),
    )


def signals_alone(known: Known, policy: Policy, *, now: datetime) -> Signals:
    """What the events say where nothing may be personalised, or nothing was trained: the refusals."""
    last_word: dict[str, float] = {}
    for event in known.interactions:
        rule = policy.interaction_types.get(event.type)
        if rule is not None and event.item_id is not None and rule.strength != 0:
            last_word[event.item_id] = rule.strength
    refused = frozenset(item_id for item_id, strength in last_word.items() if strength < 0)
    return Signals(EMPTY_HISTORY, False, frozenset(), refused, held_back_in(known, policy, now=now))


def may_still_market(
    known: Known, channel: Channel, policy: Policy, *, agreed_at: datetime | None, now: datetime
) -> bool:
    """Whether no unsubscription or complaint stands against marketing on the channel.

    An unsubscription on a channel stops that channel, one without a channel stops all, until the
    customer's consents are recorded anew (`agreed_at`). A complaint stops all for a time.
    """
    patience = now - timedelta(days=policy.feedback.complaint_stops_marketing_days)
    for event in known.interactions:
        if event.type == COMPLAINT and event.occurred_at > patience:
            return False
        stops_here = event.type == UNSUBSCRIBE and event.channel in (None, channel)
        if stops_here and (agreed_at is None or event.occurred_at >= agreed_at):
            return False
    return True


def held_back_in(known: Known, policy: Policy, *, now: datetime) -> tuple[str, ...]:
    """Items that were met with `not_interested` lately."""
    since = now - timedelta(days=policy.feedback.not_interested_days)
    events = (e for e in known.interactions if e.type == NOT_INTERESTED and e.occurred_at > since)
    return tuple(dict.fromkeys(event.item_id for event in events if event.item_id))


def _as_history(strengths: dict[int, float]) -> History:
    return History(
        np.fromiter(strengths.keys(), dtype=np.int32, count=len(strengths)),
        np.fromiter(strengths.values(), dtype=np.float32, count=len(strengths)),
    )
