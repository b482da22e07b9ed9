"""What is known of a customer leaves out the events of types that are ignored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recsvc.domain.interactions import Interaction, Known
from recsvc.stores.events import SqlEvents
from recsvc.stores.memory import MemoryEvents

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
Events = MemoryEvents | SqlEvents


def an_event(event_id: str, type: str, minutes: float) -> Interaction:
    return Interaction(event_id, type, "c1", "a1", NOW + timedelta(minutes=minutes))


def ids_of(known: Known) -> list[str]:
    return [one.event_id for one in known.interactions]


def test_ignored_events_push_nothing_out(events: Events) -> None:
    shown = [an_event(f"shown{n}", "impression", n) for n in range(1, 9)]
    events.append([an_event("click", "click", 0.5), *shown], received_at=NOW + timedelta(hours=1))
    for received_after in (None, NOW):
        wanted = {"occurred_after": NOW, "received_after": received_after, "limit": 2}
        assert ids_of(events.known("c1", **wanted)) == ["shown7", "shown8"]
        assert ids_of(events.known("c1", **wanted, ignoring=["impression"])) == ["click"]


@pytest.mark.parametrize("days", [0.5, 3])
def test_ignored_events_that_come_late_are_ignored_too(events: Events, days: float) -> None:
    late = [an_event("click", "click", -days * 1440), an_event("shown", "impression", -days * 1440)]
    events.append(late, received_at=NOW + timedelta(minutes=1))
    known = events.known("c1", occurred_after=NOW, received_after=NOW, limit=9, ignoring={"impression"})
    assert ids_of(known) == ["click"] and known.late_ids == {"click"}


def test_a_type_that_always_counts_counts_though_it_is_ignored(events: Events) -> None:
    events.append([an_event("e1", "complaint", -90), an_event("e2", "complaint", 1)], received_at=NOW)
    known = events.known(
        "c1", occurred_after=NOW, received_after=None, limit=9, always=["complaint"], ignoring=["complaint"]
    )
    assert ids_of(known) == ["e1", "e2"]
