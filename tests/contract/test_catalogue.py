"""What every catalogue does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from recsvc.domain.items import Channel, Item, ItemKind, ItemStatus
from recsvc.domain.offer_terms import Disclosure, OfferTerms
from recsvc.errors import PreconditionFailedError, PreconditionRequiredError
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
    assert (catalogue.revision(), catalogue.items(), catalogue.get("a")) == (0, (), None)


def test_an_item_comes_out_as_it_went_in(catalogue: Catalogue) -> None:
    catalogue.put_many([EVERYTHING_OFFER])
    found = catalogue.get(EVERYTHING_OFFER.item_id)
    assert found and found.value == EVERYTHING_OFFER
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


def test_what_was_written_after_a_revision_is_told_by_id(catalogue: Catalogue) -> None:
    catalogue.put_many([Item("a"), Item("b"), Item("c")])
    before = catalogue.revision()
    assert catalogue.changed_after(0) == catalogue.items()
    assert catalogue.changed_after(before) == ()
    catalogue.put_many([Item("c", category="saving")])
    between = catalogue.revision()
    catalogue.put(Item("aa"), expected=None)
    assert catalogue.retire("b", expected="*")
    gone = Item("b", status=ItemStatus.RETIRED)
    assert catalogue.changed_after(before) == (Item("aa"), gone, Item("c", category="saving"))
    assert catalogue.changed_after(between) == (Item("aa"), gone)


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


def test_the_first_put_creates_an_item_with_a_version(catalogue: Catalogue) -> None:
    written = catalogue.put(EVERYTHING_OFFER, expected=None)
    found = catalogue.get(EVERYTHING_OFFER.item_id)
    assert written.created
    assert found is not None
    assert (found.value, found.etag) == (EVERYTHING_OFFER, written.etag)
    assert catalogue.revision() == 1


def test_a_put_over_the_expected_version_replaces_it_and_moves_the_revision(catalogue: Catalogue) -> None:
    first = catalogue.put(Item("a", category="old"), expected=None)
    second = catalogue.put(Item("a", category="new"), expected=first.etag)
    assert (second.created, catalogue.revision()) == (False, 2)
    assert catalogue.items() == (Item("a", category="new"),)


def test_an_item_that_exists_is_not_replaced_by_who_expects_none(catalogue: Catalogue) -> None:
    catalogue.put_many([Item("a", category="old")])
    with pytest.raises(PreconditionRequiredError):
        catalogue.put(Item("a", category="new"), expected=None)
    assert (catalogue.items(), catalogue.revision()) == ((Item("a", category="old"),), 1)


@pytest.mark.parametrize("expected", ["", "nonsense", "*x"])
def test_an_item_that_changed_meanwhile_is_neither_replaced_nor_retired(
    catalogue: Catalogue, expected: str
) -> None:
    catalogue.put(Item("a"), expected=None)
    with pytest.raises(PreconditionFailedError):
        catalogue.put(Item("a", category="new"), expected=expected)
    with pytest.raises(PreconditionFailedError):
        catalogue.retire("a", expected=expected)
    assert (catalogue.items(), catalogue.revision()) == ((Item("a"),), 1)


def test_an_item_that_is_not_there_cannot_be_replaced(catalogue: Catalogue) -> None:
    with pytest.raises(PreconditionFailedError):
        catalogue.put(Item("a"), expected="*")
    assert catalogue.items() == ()


def test_an_item_is_not_retired_by_who_expects_none(catalogue: Catalogue) -> None:
    catalogue.put(Item("a"), expected=None)
    with pytest.raises(PreconditionRequiredError):
        catalogue.retire("a", expected=None)


def test_a_retired_item_is_gone_for_readers_and_writers_and_a_put_revives_it(catalogue: Catalogue) -> None:
    first = catalogue.put(Item("a"), expected=None)
    assert catalogue.retire("a", expected=first.etag)
    assert catalogue.get("a") is None
    for expected in ("*", first.etag):
        with pytest.raises(PreconditionFailedError):
            catalogue.put(Item("a"), expected=expected)
    assert catalogue.put(Item("a"), expected=None).created
    assert catalogue.items() == (Item("a"),)


def test_an_item_that_only_a_bundle_brought_can_be_read_replaced_and_retired(catalogue: Catalogue) -> None:
    brought = Item("a", category="bundle")
    found = catalogue.get("a", standing=brought)
    assert found is not None and found.value == brought
    with pytest.raises(PreconditionRequiredError):
        catalogue.put(Item("a"), expected=None, standing=brought)
    assert catalogue.revision() == 0
    assert catalogue.retire("a", expected=found.etag, standing=brought)
    assert catalogue.items() == (Item("a", category="bundle", status=ItemStatus.RETIRED),)
    assert catalogue.get("a", standing=brought) is None
    assert not catalogue.retire("a", expected="*", standing=brought)


def test_what_the_store_holds_stands_before_what_a_bundle_brought(catalogue: Catalogue) -> None:
    stored = catalogue.put(Item("a", category="store"), expected=None)
    found = catalogue.get("a", standing=Item("a", category="bundle"))
    assert found is not None
    assert (found.value.category, found.etag) == ("store", stored.etag)


def test_of_several_who_replace_one_version_at_once_one_does(catalogue: Catalogue) -> None:
    first = catalogue.put(Item("a"), expected=None)

    def put(number: int) -> bool:
        try:
            catalogue.put(Item("a", category=str(number)), expected=first.etag)
        except PreconditionFailedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(8))) == 1
    assert catalogue.revision() == 2
