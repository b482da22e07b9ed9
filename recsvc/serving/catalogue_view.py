"""The items that may be served, laid beside one bundle. In: items of the store, a bundle. Out: a frozen view.

The bundle carries the items as they were known at training, so that a bundle alone can serve; whatever
the store says of an item wins over it, a retirement included.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.bundle import Bundle
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.merchandising import NO_RULES, RuleBook
from recsvc.serving.cold_items import NO_COLD_ITEMS, ColdItems, place_cold_items

_LIVE = ItemStatus.LIVE  # An enumeration is slow to ask for a member, and a catalogue is long.


@dataclass(frozen=True)
class CatalogueView:
    """The live items at one revision, laid beside one bundle.

    `trained_rows` holds, by kind, the bundle's rows of live items in ascending order; `fresh` holds
    live items that the bundle has no row for, newest first; `cold` those of them that the bundle can place,
    `unplaced` the others. `known` are all items, whatever their status: what a customer said of one holds
    after it was retired. So do `rows`, from the id to the bundle's row, and `by_row`, which leads back.
    """

    revision: int
    model_version: str | None
    items: Mapping[str, Item]
    trained_rows: Mapping[ItemKind, NDArray[np.int32]]
    fresh: Mapping[ItemKind, tuple[Item, ...]]
    cold: Mapping[ItemKind, ColdItems]
    unplaced: Mapping[ItemKind, tuple[Item, ...]]
    by_row: Sequence[Item]
    rows: Mapping[str, int]
    rules: RuleBook
    known: Mapping[str, Item]
    _moments: tuple[datetime, ...]

    def item_at(self, row: int) -> Item | None:
        """The item of a row of the bundle; None where it is not live, or the view has no model."""
        item = self.by_row[row] if row < len(self.by_row) else None
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
        """The categories of the items of each kind: None among them where an item has none."""
        items = self.items.values()
        return {kind: frozenset(one.category for one in items if one.kind is kind) for kind in ItemKind}

    @cached_property
    def without_model(self) -> CatalogueView:
        """The same items, when no model can be asked about them."""
        fresh = _by_kind(self.items.values())
        return replace(
            self,
            model_version=None,
            trained_rows={kind: np.zeros(0, dtype=np.int32) for kind in ItemKind},
            fresh=fresh,
            cold=dict.fromkeys(ItemKind, NO_COLD_ITEMS),
            unplaced=fresh,
            by_row=(),
            rows={},
        )


def revision_in(label: str) -> str:
    """The revision that a view's label names."""
    return label.partition(":")[0]


def make_view(
    stored: Iterable[Item], bundle: Bundle | None, *, revision: int, rules: RuleBook = NO_RULES
) -> CatalogueView:
    """Lay the store's items over the bundle's, and the rules beside them."""
    snapshot = bundle.catalogue() if bundle else ()
    known = {item.item_id: item for item in chain(snapshot, stored)}
    live = {item_id: item for item_id, item in known.items() if item.status is _LIVE}
    if len(live) == len(known):
        live = known  # One table less, of every item, in every worker.
    rows = bundle.row_by_item if bundle else {}
    by_row = tuple(map(known.__getitem__, rows))
    kinds = [item.kind if item.status is _LIVE else None for item in by_row]
    fresh = _by_kind(item for item_id, item in live.items() if item_id not in rows)
    cold = {kind: place_cold_items(fresh[kind], bundle) for kind in ItemKind}
    return CatalogueView(
        revision=revision,
        model_version=bundle.version if bundle else None,
        items=live,
        trained_rows={
            kind: np.flatnonzero([one is kind for one in kinds]).astype(np.int32) for kind in ItemKind
        },
        fresh=fresh,
        cold=cold,
        unplaced={kind: _all_but(cold[kind].items, fresh[kind]) for kind in ItemKind},
        by_row=by_row,
        rows=rows,
        rules=rules,
        known=known,
        _moments=tuple(sorted(_moments_of(live.values()).union(rules.moments))),
    )


def _moments_of(items: Collection[Item]) -> set[datetime]:
    """When one of the items begins or ends to be valid."""
    ends = (map(attrgetter(name), items) for name in ("valid_from", "valid_to"))
    return set(filter(None, chain.from_iterable(ends)))


def _all_but(some: Iterable[Item], items: Sequence[Item]) -> tuple[Item, ...]:
    out = {item.item_id for item in some}
    return tuple(item for item in items if item.item_id not in out)


def _by_kind(items: Iterable[Item]) -> dict[ItemKind, tuple[Item, ...]]:
    ordered = sorted(items, key=_newest_first)
    return {kind: tuple(item for item in ordered if item.kind is kind) for kind in ItemKind}


def _newest_first(item: Item) -> tuple[int, float, str]:
    published = item.published_at.timestamp() if item.published_at else 0.0
    return (-item.offer_terms.priority, -published, item.item_id)
