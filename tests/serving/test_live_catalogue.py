"""A view that followed every change is the view that is made of the whole store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from recsvc.bundles.bundle import Bundle
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.errors import StoreError
from recsvc.serving.catalogue_view import CatalogueView, make_view
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.verification import Model
from recsvc.stores.memory import MemoryCatalogue
from tests.serving.made_bundles import bundle_of_items

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
IDS = ("a", "b", "c", "d", "e", "f")
TRAINED = tuple(Item(item_id) for item_id in IDS[1:4])

moments = st.none() | st.integers(0, 3).map(lambda days: NOW + timedelta(days=days))
changed_items = st.builds(
    Item,
    st.sampled_from(IDS),
    st.sampled_from(ItemKind),
    category=st.sampled_from(("saving", None)),
    status=st.sampled_from(ItemStatus),
    published_at=moments,
    valid_to=moments,
)


class CountedCatalogue(MemoryCatalogue):
    """Counts the items that were read, and may be away."""

    n_read = 0
    is_away = False

    def revision(self) -> int:
        if self.is_away:
            raise StoreError("away")
        return super().revision()

    def items(self) -> tuple[Item, ...]:
        return self._counted(super().items())

    def changed_after(self, revision: int) -> tuple[Item, ...]:
        return self._counted(super().changed_after(revision))

    def _counted(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        self.n_read += len(items)
        return items


class OneModel:
    """A model that always serves."""

    def __init__(self, bundle: Bundle | None) -> None:
        self.model = Model(bundle, cast(Any, None)) if bundle else None
        self.beside: Sequence[Model] = ()


def live_over(store: MemoryCatalogue, bundle: Bundle | None = None) -> LiveCatalogue:
    live = LiveCatalogue(store, cast(LiveBundles, OneModel(bundle)))
    live.refresh()
    return live


def said_by(view: CatalogueView) -> tuple[object, ...]:
    """All that a view says, in its order."""
    return (
        view.label,
        [*view.items.items()],
        [*view.known.items()],
        {kind: rows.tolist() for kind, rows in view.trained_rows.items()},
        view.fresh,
        view.unplaced,
        [view.item_at(row) for row in range(len(IDS))],
        {item_id: view.known.row_of(item_id) for item_id in view.known},
        view.categories,
        len(view.items),
        [view.next_change(NOW + timedelta(days=days, seconds=-1)) for days in range(5)],
    )


@given(st.lists(st.lists(changed_items, max_size=3), max_size=5), st.booleans())
def test_following_changes_leads_to_the_view_of_the_whole(changes: list[list[Item]], has_model: bool) -> None:
    store, bundle = MemoryCatalogue(), bundle_of_items(TRAINED) if has_model else None
    live = live_over(store, bundle)
    for change in changes:
        store.put_many(change)
        live.follow()
        whole = make_view(store.items(), bundle, revision=store.revision())
        assert said_by(live.view) == said_by(whole)
    assert said_by(live_over(store, bundle).view) == said_by(live.view)


def test_only_what_changed_is_read() -> None:
    store = CountedCatalogue(Item(item_id) for item_id in IDS)
    live = live_over(store)
    assert store.n_read == len(IDS)
    live.follow()
    store.put(Item("b", category="saving"), expected="*")
    live.follow()
    store.move_revision()  # As a rule does.
    live.follow()
    assert store.n_read == len(IDS) + 1
    assert live.view.items["b"].category == "saving"


def test_a_store_that_went_back_is_read_whole() -> None:
    store = MemoryCatalogue([Item("a"), Item("b")])
    store.put(Item("c"), expected=None)
    live = live_over(store)
    restored = MemoryCatalogue([Item("a", category="saving")])
    store.__dict__.update(restored.__dict__)
    live.follow()
    assert [*live.view.items.values()] == [Item("a", category="saving")]


def test_a_store_that_was_away_is_read_whole() -> None:
    """What came back may be a copy that missed the last change, and has had two of its own."""
    store = CountedCatalogue([Item("a"), Item("b")])
    live = live_over(store)
    copy = CountedCatalogue([Item("a"), Item("b")])
    store.put(Item("b", category="lost"), expected="*")
    live.follow()
    assert live.view.items["b"].category == "lost"
    store.is_away = True
    live.follow()
    assert live.is_stale
    for category in ("saving", "loans"):
        copy.put(Item("a", category=category), expected="*")
    store.__dict__.update(copy.__dict__, is_away=False)
    live.follow()
    assert not live.is_stale
    assert [*live.view.items.values()] == [Item("a", category="loans"), Item("b")]


def test_a_row_whose_item_was_withdrawn_leads_to_nothing_that_may_be_shown() -> None:
    stored = [replace(TRAINED[1], status=ItemStatus.PAUSED), Item("new")]
    view = make_view(stored, bundle_of_items(TRAINED), revision=1)
    assert [view.item_at(row) for row in range(4)] == [TRAINED[0], None, TRAINED[2], None]
    assert view.trained_rows[ItemKind.CONTENT].tolist() == [0, 2]
    assert view.fresh[ItemKind.CONTENT] == (Item("new"),)
    assert view.without_model.item_at(0) is None


def test_of_a_stored_item_it_is_told_what_it_is_without_a_look_at_files() -> None:
    looks = list[Bundle]()

    def look(bundle: Bundle) -> bool:
        looks.append(bundle)
        return True

    store = MemoryCatalogue([Item("a"), Item("b", ItemKind.OFFER)])
    bundles = cast(LiveBundles, OneModel(bundle_of_items(TRAINED)))
    live = LiveCatalogue(store, bundles, is_untouched=look)
    live.refresh()
    looks.clear()
    assert live.is_content("a") and not live.is_content("b") and not looks
    assert live.is_content("c") and looks
