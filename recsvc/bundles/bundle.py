"""A bundle as serving holds it: ids, histories, popularity, portraits and items over memory-mapped arrays."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.id_table import IdTable
from recsvc.bundles.item_pages import ItemPages, item_arrays
from recsvc.bundles.manifest import Manifest
from recsvc.bundles.profiles import ProfileArrays
from recsvc.domain.items import Item
from recsvc.domain.profiles import CustomerProfile
from recsvc.typed_decoding import decode_json

AnyArray = NDArray[Any]
Stamp = tuple[int, int]
"""A file's size in bytes, and when it was last written to, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class History:
    """What a customer did, as the model sees it: item rows, and the strength of each. Both (n,)."""

    item_rows: NDArray[np.int32]
    strengths: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.item_rows)


@dataclass(frozen=True)
class Bundle:
    """One trained version. `arrays` are memory-mapped and cannot be written to.

    `stamps` is what each mapped file looked like when it was checked.
    """

    path: Path
    manifest: Manifest
    arrays: Mapping[str, AnyArray]
    stamps: Mapping[str, Stamp]

    @property
    def version(self) -> str:
        return self.manifest.version

    @cached_property
    def items(self) -> IdTable:
        return IdTable(self.arrays["item_ids_text"], self.arrays["item_ids_offsets"])

    @cached_property
    def customers(self) -> IdTable:
        return IdTable(self.arrays["customer_ids_text"], self.arrays["customer_ids_offsets"])

    @property
    def popularity(self) -> NDArray[np.float32]:
        """Decayed interactions per item: (n_items,)."""
        return self.arrays["popularity"]

    def segment_popularity(self, segment: str) -> NDArray[np.float32] | None:
        """Decayed interactions per item within a segment: (n_items,); None for an unknown segment."""
        if segment not in self.manifest.segments:
            return None
        row: NDArray[np.float32] = self.arrays["segment_popularity"][self.manifest.segments.index(segment)]
        return row

    def history_of(self, customer_row: int) -> History:
        """What the customer did in the training window."""
        start, stop = self.arrays["history_offsets"][customer_row : customer_row + 2]
        return History(self.arrays["history_items"][start:stop], self.arrays["history_strengths"][start:stop])

    def refused_by(self, customer_row: int) -> NDArray[np.int32]:
        """The rows of the items that the customer turned down in the training window: (n,)."""
        start, stop = self.arrays["refused_offsets"][customer_row : customer_row + 2]
        rows: NDArray[np.int32] = self.arrays["refused_items"][start:stop]
        return rows

    @cached_property
    def _profiles(self) -> ProfileArrays:
        facts = self.manifest
        return ProfileArrays(self.arrays, facts.categories, facts.channels, facts.data_window.until)

    def profile_of(self, customer_row: int) -> CustomerProfile:
        """What training kept of the customer, as of the end of the training window."""
        segment = self.manifest.segments[int(self.arrays["profile_segment"][customer_row])]
        return self._profiles.profile_of(customer_row, self.customers.id_of(customer_row), segment)

    @cached_property
    def catalogue(self) -> ItemPages:
        """The items as they were known at training: those with a row in row order, then the others."""
        arrays = self.arrays
        if "catalogue_offsets" not in arrays:
            arrays = {**arrays, **item_arrays(decode_json(arrays["catalogue"].tobytes(), list[Item]))}
        return ItemPages(self.items, arrays)

    def is_untouched(self) -> bool:
        """Whether no array file was written to, cut short or removed since it was checked.

        Ask before reading: to read a mapped page that was cut off ends the whole process.
        """
        try:
            for file, stamp in self.stamps.items():  # For lists that are made: no call more than must be.
                found = os.stat(file)
                if (found.st_size, found.st_mtime_ns) != stamp:
                    return False
            return True
        except OSError:
            return False

    def is_whole(self) -> bool:
        """Whether no array file was cut short: a third of the work, where the rest was asked just now."""
        return all(pages.size() >= len(pages) for pages in self._pages)

    @cached_property
    def _pages(self) -> tuple[mmap.mmap, ...]:
        return tuple(pages for array in self.arrays.values() if (pages := _pages_of(array)) is not None)


def _pages_of(array: AnyArray) -> mmap.mmap | None:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    base = base.obj if isinstance(base, memoryview) else base
    return base if isinstance(base, mmap.mmap) else None


def stamp_of(stat: os.stat_result) -> Stamp:
    """The stamp of a file."""
    return stat.st_size, stat.st_mtime_ns
