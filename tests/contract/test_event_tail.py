"""What every event log tells whoever follows it, and what every store tells of erasures and consents."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.domain.customers import Consents, Customer
from recsvc.domain.interactions import Interaction, TailEvent
from recsvc.serving.protocols import ErasureTail, EventTail
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.event_rows import distinct_rows
from recsvc.stores.events import ORDER_LINE, SqlEvents
from recsvc.stores.memory import MemoryCustomers, MemoryEvents
from recsvc.stores.memory_erasures import MemoryErasures
from recsvc.stores.tables import events as events_table
from recsvc.stores.turns import writing_in_turn

Events = MemoryEvents | SqlEvents
Customers = MemoryCustomers | SqlCustomers
Erasures = MemoryErasures | SqlErasures

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def a_click(event_id: str, customer_id: str = "c1", *, minutes_ago: float = 0.0) -> Interaction:
    return Interaction(event_id, "click", customer_id, f"of-{event_id}", NOW - timedelta(minutes=minutes_ago))


def items_of(found: Sequence[TailEvent]) -> list[str | None]:
    return [event.item_id for event in found]


def erase(erasures: Erasures, customer_id: str, now: datetime = NOW) -> None:
    erasures.begin(customer_id, receipt_id="r", now=now, claimed_until=now, removed={})


def read_all(tail: EventTail, limit: int = 2) -> list[TailEvent]:
    """Everything, a few at a time."""
    read: list[TailEvent] = []
    while more := tail.after(read[-1].sequence if read else 0, limit):
        assert len(more) <= limit
        read += more
    return read


def test_an_empty_log_has_no_tail(tail: EventTail) -> None:
    assert (list(tail.after(0, 10)), tail.last_sequence(), tail.start_of_last(10, TYPES)) == ([], 0, 0)


def test_the_tail_says_what_counts_of_an_event(events: Events, tail: EventTail) -> None:
    survey = Interaction("s", "nps", "c2", None, NOW - timedelta(hours=2), score=9.0)
    events.append([survey], received_at=NOW)
    (found,) = tail.after(0, 10)
    assert found == TailEvent(found.sequence, "c2", None, "nps", NOW - timedelta(hours=2), NOW)
    assert tail.last_sequence() == found.sequence > 0


def test_events_come_in_the_order_in_which_they_were_stored(events: Events, tail: EventTail) -> None:
    for name, minutes_ago in (("d", 5), ("a", 9), ("c", 1), ("b", 7), ("e", 3)):
        events.append([a_click(name, minutes_ago=minutes_ago)], received_at=NOW)
    found = read_all(tail)
    assert items_of(found) == ["of-d", "of-a", "of-c", "of-b", "of-e"]
    assert [one.sequence for one in found] == sorted({one.sequence for one in found})


def test_events_of_one_batch_come_in_the_order_of_time(events: Events, tail: EventTail) -> None:
    batch = [a_click("a", minutes_ago=1), a_click("b", minutes_ago=3), a_click("c", minutes_ago=2)]
    events.append([*batch, a_click("d", minutes_ago=3)], received_at=NOW)
    assert items_of(read_all(tail)) == ["of-b", "of-d", "of-c", "of-a"]


def test_an_event_that_is_sent_again_is_not_told_again(events: Events, tail: EventTail) -> None:
    events.append([a_click("a"), a_click("b")], received_at=NOW)
    place = tail.last_sequence()
    events.append([a_click("a"), a_click("c")], received_at=NOW)
    assert items_of(tail.after(place, 10)) == ["of-c"]


TYPES = ("click", "view")


def test_the_last_events_begin_after_their_start(events: Events, tail: EventTail) -> None:
    for number in range(5):
        events.append([a_click(f"e{number}")], received_at=NOW)
    assert items_of(tail.after(tail.start_of_last(2, TYPES), 10)) == ["of-e3", "of-e4"]
    assert (tail.start_of_last(5, TYPES), tail.start_of_last(6, TYPES)) == (0, 0)
    assert tail.start_of_last(0, TYPES) == tail.last_sequence()
    place = tail.start_of_last(3, TYPES)
    assert [tail.start_of_last(n, TYPES, after=place) for n in (4, 3)] == [place, place]
    assert items_of(tail.after(tail.start_of_last(2, TYPES, after=place), 10)) == ["of-e3", "of-e4"]


def test_meetings_are_events_of_the_types_with_an_item(events: Events, tail: EventTail) -> None:
    for number, kind in enumerate(("view", "impression", "click", "impression", "nps")):
        item_id = None if kind == "nps" else f"i{number}"
        events.append([Interaction(f"e{number}", kind, "c1", item_id, NOW)], received_at=NOW)
    events.append([Interaction("bare", "view", "c1", None, NOW)], received_at=NOW)
    assert items_of(tail.meetings_after(0, 10, TYPES)) == ["i0", "i2"]
    assert items_of(tail.meetings_after(0, 1, TYPES)) == ["i0"]
    (first, second) = tail.meetings_after(0, 10, TYPES)
    assert items_of(tail.meetings_after(first.sequence, 10, TYPES)) == ["i2"]
    assert items_of(tail.meetings_after(0, 10, ("view",))) == ["i0"]
    assert list(tail.meetings_after(0, 10, ())) == []
    assert tail.start_of_last(1, TYPES) == first.sequence
    assert tail.meetings_after(0, 10, TYPES)[1] == tail.after(second.sequence - 1, 1)[0]


def test_the_place_of_an_erased_event_is_never_given_again(
    events: Events, erasures: Erasures, tail: EventTail
) -> None:
    events.append([a_click("a"), a_click("b", "c2")], received_at=NOW)
    place = max(event.sequence for event in read_all(tail))
    erase(erasures, "c1")
    erase(erasures, "c2")
    assert (read_all(tail), tail.last_sequence()) == ([], 0)
    events.append([a_click("z", "c3")], received_at=NOW)
    assert items_of(tail.after(place, 10)) == ["of-z"]


def test_the_last_events_are_counted_without_the_erased_ones(
    events: Events, erasures: Erasures, tail: EventTail
) -> None:
    for number in range(6):
        events.append([a_click(f"e{number}", f"c{number}")], received_at=NOW)
    erase(erasures, "c4")
    assert items_of(tail.after(tail.start_of_last(2, TYPES), 10)) == ["of-e3", "of-e5"]


def test_of_nobody_erased_nothing_is_told(erasure_tail: ErasureTail) -> None:
    assert (erasure_tail.last_erasure(), erasure_tail.erased_after(0)) == (0, None)


def test_erasures_are_told_after_their_place_and_by_customer(
    erasures: Erasures, erasure_tail: ErasureTail
) -> None:
    erase(erasures, "c1")
    place = erasure_tail.last_erasure()
    assert erasure_tail.erased_after(place) is None
    erase(erasures, "c2")
    erase(erasures, "c3")
    late = erasure_tail.erased_after(place)
    assert late is not None
    assert late.sequence == erasure_tail.last_erasure() > place
    assert set(late.among(["c1", "c2", "c4"])) == {"c2"}


def test_one_who_came_back_and_is_erased_again_is_told_again(
    customers: Customers, erasures: Erasures, erasure_tail: ErasureTail
) -> None:
    erase(erasures, "c1")
    erase(erasures, "c2")
    place = erasure_tail.last_erasure()
    customers.put(Customer("c1"), expected=None, now=NOW)
    erase(erasures, "c1", NOW + timedelta(days=1))
    late = erasure_tail.erased_after(place)
    assert late is not None and set(late.among(["c1", "c2"])) == {"c1"}


def test_consents_are_told_of_those_who_were_asked(customers: Customers) -> None:
    agreed, refused = Consents(personalisation=True), Consents(personalisation=False)
    customers.put_many(
        [Customer("yes", consents=agreed), Customer("no", consents=refused), Customer("unasked")], now=NOW
    )
    asked = ["yes", "no", "unasked", "unknown"]
    assert customers.personalisation_of(asked) == {"yes": True, "no": False}
    assert customers.personalisation_of([]) == {}


def test_changed_records_are_told_after_their_place(customers: Customers, erasures: Erasures) -> None:
    assert (customers.last_change(), customers.changed_after(0)) == (0, None)
    customers.put_many([Customer("c1"), Customer("c2")], now=NOW)
    customers.put_many([], now=NOW)
    place = customers.last_change()
    first = customers.changed_after(0)
    assert first is not None and first.customer_ids == {"c1", "c2"}
    assert first.sequence == place > 0
    assert customers.changed_after(place) is None
    customers.put(Customer("c2", locale="zh"), expected="*", now=NOW - timedelta(days=1))
    customers.put(Customer("c3"), expected=None, now=NOW)
    later = customers.changed_after(place)
    assert later is not None and later.customer_ids == {"c2", "c3"}
    erase(erasures, "c3")
    customers.put(Customer("c4"), expected=None, now=NOW)
    after_erasure = customers.changed_after(later.sequence)
    assert after_erasure is not None and after_erasure.customer_ids == {"c4"}


def test_nobody_is_numbered_while_another_is_being_stored(
    database: Database | None, events: Events, tail: EventTail
) -> None:
    if database is None:
        pytest.skip("memory stores one batch at a time")
    with ThreadPoolExecutor(1) as pool:
        with writing_in_turn(database, ORDER_LINE) as connection:
            database.insert_new(connection, events_table, distinct_rows([a_click("first")], NOW))
            storing = pool.submit(events.append, [a_click("second")], received_at=NOW)
            assert not wait([storing], timeout=0.3).done
            assert read_all(tail) == []
        storing.result()
    assert items_of(read_all(tail)) == ["of-first", "of-second"]
