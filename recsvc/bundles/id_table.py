"""Ids in a bundle: external text ↔ row. In: two arrays, memory-mapped. Out: rows and ids.

Ids are kept as one run of UTF-8 bytes in bytewise order, with offsets. A look-up is a binary search
in the mapped pages, so a million customers cost a worker no private memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.rows import NO_ROW

_FEW = 16  # One look for an id costs as much as to read so many.


class IdTable:
    """The only crossing between ids and rows."""

    def __init__(self, text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self._text = text.data
        self._offsets = offsets.data
        self._n = len(offsets) - 1

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        """All ids in the order of rows, at less than half the cost of asking for each."""
        return map(bytes.decode, self._pieces())

    def id_of(self, row: int) -> str:
        """The id at the row."""
        return self._bytes_at(row).decode()

    def ids_of(self, rows: Iterable[int]) -> tuple[str, ...]:
        """The ids at the rows, in their order."""
        return tuple(self.id_of(row) for row in rows)

    def row_of(self, identifier: str) -> int | None:
        """The row of the id; None when the table does not hold it."""
        wanted = identifier.encode()
        low, high = 0, self._n
        while low < high:
            middle = (low + high) // 2
            if self._bytes_at(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < self._n and self._bytes_at(low) == wanted else None

    def rows_of(self, identifiers: Collection[str]) -> NDArray[np.int32]:
        """The row of each id, `NO_ROW` of one that the table does not hold: (n_identifiers,).

        For many at once: where they are not few beside the table, it is read once.
        """
        if len(identifiers) * _FEW < self._n:
            found = [self.row_of(each) for each in identifiers]
            return np.array([NO_ROW if row is None else row for row in found], dtype=np.int32)
        rows = {each: row for row, each in enumerate(self)}
        return np.array([rows.get(each, NO_ROW) for each in identifiers], dtype=np.int32)

    def is_in_order(self) -> bool:
        """Whether the ids stand in strictly ascending order, as look-ups need."""
        return all(one < other for one, other in pairwise(self._pieces()))

    def _pieces(self) -> Iterator[bytes]:
        text = bytes(self._text)
        return (text[start:end] for start, end in pairwise(self._offsets))

    def _bytes_at(self, row: int) -> bytes:
        return bytes(self._text[self._offsets[row] : self._offsets[row + 1]])


def id_arrays(name: str, ids: Sequence[str]) -> Mapping[str, NDArray[np.generic]]:
    """The two arrays of a table of ids: `<name>_text` and `<name>_offsets`. The ids must be in order."""
    encoded = [identifier.encode() for identifier in ids]
    lengths = np.fromiter((len(piece) for piece in encoded), dtype=np.int64, count=len(encoded))
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
    return {
        f"{name}_text": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        f"{name}_offsets": offsets,
    }
