"""The items of the store over those of a bundle. In: both. Out: one catalogue, by id and by row.

The bundle carries the items as they were known at training, so that a bundle alone can serve; whatever
the store says of an item wins over it, a retirement included.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain, compress
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.item_pages import CATEGORY, IS_LIVE, KIND, KINDS, VALID_FROM, ItemPages
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.moments import from_micros, is_nameable
from recsvc.domain.rows import NO_ROW

_LIVE = ItemStatus.LIVE  # An enumeration is slow to ask for a member, and a catalogue is long.


class KnownItems(Mapping[str, Item]):
    """Every item by id, whatever its status: those with a row in the model first, in row order."""

    def __init__(self, stored: Mapping[str, Item], pages: ItemPages) -> None:
        self.stored = stored
        self._pages = pages
        rows = pages.ids.rows_of(stored)
        self._stored_by_row = _OverPages(pages.at, zip(rows.tolist(), stored.values(), strict=True))
        self._stored_by_row.pop(NO_ROW, None)
        new = compress(stored.items(), (rows == NO_ROW).tolist())
        self.without_row: Mapping[str, Item] = {**pages.without_row, **dict(new)}
        beside = chain(self._stored_by_row.values(), self.without_row.values())
        self._live_in_memory = [item for item in beside if item.status is _LIVE]
        self._columns = pages.columns[: pages.n_rows]
        self._is_live_as_trained = self._columns[:, IS_LIVE] == 1
        self._is_live_as_trained[rows[rows != NO_ROW]] = False
        # Of nothing that leads back here: what is in a circle stays until the collector looks.
        self.at: Callable[[int], Item] = self._stored_by_row.__getitem__
        """The item of a row, whatever its status."""
        self.row_of: Callable[[str], int | None] = pages.row_of
        """The row of an item; None of one that has none."""

    def __getitem__(self, item_id: str) -> Item:
        item = self.stored.get(item_id) or self._pages.get(item_id)
        if item is None:
            raise KeyError(item_id)
        return item

    def __iter__(self) -> Iterator[str]:
        return chain(self._pages.ids, self.without_row)

    def __len__(self) -> int:
        return self.n_rows + len(self.without_row)

    @property
    def n_rows(self) -> int:
        """How many items have a row."""
        return self._pages.n_rows

    def rows_of(self, item_ids: Iterable[str]) -> NDArray[np.int32]:
        """The row of each item, `NO_ROW` of one that has none: (n_item_ids,)."""
        found = map(self.row_of, item_ids)
        return np.array([NO_ROW if row is None else row for row in found], dtype=np.int32)

    def live_rows(self) -> Mapping[ItemKind, NDArray[np.int32]]:
        """By kind, the rows of live items in ascending order."""
        kinds = np.where(self._is_live_as_trained, self._columns[:, KIND], -1)
        over = [
            KINDS.index(item.kind) if item.status is _LIVE else -1 for item in self._stored_by_row.values()
        ]
        kinds[np.fromiter(self._stored_by_row, dtype=np.intp, count=len(over))] = over
        return {kind: np.flatnonzero(kinds == place).astype(np.int32) for place, kind in enumerate(KINDS)}

    def categories(self) -> Mapping[ItemKind, frozenset[str | None]]:
        """By kind, the categories of live items: None among them where an item has none."""
        return {kind: frozenset(self._categories_of(kind)) for kind in ItemKind}

    def live_of(self, categories: Collection[str]) -> Iterator[Item]:
        """The live items of any of the categories, none of which need be held."""
        column = self._columns[:, CATEGORY]
        firsts = np.unique(column[self._is_live_as_trained & (column >= 0)]).tolist()
        wanted = [first for first in firsts if self._pages.at(first).category in categories]
        yield from self._pages.read(
            np.flatnonzero(self._is_live_as_trained & np.isin(column, wanted)).tolist()
        )
        yield from (item for item in self._live_in_memory if item.category in categories)

    def moments(self) -> set[datetime]:
        """When one of the live items begins or ends to be valid."""
        left = np.unique(self._columns[self._is_live_as_trained, VALID_FROM:]).tolist()
        ends = (map(attrgetter(name), self._live_in_memory) for name in ("valid_from", "valid_to"))
        of_bundle = map(from_micros, filter(is_nameable, left))
        return {*of_bundle, *filter(None, chain.from_iterable(ends))}

    def _categories_of(self, kind: ItemKind) -> Iterator[str | None]:
        is_of_kind = self._is_live_as_trained & (self._columns[:, KIND] == KINDS.index(kind))
        for first in np.unique(self._columns[is_of_kind, CATEGORY]).tolist():
            yield None if first < 0 else self._pages.at(first).category
        yield from (item.category for item in self._live_in_memory if item.kind is kind)


class LiveItems(Mapping[str, Item]):
    """Those of the known items that are live."""

    def __init__(self, known: KnownItems, n_live: int) -> None:
        self._known = known
        self._n = n_live

    def __getitem__(self, item_id: str) -> Item:
        item = self._known[item_id]
        if item.status is not _LIVE:
            raise KeyError(item_id)
        return item

    def __iter__(self) -> Iterator[str]:
        return (item_id for item_id, item in self._known.items() if item.status is _LIVE)

    def __len__(self) -> int:
        return self._n


class _OverPages(dict[int, Item]):
    """Items by row, where those of the bundle show through: asked without a step of ours for each."""

    def __init__(self, of_bundle: Callable[[int], Item], items: Iterable[tuple[int, Item]]) -> None:
        super().__init__(items)
        self._of_bundle = of_bundle

    def __missing__(self, row: int) -> Item:
        return self._of_bundle(row)
