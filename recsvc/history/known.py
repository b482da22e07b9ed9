"""Remember values that were judged before. In: a column of values. Out: the codes of those that are known.

A history names the same customers, items and types again and again: each is decoded and checked when it
comes for the first time, and after that only looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

_FIRST_SLOTS = 2**12
_MAX_SLOTS = 2**22  # 50 MB: of a longer list of values the last to come are judged every time.
_SLOTS_A_VALUE = 4
_TRIES = 4  # Slots where a value may lie, side by side in memory.

Codes = NDArray[np.uint32]
Rows = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Prints:
    """Two hashes of each value: (n_values,) uint64 both.

    Together they stand for the value. In a history of a million ids the odds that two share their prints
    are less than one to a hundred billion.
    """

    places: NDArray[np.uint64]
    tags: NDArray[np.uint64]

    @classmethod
    def of(cls, values: pl.Series) -> Prints:
        """The prints of a column; equal values of one type have equal ones."""
        return cls(values.hash(seed=0).to_numpy(), values.hash(seed=1).to_numpy())

    def __len__(self) -> int:
        return len(self.tags)

    def at(self, rows: Rows) -> Prints:
        """Those of some rows."""
        return Prints(self.places[rows], self.tags[rows])


class KnownValues:
    """Good values of one column by their prints, each with the code of what it stands for.

    A print leads to a few slots. Where they are taken, a value cannot be remembered, which costs time and
    nothing else.
    """

    def __init__(self) -> None:
        self._prints = Prints(np.empty(0, np.uint64), np.empty(0, np.uint64))
        self._codes = np.empty(0, np.uint32)
        self._clear(_FIRST_SLOTS)

    def find(self, prints: Prints) -> tuple[Codes, NDArray[np.bool_]]:
        """The code of each value, and whether it is known: (n_values,) both."""
        slots = self._slots(prints)
        codes = self._slot_codes.take(slots)
        are_known: NDArray[np.bool_] = self._slot_tags.take(slots) == prints.tags
        for step in range(1, _TRIES):
            unknown = np.flatnonzero(~are_known)
            if not len(unknown):
                break
            beside = slots[unknown] ^ step
            codes[unknown] = self._slot_codes[beside]
            are_known[unknown] = self._slot_tags[beside] == prints.tags[unknown]
        return codes, are_known

    def learn(self, prints: Prints, codes: Codes) -> None:
        """Remember values, as far as there is room. A value may come more than once."""
        n_slots = min(2 ** ((len(self._codes) + len(codes)) * _SLOTS_A_VALUE).bit_length(), _MAX_SLOTS)
        if n_slots > len(self._slot_codes):
            self._clear(n_slots)
            self._place(self._prints, self._codes)
        new = self._place(prints, codes)
        self._codes = np.concatenate([self._codes, codes[new]])
        self._prints = Prints(
            np.concatenate([self._prints.places, prints.places[new]]),
            np.concatenate([self._prints.tags, prints.tags[new]]),
        )

    def _clear(self, n_slots: int) -> None:
        # A tag of 0 is that of an empty slot.
        self._slot_tags = np.zeros(n_slots, np.uint64)
        self._slot_codes = np.zeros(n_slots, np.uint32)

    def _place(self, prints: Prints, codes: Codes) -> Rows:
        """Put values where there is room; one row of each that got a slot."""
        rows = np.arange(len(codes))
        slots = self._slots(prints)
        placed = []
        for step in range(_TRIES):
            free = rows[self._slot_tags[slots[rows] ^ step] == 0]
            # Of several values for one slot the last stays.
            at = slots[free] ^ step
            self._slot_tags[at], self._slot_codes[at] = prints.tags[free], free
            placed.append(free[self._slot_codes[at] == free])
            self._slot_codes[slots[placed[-1]] ^ step] = codes[placed[-1]]
            rows = rows[self._slot_tags[slots[rows] ^ step] != prints.tags[rows]]
        return np.concatenate(placed)

    def _slots(self, prints: Prints) -> NDArray[np.int64]:
        shift = np.uint64(65 - len(self._slot_codes).bit_length())
        return (prints.places >> shift).view(np.int64)
