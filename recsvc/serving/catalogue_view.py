"""What may be served, laid beside one bundle. In: items of the store, a bundle. Out: a frozen view."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle
from recsvc.bundles.item_pages import NO_PAGES
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.merchandising import NO_RULES, RuleBook
from recsvc.serving.cold_items import ColdItems, place_cold_items
from recsvc.serving.known_items import KnownItems, LiveItems

_LIVE = ItemStatus.LIVE  # An enumeration is slow to ask for a member, and a catalogue is long.


@dataclass(frozen=True)
class CatalogueView:
    """The live items at one revision, laid beside one bundle.

    `trained_rows` holds, by kind, the bundle's rows of live items in ascending order; `fresh` holds
    live items that the bundle has no row for, newest first; `cold` those of them that the bundle can place,
    `unplaced` the others. `items` are all live ones; `known` are all items, whatever their status, for what a
    customer said of one holds after it was retired.
    """

    revision: int
    model_version: str | None
    items: LiveItems
    trained_rows: Mapping[ItemKind, NDArray[np.int32]]
    fresh: Mapping[ItemKind, tuple[Item, ...]]
    cold: Mapping[ItemKind, ColdItems]
    unplaced: Mapping[ItemKind, tuple[Item, ...]]
    rules: RuleBook
    known: KnownItems
    _held: tuple[Item, ...]
    _moments: tuple[datetime, ...]

    def item_at(self, row: int) -> Item | None:
        """The item of a row of the bundle; None where it is not live, or the view has no model."""
        item = self.known.at(row) if row < self.known.n_rows else None
        return item if item is not None and item.status is _LIVE else None

    def is_content(self, item_id: str) -> bool:
        """Whether the item is an article, as far as is known."""
        item = self.known.get(item_id)
        return item is not None and item.kind is ItemKind.CONTENT

    @cached_property
    def label(self) -> str:
        """What a cached slate depends on of this view."""
        return f"{self.revision}:{self.model_version}"

    def next_change(self, after: datetime) -> datetime | None:
        """When the next item begins or ends to be valid, or a rule to be on; None when none will."""
        position = bisect.bisect_right(self._moments, after)
        return self._moments[position] if position < len(self._moments) else None

    @cached_property
    def categories(self) -> Mapping[ItemKind, frozenset[str | None]]:
        """By kind, the categories of live items: None among them where an item has none."""
        return self.known.categories()

    def live(self, kind: ItemKind) -> Iterator[Item]:
        """The live items of a kind."""
        return chain(map(self.known.at, self.trained_rows[kind].tolist()), self.fresh[kind])

    @cached_property
    def without_model(self) -> CatalogueView:
        """What can be shown when nothing of the bundle can be asked or read."""
        return self.held_under(self.known.stored, revision=self.revision, rules=self.rules)

    def held_under(self, stored: Mapping[str, Item], *, revision: int, rules: RuleBook) -> CatalogueView:
        """The same once the store says something else."""
        held = {item.item_id: item for item in self._held}
        view = view_of({**held, **stored}, None, revision=revision, rules=rules)
        return replace(view, _held=self._held)


def revision_in(label: str) -> str:
    """The revision that a view's label names."""
    return label.partition(":")[0]


def make_view(
    stored: Iterable[Item], bundle: Bundle | None, *, revision: int, rules: RuleBook = NO_RULES
) -> CatalogueView:
    """Lay the store's items over the bundle's, and the rules beside them."""
    return view_of({item.item_id: item for item in stored}, bundle, revision=revision, rules=rules)


def view_of(
    stored: Mapping[str, Item], bundle: Bundle | None, *, revision: int, rules: RuleBook = NO_RULES
) -> CatalogueView:
    """The same for items by id, which are not held once more."""
    pages = bundle.catalogue if bundle else NO_PAGES
    known = KnownItems(stored, pages)
    trained_rows = known.live_rows()
    fresh = _by_kind(item for item in known.without_row.values() if item.status is _LIVE)
    cold = {kind: place_cold_items(fresh[kind], bundle) for kind in ItemKind}
    n_live = sum(len(trained_rows[kind]) + len(fresh[kind]) for kind in ItemKind)
    return CatalogueView(
        revision=revision,
        model_version=bundle.version if bundle else None,
        items=LiveItems(known, n_live),
        trained_rows=trained_rows,
        fresh=fresh,
        cold=cold,
        unplaced={kind: _all_but(cold[kind].items, fresh[kind]) for kind in ItemKind},
        rules=rules,
        known=known,
        _held=pages.held,
        _moments=tuple(sorted(known.moments().union(rules.moments))),
    )


def _all_but(some: Iterable[Item], items: Sequence[Item]) -> tuple[Item, ...]:
    out = {item.item_id for item in some}
    return tuple(item for item in items if item.item_id not in out)


def _by_kind(items: Iterable[Item]) -> dict[ItemKind, tuple[Item, ...]]:
    ordered = sorted(items, key=_newest_first)
    return {kind: tuple(item for item in ordered if item.kind is kind) for kind in ItemKind}


def _newest_first(item: Item) -> tuple[int, float, str]:
    published = item.published_at.timestamp() if item.published_at else 0.0
    return (-item.offer_terms.priority, -published, item.item_id)
