"""What every store of erasures does."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.domain.customers import Customer
from recsvc.domain.interactions import Interaction
from recsvc.domain.moments import to_micros
from recsvc.domain.records import ErasureReceipt, PendingErasure
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database
from recsvc.stores.erasures import SqlErasures
from recsvc.stores.event_rows import to_row
from recsvc.stores.events import SqlEvents
from recsvc.stores.memory import MemoryCustomers, MemoryEvents
from recsvc.stores.memory_erasures import MemoryErasures
from recsvc.stores.tables import events as events_table
from recsvc.stores.tombstones import SqlTombstones

Customers = MemoryCustomers | SqlCustomers
Erasures = MemoryErasures | SqlErasures
Events = MemoryEvents | SqlEvents

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def a_click(event_id: str, customer_id: str, occurred_at: datetime) -> Interaction:
    return Interaction(event_id, "click", customer_id, "i1", occurred_at)


def begin(
    erasures: Erasures,
    customer_id: str = "c1",
    *,
    now: datetime = NOW,
    removed: Mapping[str, int] | None = None,
) -> PendingErasure:
    return erasures.begin(
        customer_id, receipt_id=f"at {now}", now=now, claimed_until=now + MINUTE, removed=removed or {}
    )


@pytest.fixture
def held(customers: Customers, events: Events) -> None:
    """Two customers with a record and three events each."""
    for name in ("c1", "c2"):
        customers.put(Customer(name), expected=None, now=NOW - MINUTE)
        clicks = [a_click(f"{name}-{number}", name, NOW - number * MINUTE) for number in range(3)]
        events.append(clicks, received_at=NOW)


def test_an_erasure_removes_what_is_held_of_the_customer_and_of_nobody_else(
    held: None, erasures: Erasures, customers: Customers, events: Events
) -> None:
    pending = begin(erasures, removed={"bundles": 1})
    assert erasures.receipt(pending.digest).removed == {
        "events": 3,
        "customer": 1,
        "exposures": 0,
        "identities": 0,
        "decisions": 0,
        "slates": 0,
        "rejects": 0,
        "bundles": 1,
    }
    assert customers.get("c1") is None
    assert list(events.of_customer("c1")) == []
    assert customers.get("c2") is not None
    assert len(list(events.of_customer("c2"))) == 3


def test_the_tombstone_says_when_and_for_whom(held: None, erasures: Erasures, customers: Customers) -> None:
    begin(erasures)
    assert customers.erased_at("c1") == NOW
    assert customers.erased_at("c2") is None
    assert customers.erased_among(["c0", "c1", "c2"]) == {"c1": NOW}
    assert customers.erased_among(str(number) for number in range(21_000)) == {}


def test_the_receipt_names_nobody(held: None, erasures: Erasures) -> None:
    pending = begin(erasures)
    assert "c1" not in repr(erasures.receipt(pending.digest))
    assert b"c1" not in pending.digest


def test_of_a_stranger_the_receipt_has_the_same_shape(held: None, erasures: Erasures) -> None:
    known, stranger = (erasures.receipt(begin(erasures, name).digest) for name in ("c1", "nobody"))
    assert set(stranger.removed) == set(known.removed)
    assert set(stranger.removed.values()) == {0}


def test_erasing_twice_is_the_same_receipt_and_moment(
    held: None, erasures: Erasures, customers: Customers
) -> None:
    first = erasures.receipt(begin(erasures).digest)
    assert erasures.receipt(begin(erasures, now=NOW + MINUTE).digest) == first
    assert customers.erased_at("c1") == NOW


def test_a_finished_receipt_stays_as_it_is(held: None, erasures: Erasures) -> None:
    pending = begin(erasures)
    erasures.finish(pending.digest, NOW + MINUTE)
    finished = erasures.receipt(pending.digest)
    assert finished.checked_at == NOW + MINUTE
    begin(erasures, now=NOW + 2 * MINUTE)
    erasures.count(pending.digest, {"slates": 5})
    erasures.finish(pending.digest, NOW + 3 * MINUTE)
    assert erasures.receipt(pending.digest) == finished


def test_who_comes_back_can_be_erased_again(
    held: None, erasures: Erasures, customers: Customers, events: Events
) -> None:
    begin(erasures)
    events.append([a_click("new", "c1", NOW + MINUTE)], received_at=NOW + MINUTE)
    assert [event.event_id for event in events.of_customer("c1")] == ["new"]
    again = erasures.receipt(begin(erasures, now=NOW + 2 * MINUTE).digest)
    assert (again.requested_at, again.removed["events"]) == (NOW + 2 * MINUTE, 1)
    assert customers.erased_at("c1") == NOW + 2 * MINUTE


def test_an_event_from_before_the_erasure_that_comes_after_it_is_not_kept(
    held: None, erasures: Erasures, events: Events
) -> None:
    begin(erasures)
    late = [
        a_click("late", "c1", NOW - MINUTE),
        a_click("at", "c1", NOW),
        a_click("other", "c2", NOW - MINUTE),
    ]
    assert events.append(late, received_at=NOW + MINUTE).accepted == 3
    assert list(events.of_customer("c1")) == []
    assert "other" in {event.event_id for event in events.of_customer("c2")}


def test_what_was_removed_elsewhere_is_added_to_the_receipt(held: None, erasures: Erasures) -> None:
    pending = begin(erasures)
    erasures.count(pending.digest, {"slates": 2})
    erasures.count(pending.digest, {"slates": 1, "rejects": 4})
    removed = erasures.receipt(pending.digest).removed
    assert (removed["slates"], removed["rejects"], removed["events"]) == (3, 4, 3)


def test_an_unfinished_erasure_can_be_taken_over_once_its_claim_is_over(
    held: None, erasures: Erasures
) -> None:
    pending = begin(erasures)
    assert erasures.claim(NOW, NOW + MINUTE) == ()
    assert erasures.claim(NOW + MINUTE, NOW + 2 * MINUTE) == (pending,)
    assert erasures.claim(NOW + MINUTE, NOW + 2 * MINUTE) == ()
    assert erasures.claim(NOW + MINUTE, NOW + 3 * MINUTE, also_claimed=True) == (pending,)


def test_an_erasure_that_is_released_can_be_taken_over_at_once(held: None, erasures: Erasures) -> None:
    pending = begin(erasures)
    erasures.release(pending.digest, NOW)
    assert erasures.claim(NOW, NOW + MINUTE) == (pending,)


def test_a_finished_erasure_is_pending_no_more(held: None, erasures: Erasures) -> None:
    erasures.finish(begin(erasures).digest, NOW)
    assert erasures.claim(NOW + MINUTE, NOW + 2 * MINUTE, also_claimed=True) == ()


def test_once_the_name_is_dropped_only_the_digest_tells_who_is_meant(held: None, erasures: Erasures) -> None:
    pending = begin(erasures)
    erasures.drop_name(pending.digest)
    assert erasures.compact(pending, unhurried=True)
    (kept,) = erasures.claim(NOW + MINUTE, NOW + 2 * MINUTE)
    assert kept == PendingErasure(pending.digest, None, compacted=True)
    is_meant = erasures.meant_by(pending.digest)
    assert [name for name in ("c1", "c2", "c11", "nobody") if is_meant(name)] == ["c1"]


def test_of_several_who_erase_one_customer_at_once_none_stands_in_anothers_way(erasures: Erasures) -> None:
    def erase(_: int) -> None:
        pending = begin(erasures)
        erasures.count(pending.digest, {"slates": 1})
        erasures.finish(pending.digest, NOW)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(erase, range(16))) == [None] * 16


def test_of_several_who_erase_one_customer_at_once_all_hold_one_receipt(
    erasures: Erasures, events: Events
) -> None:
    names = [f"customer-{number}" for number in range(10)]
    events.append([a_click(f"of-{name}", name, NOW - MINUTE) for name in names], received_at=NOW)

    def erase(name: str, number: int) -> ErasureReceipt:
        return erasures.receipt(begin(erasures, name, now=NOW + number * MINUTE).digest)

    for name in names:
        with ThreadPoolExecutor(6) as pool:
            receipts = list(pool.map(erase, [name] * 6, range(6)))
        assert all(receipt == receipts[0] for receipt in receipts)
        assert receipts[0].removed["events"] == 1


def test_events_that_are_stored_while_the_customer_is_erased_do_not_outlive_it(
    erasures: Erasures, events: Events
) -> None:
    def send(number: int) -> None:
        events.append([a_click(f"e{number}-{n}", "c1", NOW - MINUTE) for n in range(50)], received_at=NOW)

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, number) for number in range(20)]
        begin(erasures)
        for one in sent:
            one.result()
    assert list(events.of_customer("c1")) == []


def test_an_erasure_waits_for_events_that_are_just_being_stored_and_takes_them_too(
    database: Database | None, erasures: Erasures, events: Events
) -> None:
    if database is None:
        pytest.skip("memory stores one batch at a time")
    begin(erasures, "somebody")
    row = to_row(a_click("e1", "c1", NOW - MINUTE), to_micros(NOW))
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as connection:
            assert SqlTombstones(database).leave_out(connection, [row]) == [row]
            erasing = pool.submit(begin, erasures)
            assert not wait([erasing], timeout=0.3).done
            database.insert_new(connection, events_table, [row])
        erasing.result()
    assert list(events.of_customer("c1")) == []
