"""What a customer asked us to stop. In: the events that say so. Out: what may still be shown, and where."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from recsvc.domain.interactions import COMPLAINT, NOT_INTERESTED, UNSUBSCRIBE, Known
from recsvc.domain.items import Channel, Item
from recsvc.policy import Policy


class Refusal(NamedTuple):
    """A customer's no to an item: its type, and when it came; None where only the model remembers it."""

    type: str
    at: datetime | None


def refusals_of(
    suppressed: Collection[str], known: Known, policy: Policy
) -> Mapping[str, tuple[Refusal, ...]]:
    """By item, the last no where that was the last word on it, and the last complaint about it."""
    rules = policy.interaction_types
    said: dict[tuple[str, bool], Refusal] = {}
    for event in known.interactions:
        if event.item_id is None or event.type not in rules:
            continue
        is_complaint = event.type == COMPLAINT
        is_no = event.item_id in suppressed and rules[event.type].strength < 0
        if is_complaint or is_no:
            said[event.item_id, is_complaint] = Refusal(event.type, event.occurred_at)
    for item_id in suppressed:
        said.setdefault((item_id, False), Refusal("reject", None))
    found: dict[str, tuple[Refusal, ...]] = {}
    for (item_id, _), refusal in said.items():
        found[item_id] = (*found.get(item_id, ()), refusal)
    return found


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


def held_back_categories(
    known: Known, items: Mapping[str, Item], policy: Policy, *, now: datetime
) -> frozenset[str]:
    """The categories of items that were met with `not_interested` lately."""
    since = now - timedelta(days=policy.feedback.not_interested_days)
    met = (e.item_id for e in known.interactions if e.type == NOT_INTERESTED and e.occurred_at > since)
    categories = (items[item_id].category for item_id in met if item_id is not None and item_id in items)
    return frozenset(category for category in categories if category)
