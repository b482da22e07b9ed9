"""What every catalogue does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from recsvc.domain.items import Channel, Disclosure, Item, ItemKind, ItemStatus, OfferTerms
from recsvc.stores.catalogue import SqlCatalogue
from recsvc.stores.memory import MemoryCatalogue

Catalogue = MemoryCatalogue | SqlCatalogue

EVERYTHING_OFFER = Item(
    item_id="-9223372036854775808",
    kind=ItemKind.OFFER,
    title={"en": "A card", "zh": "一张卡"},
    summary={"en": "With a \"quote\", a 'tick' and a \\ backslash"},
    category="cards",
    tags=("new", "travel"),
    url="https://bank.example/card?a=1&b=2",
    published_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=8))),
    valid_from=datetime(2026, 1, 2, tzinfo=UTC),
    valid_to=datetime(2026, 12, 31, tzinfo=UTC),
    channels=(Channel.WEB, Channel.CALL_CENTRE),
    status=ItemStatus.PAUSED,
    attributes={"rate": 0.1, "count": 3, "new": True, "note": None, "text": "雪"},
    terms=OfferTerms(
        value=Decimal("12.50"),
        currency="CHF",
        priority=3,
        weight=0.5,
        risk_class=4,
        jurisdictions=("CH",),
        exclusive_group="cards",
        disclosures=(Disclosure("d1", 2, {"en": "You may lose money."}),),
    ),
)


def test_an_empty_catalogue_has_revision_zero_and_no_items(catalogue: Catalogue) -> None:
    assert (catalogue.revision(), catalogue.items(), catalogue.find("a")) == (0, (), None)


def test_an_item_comes_out_as_it_went_in(catalogue: Catalogue) -> None:
    catalogue.put_many([EVERYTHING_OFFER])
    assert catalogue.find(EVERYTHING_OFFER.item_id) == EVERYTHING_OFFER
    assert catalogue.items() == (EVERYTHING_OFFER,)


def test_items_come_in_the_order_of_their_ids_byte_by_byte(catalogue: Catalogue) -> None:
    ids = ["b", "B", "a", "A", "_", "-1", "10", "9", "a.b", "a:b"]
    catalogue.put_many([Item(item_id) for item_id in ids])
    assert [item.item_id for item in catalogue.items()] == sorted(ids)


def test_putting_many_items_moves_the_revision_once(catalogue: Catalogue) -> None:
    assert catalogue.put_many([Item("a"), Item("b")]) == 1
    assert catalogue.put_many([Item("c")]) == 2
    assert catalogue.revision() == 2


def test_putting_nothing_does_not_move_the_revision(catalogue: Catalogue) -> None:
    catalogue.put_many([Item("a")])
    assert catalogue.put_many([]) == catalogue.revision() == 1


def test_a_later_put_replaces_the_item_and_leaves_the_others(catalogue: Catalogue) -> None:
    catalogue.put_many([Item("a", title={"en": "old"}), Item("b")])
    catalogue.put_many([Item("a", title={"en": "new"})])
    assert catalogue.items() == (Item("a", title={"en": "new"}), Item("b"))


def test_of_two_items_with_one_id_the_later_holds(catalogue: Catalogue) -> None:
    assert catalogue.put_many([Item("a", category="old"), Item("a", category="new")]) == 1
    assert catalogue.items() == (Item("a", category="new"),)


def test_a_retired_item_stays_in_the_catalogue_with_its_status(catalogue: Catalogue) -> None:
    catalogue.put_many([Item("a", category="saving"), Item("b")])
    assert catalogue.retire("a", expected="*")
    assert catalogue.items() == (Item("a", category="saving", status=ItemStatus.RETIRED), Item("b"))
    assert catalogue.revision() == 2


def test_retiring_an_item_again_changes_nothing(catalogue: Catalogue) -> None:
    catalogue.put_many([Item("a")])
    assert catalogue.retire("a", expected="*")
    assert not catalogue.retire("a", expected="*")
    assert catalogue.revision() == 2


def test_an_unknown_item_cannot_be_retired(catalogue: Catalogue) -> None:
    assert not catalogue.retire("nobody", expected="*")
    assert catalogue.revision() == 0


def test_changes_by_several_threads_each_move_the_revision(catalogue: Catalogue) -> None:
    def change(number: int) -> None:
        catalogue.put_many([Item(f"item-{number}"), Item("shared")])
        catalogue.retire(f"item-{number}", expected="*")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(12)))
    assert catalogue.revision() == 24
    assert [item.item_id for item in catalogue.items() if item.status is ItemStatus.LIVE] == ["shared"]
