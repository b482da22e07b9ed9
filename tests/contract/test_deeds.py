"""What a customer did, as far as it counts for propensities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from recsvc.domain.interactions import Deed, Interaction
from recsvc.domain.items import Channel
from recsvc.stores.events import SqlEvents
from recsvc.stores.memory import MemoryEvents

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
Events = MemoryEvents | SqlEvents


def test_deeds_are_the_latest_of_their_types_oldest_first(events: Events) -> None:
    events.append(
        [
            Interaction("e1", "impression", "c1", "o1", NOW),
            Interaction(
                "e2", "impression", "c1", "o2", NOW + timedelta(minutes=2), Channel.EMAIL, position=3
            ),
            Interaction(
                "e3",
                "transaction",
                "c1",
                None,
                NOW + timedelta(minutes=1),
                value=Decimal("10.50"),
                currency="EUR",
                properties={"shop": "\u20ac 5"},
            ),
            Interaction("e4", "click", "c1", "o2", NOW + timedelta(minutes=3), properties={"value": 7}),
            Interaction("e5", "impression", "c2", "o2", NOW + timedelta(minutes=3)),
        ],
        received_at=NOW + timedelta(hours=1),
    )
    first = Deed("impression", "o1", NOW, None, None)
    bought = Deed("transaction", None, NOW + timedelta(minutes=1), None, Decimal("10.50"))
    second = Deed("impression", "o2", NOW + timedelta(minutes=2), Channel.EMAIL, None)
    clicked = Deed("click", "o2", NOW + timedelta(minutes=3), None, None)
    types = {"impression", "transaction"}
    assert list(events.deeds("c1", types, limit=9)) == [first, bought, second]
    assert list(events.deeds("c1", types, limit=2)) == [bought, second]
    assert list(events.deeds("c1", {"click"}, limit=2)) == [clicked]
    assert list(events.deeds("c3", types, limit=2)) == []


def test_of_events_at_one_moment_the_higher_id_is_the_later_one(events: Events) -> None:
    shown = [Interaction(f"e{n}", "impression", "c1", f"o{n}", NOW) for n in (2, 1, 3)]
    events.append(shown, received_at=NOW)
    assert [one.item_id for one in events.deeds("c1", {"impression"}, limit=2)] == ["o2", "o3"]
