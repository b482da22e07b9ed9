"""What every directory of customers does."""

from __future__ import annotations

from datetime import UTC, datetime

from recsvc.domain.customers import Consents, Customer, Suitability
from recsvc.domain.items import Channel
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.memory import MemoryCustomers

Customers = MemoryCustomers | SqlCustomers

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
FULL_CUSTOMER = Customer(
    customer_id="9845d0e6f1c84ffb9845d0e6f1c84ffb",
    attributes={"city": "Zürich", "age": 44, "income": 1.5, "vip": True, "partner": None},
    locale="de-CH",
    consents=Consents(personalisation=True, marketing=(Channel.EMAIL, Channel.WEB)),
    suitability=Suitability("retail", 3, "some", "low", 10, datetime(2027, 1, 1, tzinfo=UTC)),
)


def test_nobody_is_known_at_first(customers: Customers) -> None:
    assert customers.find("c1") is None
    assert (customers.count(), list(customers.each())) == (0, [])


def test_a_customer_comes_out_as_they_went_in(customers: Customers) -> None:
    customers.put_many([FULL_CUSTOMER], now=NOW)
    assert customers.find(FULL_CUSTOMER.customer_id) == FULL_CUSTOMER


def test_what_nobody_asked_stays_unknown(customers: Customers) -> None:
    customers.put_many([Customer("c1")], now=NOW)
    found = customers.find("c1")
    assert found is not None
    assert (found.consents, found.suitability, found.locale) == (None, None, None)


def test_a_later_record_replaces_the_whole_earlier_one(customers: Customers) -> None:
    customers.put_many([Customer("c1", {"age": 1}, "en"), Customer("c2")], now=NOW)
    customers.put_many([Customer("c1", {"city": "Bern"})], now=NOW)
    assert customers.find("c1") == Customer("c1", {"city": "Bern"})
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
