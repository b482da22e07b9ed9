"""Items that stay in the pages of a bundle until they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsvc.bundles import item_pages
from recsvc.bundles.item_pages import MOST_HELD, NO_PAGES
from recsvc.bundles.opening import open_bundle
from recsvc.domain.items import ItemKind, ItemStatus


@pytest.fixture(scope="module")
def whole(published: tuple[Path, Path]) -> Path:
    return published[0]


def test_an_item_that_is_asked_for_again_is_not_read_again(whole: Path) -> None:
    pages = open_bundle(whole).catalogue
    assert pages.at(0) is pages.at(0)
    first, second = (next(iter(pages)) for _ in range(2))
    assert first == second == pages.at(0) and first is not second


def test_an_item_is_found_by_its_id(whole: Path) -> None:
    pages = open_bundle(whole).catalogue
    assert len(pages) == len([*pages]) >= pages.n_rows > 0
    for place, item in enumerate(pages):
        assert pages.get(item.item_id) == item == pages.at(place)
        assert pages.row_of(item.item_id) == (place if place < pages.n_rows else None)
    assert pages.get("nothing") is None
    assert NO_PAGES.get("nothing") is None and [*NO_PAGES] == []


@pytest.mark.parametrize("most", [7, MOST_HELD])
def test_the_most_popular_live_items_of_each_kind_are_held(
    whole: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_pages, "MOST_HELD", most)
    opened = open_bundle(whole)
    pages = opened.catalogue
    for kind in ItemKind:
        rows = [pages.row_of(item.item_id) for item in pages.held if item.kind is kind]
        live = [
            row
            for row in range(pages.n_rows)
            if pages.at(row).kind is kind and pages.at(row).status is ItemStatus.LIVE
        ]
        assert rows == sorted(live, key=lambda row: -opened.popularity[row])[:most]
