"""What the desks promise beyond their stores: slates end with a change, bundles stand in for the store."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemStatus
from recsvc.domain.records import Versioned
from recsvc.errors import PreconditionFailedError
from recsvc.serving.desks import CatalogueDesk, CustomerDesk
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.stores.memory import MemoryCatalogue, MemoryCustomers

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def test_a_customers_slates_are_outdated_after_the_record_is_stored_and_not_before() -> None:
    store = MemoryCustomers()
    seen: list[Versioned[Customer] | None] = []

    def outdate(customer_ids: Collection[str]) -> None:
        seen.extend(store.get(name) for name in customer_ids)

    desk = CustomerDesk(store, outdate=outdate, clock=lambda: NOW)
    written = desk.put(Customer("c1"), expected=None)
    assert seen == [Versioned(Customer("c1"), written.etag, NOW)]
    assert desk.get("c1") == seen[0]


def test_a_change_that_is_refused_outdates_nothing() -> None:
    outdated: list[str] = []
    desk = CustomerDesk(MemoryCustomers(), outdate=outdated.extend, clock=lambda: NOW)
    with pytest.raises(PreconditionFailedError):
        desk.put(Customer("c1"), expected="*")
    assert outdated == []


@pytest.fixture
def store() -> MemoryCatalogue:
    return MemoryCatalogue([Item("a")])


@pytest.fixture
def live(store: MemoryCatalogue, tmp_path: Path) -> LiveCatalogue:
    catalogue = LiveCatalogue(store, LiveBundles(Registry(tmp_path)))
    catalogue.refresh()
    return catalogue


def test_a_change_is_served_once_a_worker_has_looked_again(
    store: MemoryCatalogue, live: LiveCatalogue
) -> None:
    desk = CatalogueDesk(store, live)
    found = desk.get("a")
    assert found is not None
    assert desk.retire("a", expected=found.etag)
    assert desk.put_many([Item("b"), Item("c"), Item("c", category="saving")]) == 2
    live.refresh()
    assert sorted(live.view.items) == ["b", "c"]


def test_a_deleted_item_is_gone_for_this_worker_even_before_it_has_looked_again(
    store: MemoryCatalogue, live: LiveCatalogue
) -> None:
    desk = CatalogueDesk(store, live)
    assert desk.retire("a", expected="*")
    assert "a" in live.view.items
    assert desk.get("a") is None
    assert not desk.retire("a", expected="*")
    assert desk.put(Item("a"), expected=None).created


def test_an_item_that_is_served_and_not_stored_can_be_read_and_retired(live: LiveCatalogue) -> None:
    empty = MemoryCatalogue()
    desk = CatalogueDesk(empty, live)
    found = desk.get("a")
    assert found is not None and found.value == Item("a")
    assert desk.retire("a", expected=found.etag)
    assert empty.items() == (Item("a", status=ItemStatus.RETIRED),)
    assert desk.get("a") is None


def test_what_is_neither_served_nor_stored_is_not_there(live: LiveCatalogue) -> None:
    desk = CatalogueDesk(MemoryCatalogue(), live)
    assert desk.get("z") is None
    assert not desk.retire("z", expected=None)
