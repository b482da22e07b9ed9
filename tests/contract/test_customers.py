"""What every directory of customers does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.items import Channel
from recsvc.domain.records import Versioned, Written
from recsvc.errors import PreconditionFailedError, PreconditionRequiredError
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.memory import MemoryCustomers

Customers = MemoryCustomers | SqlCustomers

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
FULL_CUSTOMER = Customer(
    customer_id="9845d0e6f1c84ffb9845d0e6f1c84ffb",
    attributes={"city": "Zürich", "age": 44, "income": 1.5, "vip": True, "partner": None},
    locale="de-CH",
    consents=Consents(personalisation=True, marketing=(Channel.EMAIL, Channel.WEB)),
    suitability=Suitability("retail", 3, "some", "low", ("growth",), 10, datetime(2027, 1, 1, tzinfo=UTC)),
)


def record_of(customers: Customers, customer_id: str) -> Customer | None:
    kept = customers.get(customer_id)
    return kept.value if kept else None


def test_nobody_is_known_at_first(customers: Customers) -> None:
    assert record_of(customers, "c1") is None
    assert (customers.count(), list(customers.each())) == (0, [])


def test_a_customer_comes_out_as_they_went_in(customers: Customers) -> None:
    customers.put_many([FULL_CUSTOMER], now=NOW)
    assert record_of(customers, FULL_CUSTOMER.customer_id) == FULL_CUSTOMER


def test_what_nobody_asked_stays_unknown(customers: Customers) -> None:
    customers.put_many([Customer("c1")], now=NOW)
    found = record_of(customers, "c1")
    assert found is not None
    assert (found.consents, found.suitability, found.locale) == (None, None, None)


def test_a_later_record_replaces_the_whole_earlier_one(customers: Customers) -> None:
    customers.put_many([Customer("c1", {"age": 1}, "en"), Customer("c2")], now=NOW)
    customers.put_many([Customer("c1", {"city": "Bern"})], now=NOW)
    assert record_of(customers, "c1") == Customer("c1", {"city": "Bern"})
    assert customers.count() == 2


def test_of_two_records_with_one_id_the_later_holds(customers: Customers) -> None:
    customers.put_many([Customer("c1", locale="en"), Customer("c1", locale="zh")], now=NOW)
    assert list(customers.each()) == [Customer("c1", locale="zh")]


def test_putting_nobody_changes_nothing(customers: Customers) -> None:
    customers.put_many([], now=NOW)
    assert customers.count() == 0


def test_each_customer_comes_once_by_id_over_several_pages(customers: Customers) -> None:
    # A signed id sorts before "0", and more than two pages of the SQL store must join without a gap.
    many = [Customer(str(number)) for number in range(-6_000, 5_000)]
    customers.put_many(many, now=NOW)
    assert [customer.customer_id for customer in customers.each()] == sorted(c.customer_id for c in many)
    assert customers.count() == 11_000


def test_the_first_put_creates_a_record_with_a_version_and_a_moment(customers: Customers) -> None:
    written = customers.put(FULL_CUSTOMER, expected=None, now=NOW)
    assert written.created
    assert customers.get(FULL_CUSTOMER.customer_id) == Versioned(FULL_CUSTOMER, written.etag, NOW)


def test_of_nobody_there_is_no_version(customers: Customers) -> None:
    assert customers.get("c1") is None


def test_a_put_over_the_expected_version_replaces_it(customers: Customers) -> None:
    first = customers.put(Customer("c1", locale="en"), expected=None, now=NOW)
    later = NOW + timedelta(seconds=1)
    second = customers.put(Customer("c1", locale="zh"), expected=first.etag, now=later)
    assert not second.created
    assert second.etag != first.etag
    assert customers.get("c1") == Versioned(Customer("c1", locale="zh"), second.etag, later)


def test_the_same_record_has_the_same_etag_and_any_difference_changes_it(customers: Customers) -> None:
    first = customers.put(Customer("c1", {"a": 1, "b": 2}), expected=None, now=NOW)
    assert customers.put(Customer("c1", {"b": 2, "a": 1}), expected="*", now=NOW) == Written(
        first.etag, False
    )
    assert customers.put(Customer("c1", {"a": 1, "b": 3}), expected="*", now=NOW).etag != first.etag


def test_a_record_that_exists_is_not_replaced_by_who_expects_none(customers: Customers) -> None:
    customers.put(Customer("c1", locale="en"), expected=None, now=NOW)
    with pytest.raises(PreconditionRequiredError):
        customers.put(Customer("c1", locale="zh"), expected=None, now=NOW)
    assert record_of(customers, "c1") == Customer("c1", locale="en")


def test_a_record_that_changed_meanwhile_is_not_replaced(customers: Customers) -> None:
    first = customers.put(Customer("c1", locale="en"), expected=None, now=NOW)
    customers.put(Customer("c1", locale="zh"), expected=first.etag, now=NOW)
    for expected in (first.etag, "", "nonsense", f'"{first.etag}"'):
        with pytest.raises(PreconditionFailedError):
            customers.put(Customer("c1", locale="fr"), expected=expected, now=NOW)
    assert record_of(customers, "c1") == Customer("c1", locale="zh")


@pytest.mark.parametrize("expected", ["*", "0123456789abcdef01234567"])
def test_a_record_that_is_not_there_cannot_be_replaced(customers: Customers, expected: str) -> None:
    with pytest.raises(PreconditionFailedError):
        customers.put(Customer("c1"), expected=expected, now=NOW)
    assert customers.get("c1") is None


def test_any_version_is_replaced_by_who_expects_any(customers: Customers) -> None:
    customers.put_many([Customer("c1", locale="en")], now=NOW)
    assert not customers.put(Customer("c1", locale="zh"), expected="*", now=NOW).created
    assert record_of(customers, "c1") == Customer("c1", locale="zh")


def test_of_several_who_create_one_record_at_once_one_does(customers: Customers) -> None:
    for number in range(10):
        assert race(customers, f"c{number}", None) == 1


def test_of_several_who_replace_one_version_at_once_one_does(customers: Customers) -> None:
    for number in range(10):
        first = customers.put(Customer(f"c{number}"), expected=None, now=NOW)
        assert race(customers, f"c{number}", first.etag) == 1


def race(customers: Customers, customer_id: str, expected: str | None) -> int:
    """How many of eight writers who expect the same get through."""

    def put(number: int) -> bool:
        try:
            customers.put(Customer(customer_id, {"number": number}), expected=expected, now=NOW)
        except (PreconditionRequiredError, PreconditionFailedError):
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(put, range(8)))


def test_nobody_was_erased_at_first(customers: Customers) -> None:
    assert customers.erased_at("c1") is None
    assert customers.erased_among(["c1", "c2"]) == {}
