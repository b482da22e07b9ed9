"""What every event log does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from msgspec.structs import replace

from recsvc.domain.interactions import Interaction, Known
from recsvc.domain.items import Channel
from recsvc.domain.records import Taken
from recsvc.errors import EventConflictError, StoreError
from recsvc.stores.events import SqlEvents
from recsvc.stores.memory import MemoryEvents

Events = MemoryEvents | SqlEvents

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FULL_EVENT = Interaction(
    event_id="e 1/ü雪",
    type="purchase",
    customer_id="-1",
    item_id="0123456789abcdef0123456789abcdef",
    occurred_at=datetime(2026, 1, 31, 8, 59, 59, 999_999, tzinfo=UTC),
    channel=Channel.CALL_CENTRE,
    slate_id="s_1",
    position=3,
    placement="home",
    value=Decimal("19.90"),
    currency="EUR",
    quantity=2,
    score=4.5,
    scale=5.0,
    properties={"shop": "Zürich", "n": 1, "share": 0.5, "gift": False, "note": None},
)


def a_click(event_id: str, customer_id: str = "c1", *, minutes_ago: float = 0.0) -> Interaction:
    return Interaction(event_id, "click", customer_id, "i1", NOW - timedelta(minutes=minutes_ago))


def known_after(events: Events, moment: datetime, limit: int) -> list[str]:
    """The ids of what customer c1 did after the moment, oldest first."""
    known = events.known("c1", occurred_after=moment, received_after=None, limit=limit)
    return [event.event_id for event in known.interactions]


def test_an_empty_log_has_no_latest_moment(events: Events) -> None:
    assert (events.count(), events.latest_at(), list(events.each())) == (0, None, [])
    assert known_after(events, NOW, 10) == []


def test_an_event_comes_out_as_it_went_in(events: Events) -> None:
    survey = Interaction("e2", "nps", "c1", None, NOW, score=9.0)
    events.append([FULL_EVENT, survey], received_at=NOW)
    assert list(events.each()) == [FULL_EVENT, survey]
    assert [str(event.value) for event in events.each()] == ["19.90", "None"]


def test_moments_come_out_in_utc(events: Events) -> None:
    in_china = replace(a_click("e1"), occurred_at=NOW.astimezone(timezone(timedelta(hours=8))))
    events.append([in_china], received_at=NOW)
    (found,) = events.each()
    assert (found.occurred_at, found.occurred_at.tzinfo) == (NOW, UTC)


def test_an_event_that_is_sent_twice_is_stored_once(events: Events) -> None:
    assert events.append([FULL_EVENT], received_at=NOW) == Taken(accepted=1, duplicates=0)
    again = replace(FULL_EVENT, properties=dict(reversed(list(FULL_EVENT.properties.items()))))
    assert events.append([again, a_click("e2")], received_at=NOW) == Taken(accepted=1, duplicates=1)
    assert events.count() == 2


def test_an_event_that_stands_twice_in_a_batch_is_stored_once(events: Events) -> None:
    batch = [a_click("e1"), a_click("e2"), a_click("e1")]
    assert events.append(batch, received_at=NOW) == Taken(accepted=2, duplicates=1)


def test_an_empty_batch_is_no_trouble(events: Events) -> None:
    assert events.append([], received_at=NOW) == Taken(accepted=0, duplicates=0)


@pytest.mark.parametrize(
    "other",
    [
        replace(FULL_EVENT, type="view"),
        replace(FULL_EVENT, customer_id="c2"),
        replace(FULL_EVENT, item_id=None),
        replace(FULL_EVENT, occurred_at=FULL_EVENT.occurred_at + MICROSECOND),
        replace(FULL_EVENT, channel=None),
        replace(FULL_EVENT, slate_id=None),
        replace(FULL_EVENT, position=4),
        replace(FULL_EVENT, placement="basket"),
        replace(FULL_EVENT, value=Decimal("19.91")),
        replace(FULL_EVENT, currency="USD"),
        replace(FULL_EVENT, quantity=None),
        replace(FULL_EVENT, score=4.0),
        replace(FULL_EVENT, scale=None),
        replace(FULL_EVENT, properties={}),
    ],
)
def test_an_id_with_another_body_is_a_conflict_and_nothing_is_stored(
    events: Events, other: Interaction
) -> None:
    events.append([FULL_EVENT], received_at=NOW)
    with pytest.raises(EventConflictError) as caught:
        events.append([a_click("a-new"), other, a_click("z-new")], received_at=NOW)
    assert caught.value.event_ids == (FULL_EVENT.event_id,)
    assert list(events.each()) == [FULL_EVENT]


def test_a_batch_that_contradicts_itself_is_a_conflict_and_nothing_is_stored(events: Events) -> None:
    with pytest.raises(EventConflictError):
        events.append([a_click("e0"), a_click("e1"), a_click("e1", "c2")], received_at=NOW)
    assert events.count() == 0


def test_a_conflict_in_the_last_of_many_undoes_them_all(events: Events) -> None:
    events.append([a_click("zzz")], received_at=NOW)
    batch = [a_click(f"e{number:05}") for number in range(12_000)] + [a_click("zzz", "c2")]
    with pytest.raises(EventConflictError):
        events.append(batch, received_at=NOW)
    assert events.count() == 1


def test_a_customers_latest_interactions_come_oldest_first(events: Events) -> None:
    events.append([a_click(f"e{age}", minutes_ago=age) for age in (3, 1, 4, 0, 2)], received_at=NOW)
    events.append([a_click("other", "c2")], received_at=NOW)
    assert known_after(events, NOW - timedelta(minutes=10), 3) == ["e2", "e1", "e0"]


def test_what_is_known_after_a_moment_leaves_out_the_moment_itself(events: Events) -> None:
    events.append([a_click("at"), replace(a_click("after"), occurred_at=NOW + MICROSECOND)], received_at=NOW)
    assert known_after(events, NOW, 10) == ["after"]


def test_nothing_is_known_within_a_limit_of_zero(events: Events) -> None:
    events.append([a_click("e1")], received_at=NOW)
    assert known_after(events, NOW - timedelta(days=1), 0) == []


def test_a_range_of_time_has_its_start_and_not_its_end(events: Events) -> None:
    events.append([a_click(f"e{age}", minutes_ago=age) for age in range(5)], received_at=NOW)
    found = events.each(NOW - timedelta(minutes=3), NOW - timedelta(minutes=1))
    assert [event.event_id for event in found] == ["e3", "e2"]
    assert [event.event_id for event in events.each(since=NOW)] == ["e0"]
    assert [event.event_id for event in events.each(until=NOW - timedelta(minutes=3))] == ["e4"]


def test_events_of_one_moment_come_by_id_byte_by_byte(events: Events) -> None:
    ids = ["b", "B", "a", "_", "-", "é", "Z", "10", "9"]
    events.append([a_click(event_id) for event_id in ids], received_at=NOW)
    assert [event.event_id for event in events.each()] == sorted(ids)
    assert known_after(events, NOW - MICROSECOND, 20) == sorted(ids)


def test_each_event_comes_once_over_several_pages_of_one_moment(events: Events) -> None:
    # More than two pages of the SQL store fall on three moments: a page must break within a moment.
    batch = [a_click(f"e{number}", f"c{number % 7}", minutes_ago=number % 3) for number in range(11_000)]
    events.append(batch, received_at=NOW)
    found = [(event.occurred_at, event.event_id) for event in events.each()]
    assert found == sorted((event.occurred_at, event.event_id) for event in batch)
    assert (events.count(), events.latest_at()) == (11_000, NOW)


def test_a_reader_may_stop_half_way_and_the_log_goes_on(events: Events) -> None:
    events.append([a_click(f"e{number}") for number in range(6_000)], received_at=NOW)
    reader = events.each()
    next(reader)
    events.append([a_click("new")], received_at=NOW)
    assert events.count() == 6_001


def test_moments_before_1970_keep_their_microseconds(events: Events) -> None:
    early = replace(a_click("e1"), occurred_at=datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC))
    events.append([early], received_at=NOW)
    assert list(events.each()) == [early]


@pytest.mark.parametrize(
    "broken", [replace(FULL_EVENT, event_id="\ud800"), replace(FULL_EVENT, properties={"note": "\ud800"})]
)
def test_a_text_that_is_no_unicode_is_refused_and_nothing_is_stored(
    events: Events, broken: Interaction
) -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        events.append([a_click("e1"), broken], received_at=NOW)
    assert events.count() == 0


def test_batches_that_overlap_are_stored_once_however_many_send_them(events: Events) -> None:
    def send(sender: int) -> Taken:
        batch = [a_click(f"e{number}") for number in range(sender * 500, sender * 500 + 2_000)]
        return events.append(batch if sender % 2 else batch[::-1], received_at=NOW)

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(send, range(12)))
    assert sum(outcome.accepted for outcome in outcomes) == events.count() == 11 * 500 + 2_000
    assert sum(outcome.duplicates for outcome in outcomes) == 12 * 2_000 - events.count()


def ids_of(known: Known) -> list[str]:
    return [event.event_id for event in known.interactions]


def received(event_id: str, *, occurred: float, received: float) -> tuple[Interaction, datetime]:
    """An event, and when it was received, both in hours after NOW."""
    event = replace(a_click(event_id), occurred_at=NOW + timedelta(hours=occurred))
    return event, NOW + timedelta(hours=received)


def test_of_a_stranger_nothing_is_known(events: Events) -> None:
    assert events.known("c1", occurred_after=None, received_after=None, limit=10) == Known()
    assert list(events.of_customer("c1")) == []
    assert events.delete_customer("c1") == 0


def test_without_moments_the_latest_of_all_are_known_oldest_first(events: Events) -> None:
    events.append([a_click(f"e{age}", minutes_ago=age) for age in (3, 1, 4, 0, 2)], received_at=NOW)
    events.append([a_click("other", "c2")], received_at=NOW)
    assert ids_of(events.known("c1", occurred_after=None, received_after=None, limit=3)) == ["e2", "e1", "e0"]


def test_what_is_known_comes_out_as_it_went_in(events: Events) -> None:
    events.append([FULL_EVENT], received_at=NOW)
    found = events.known(FULL_EVENT.customer_id, occurred_after=None, received_after=None, limit=3)
    assert found.interactions == (FULL_EVENT,)


@pytest.mark.parametrize("hours", [0.0, 0.5, 1.0, 30.0])
def test_an_event_that_came_in_late_is_known_and_named_late(events: Events, hours: float) -> None:
    # Training read what had occurred by NOW, some hours later; the index of late events begins at one hour.
    for event, received_at in (
        received("trained", occurred=-1.0, received=hours),
        received("late", occurred=-0.5, received=hours + 0.1),
        received("very-late", occurred=-100.0, received=hours + 0.1),
        received("at-the-end", occurred=0.0, received=hours + 0.1),
        received("recent", occurred=hours + 0.2, received=hours + 0.3),
    ):
        events.append([event], received_at=received_at)
    known = events.known("c1", occurred_after=NOW, received_after=NOW + timedelta(hours=hours), limit=10)
    assert ids_of(known) == ["very-late", "late", "at-the-end", "recent"]
    assert known.late_ids == {"very-late", "late", "at-the-end"}


def test_a_moment_that_is_not_given_does_not_count(events: Events) -> None:
    for event, received_at in (
        received("old", occurred=-2, received=-2),
        received("late", occurred=-1, received=1),
        received("recent", occurred=1, received=-1),
    ):
        events.append([event], received_at=received_at)
    by_time = events.known("c1", occurred_after=NOW, received_after=None, limit=10)
    by_receipt = events.known("c1", occurred_after=None, received_after=NOW, limit=10)
    assert (ids_of(by_time), by_time.late_ids) == (["recent"], frozenset())
    assert ids_of(by_receipt) == ["late"]


def test_late_events_only_fill_up_what_recent_ones_leave(events: Events) -> None:
    for number in range(4):
        event, received_at = received(f"late{number}", occurred=-9 + number, received=1)
        events.append([event], received_at=received_at)
    events.append([replace(a_click("recent"), occurred_at=NOW + MICROSECOND)], received_at=NOW)
    known = events.known("c1", occurred_after=NOW, received_after=NOW, limit=3)
    assert ids_of(known) == ["late2", "late3", "recent"]
    assert known.late_ids == {"late2", "late3"}


@pytest.mark.parametrize("word", ["complaint", "survey_of_our_own"])
def test_events_of_the_types_that_always_count_are_known_however_old(events: Events, word: str) -> None:
    old = replace(a_click("old"), type=word, occurred_at=NOW - timedelta(days=900))
    other = replace(a_click("other", "c2"), type=word)
    events.append([old, other, *(a_click(f"e{age}", minutes_ago=age) for age in range(5))], received_at=NOW)
    hour_ago = NOW - timedelta(hours=1)
    known = events.known(
        "c1", occurred_after=hour_ago, received_after=NOW, limit=2, always=(word, "unsubscribe")
    )
    assert ids_of(known) == ["old", "e1", "e0"]
    assert known.late_ids == frozenset()
    nothing_else = events.known("c1", occurred_after=NOW, received_after=NOW, limit=0, always={word})
    assert ids_of(nothing_else) == ["old"]


def test_an_event_that_is_wanted_twice_is_known_once(events: Events) -> None:
    events.append([replace(a_click("e1"), type="dismiss"), a_click("e2")], received_at=NOW)
    known = events.known(
        "c1", occurred_after=None, received_after=None, limit=9, always=["dismiss", "dismiss"]
    )
    assert ids_of(known) == ["e1", "e2"]


def test_everything_of_a_customer_comes_by_time_over_several_pages(events: Events) -> None:
    batch = [a_click(f"e{number}", minutes_ago=number % 3) for number in range(6_000)]
    events.append([*batch, a_click("other", "c2")], received_at=NOW)
    found = [(event.occurred_at, event.event_id) for event in events.of_customer("c1")]
    assert found == sorted((event.occurred_at, event.event_id) for event in batch)


def test_a_deleted_customer_leaves_nothing_and_the_others_stay(events: Events) -> None:
    events.append([a_click("e1"), a_click("e2"), a_click("e3", "c2")], received_at=NOW)
    assert events.delete_customer("c1") == 2
    assert list(events.of_customer("c1")) == []
    assert events.known("c1", occurred_after=None, received_after=None, limit=9) == Known()
    assert [event.event_id for event in events.each()] == ["e3"]
    assert (events.count(), events.delete_customer("c1")) == (1, 0)


def test_an_id_of_a_deleted_customer_is_free_again(events: Events) -> None:
    events.append([a_click("e1")], received_at=NOW)
    events.delete_customer("c1")
    assert events.append([a_click("e1", "c2")], received_at=NOW) == Taken(accepted=1, duplicates=0)


def test_a_nul_in_an_id_is_refused_on_every_backend(events: Events) -> None:
    with pytest.raises(StoreError, match="NUL"):
        events.append([a_click("e\0")], received_at=NOW)
    harmless = replace(a_click("e\\u0000"), properties={"note": "\0"})
    assert events.append([harmless], received_at=NOW).accepted == 1
    assert list(events.each()) == [harmless]
