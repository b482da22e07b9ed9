"""What the desks promise beyond their stores: slates end with a change, bundles stand in for the store."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.customers import Customer
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.offer_life import PutMany
from recsvc.domain.offer_terms import OfferTerms
from recsvc.domain.records import Versioned
from recsvc.errors import PreconditionFailedError
from recsvc.serving.desks import CatalogueDesk, CustomerDesk
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.offers.desk import OfferDesk
from recsvc.stores.memory import MemoryCatalogue, MemoryCustomers
from recsvc.stores.memory_offer_versions import MemoryOfferVersions

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


def desk_over(store: MemoryCatalogue, live: LiveCatalogue) -> CatalogueDesk:
    offers = OfferDesk(
        MemoryOfferVersions(store), standing=live.view.items.get, approval="required", clock=lambda: NOW
    )
    return CatalogueDesk(store, live, offers)


def test_a_change_is_served_once_a_worker_has_looked_again(
    store: MemoryCatalogue, live: LiveCatalogue
) -> None:
    desk = desk_over(store, live)
    found = desk.get("a")
    assert found is not None
    assert desk.retire("a", expected=found.etag, by="k1")
    many = desk.put_many([Item("b"), Item("c"), Item("c", category="saving")], by="k1")
    assert many == PutMany(2)
    live.refresh()
    assert sorted(live.view.items) == ["b", "c"]


def test_a_deleted_item_is_gone_for_this_worker_even_before_it_has_looked_again(
    store: MemoryCatalogue, live: LiveCatalogue
) -> None:
    desk = desk_over(store, live)
    assert desk.retire("a", expected="*", by="k1")
    assert "a" in live.view.items
    assert desk.get("a") is None
    assert not desk.retire("a", expected="*", by="k1")
    assert desk.put(Item("a"), expected=None, by="k1").written.created


def test_an_item_that_is_served_and_not_stored_can_be_read_and_retired(live: LiveCatalogue) -> None:
    empty = MemoryCatalogue()
    desk = desk_over(empty, live)
    found = desk.get("a")
    assert found is not None and found.value == Item("a")
    assert desk.retire("a", expected=found.etag, by="k1")
    assert empty.items() == (Item("a", status=ItemStatus.RETIRED),)
    assert desk.get("a") is None


def test_what_is_neither_served_nor_stored_is_not_there(live: LiveCatalogue) -> None:
    desk = desk_over(MemoryCatalogue(), live)
    assert desk.get("z") is None
    assert not desk.retire("z", expected=None, by="k1")


def test_an_offer_that_only_the_bundle_knows_gets_its_versions_when_it_is_changed(tmp_path: Path) -> None:
    fund = Item("o", ItemKind.OFFER, terms=OfferTerms(risk_class=3))
    live = LiveCatalogue(MemoryCatalogue([fund]), LiveBundles(Registry(tmp_path)))
    live.refresh()
    store = MemoryCatalogue()
    desk = desk_over(store, live)
    put = desk.put(replace(fund, terms=OfferTerms(risk_class=2)), expected="*", by="k1")
    assert (put.draft, store.items()) == (2, ())
    assert desk.get("o") == Versioned(fund, put.written.etag)
    assert desk.retire("o", expected="*", by="k1")
    assert [item.status for item in store.items()] == [ItemStatus.RETIRED]
    assert not desk.retire("o", expected="*", by="k1")
