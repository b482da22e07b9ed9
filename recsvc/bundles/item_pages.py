"""The items of a bundle, over its mapped pages. In: items, or the arrays of them. Out: arrays, or items.

A worker holds the few thousand items that lists are made of; the pages of all others belong to every process.
What is asked of all items at once stands in columns. As with all that is mapped: ask whether the bundle is
whole before reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.id_table import IdTable
from recsvc.domain.items import Item, ItemKind, ItemStatus
from recsvc.domain.moments import window_in_micros
from recsvc.typed_decoding import decode_json

Columns = NDArray[np.int64]

KIND, IS_LIVE, CATEGORY, VALID_FROM, VALID_TO = range(5)
"""The columns: the place in `KINDS`, 0 or 1, the place of the first item of the category (-1 for none), and
microseconds since 1970."""
N_COLUMNS = 5
KINDS = tuple(ItemKind)
REMEMBERED = 4_096
"""So many items, and rows of ids, each worker keeps: those that were asked for last."""
MOST_HELD = 500
"""So many items of a kind each worker keeps, whatever is asked for."""


class ItemPages:
    """Items as they were known at training: those with a row in row order, then the others."""

    def __init__(self, ids: IdTable, arrays: Mapping[str, NDArray[Any]]) -> None:
        """`ids` are those of the items that have a row, `arrays` those of the bundle."""
        offsets = arrays["catalogue_offsets"]
        self.ids = ids
        self._read = partial(_item_at, arrays["catalogue"].data, offsets.data)
        self._n = len(offsets) - 1
        self._popularity: NDArray[np.float32] = arrays["popularity"]
        self.columns: Columns = arrays["catalogue_columns"]
        # Of functions that do not lead back here: what is in a circle stays until the collector looks.
        self.at: Callable[[int], Item] = lru_cache(REMEMBERED)(self._read)
        """The item at a place, which is its row where it has one."""
        self.row_of: Callable[[str], int | None] = lru_cache(REMEMBERED)(ids.row_of)
        """The row of the item; None of one that has none."""

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Item]:
        """All of them, none of which is remembered."""
        return self.read(range(self._n))

    def read(self, places: Iterable[int]) -> Iterator[Item]:
        """The items at the places, none of which is remembered."""
        return map(self._read, places)

    def get(self, item_id: str) -> Item | None:
        """The item of the id; None where there is none."""
        row = self.row_of(item_id)
        return self.without_row.get(item_id) if row is None else self.at(row)

    @property
    def n_rows(self) -> int:
        """How many of them have a row."""
        return len(self.ids)

    @cached_property
    def held(self) -> tuple[Item, ...]:
        """The most popular live items of each kind: what a worker can show whatever becomes of the files."""
        columns = self.columns[: self.n_rows]
        is_live = columns[:, IS_LIVE] == 1
        of_kinds = (np.flatnonzero(is_live & (columns[:, KIND] == kind)) for kind in range(len(KINDS)))
        best = (rows[np.argsort(-self._popularity[rows], kind="stable")[:MOST_HELD]] for rows in of_kinds)
        return tuple(self.read(np.concatenate([*best]).tolist()))

    @cached_property
    def without_row(self) -> Mapping[str, Item]:
        """Those that nobody had met at training, by id."""
        return {item.item_id: item for item in self.read(range(self.n_rows, self._n))}


def _item_at(text: memoryview, offsets: memoryview, place: int) -> Item:
    return decode_json(text[offsets[place] : offsets[place + 1]], Item)


def item_arrays(items: Sequence[Item]) -> Mapping[str, NDArray[Any]]:
    """Items as UTF-8 JSON, one a line, with offsets and columns: (n_bytes,), (n + 1,), (n, N_COLUMNS)."""
    lines = [msgspec.json.encode(item) + b"\n" for item in items]
    return {
        "catalogue": np.frombuffer(b"".join(lines), dtype=np.uint8),
        "catalogue_offsets": np.cumsum([0, *map(len, lines)], dtype=np.int64),
        "catalogue_columns": columns_of(items),
    }


def columns_of(items: Iterable[Item]) -> Columns:
    """What is asked of all at once: (n, N_COLUMNS)."""
    firsts: dict[str | None, int] = {None: -1}
    rows = [
        (
            KINDS.index(item.kind),
            item.status is ItemStatus.LIVE,
            firsts.setdefault(item.category, place),
            *window_in_micros(item.valid_from, item.valid_to),
        )
        for place, item in enumerate(items)
    ]
    return np.array(rows, dtype=np.int64).reshape(len(rows), N_COLUMNS)


_NONE = {**item_arrays(()), "popularity": np.zeros(0, dtype=np.float32)}
NO_PAGES = ItemPages(IdTable(np.zeros(0, np.uint8), np.zeros(1, np.int64)), _NONE)
"""Of no items."""
