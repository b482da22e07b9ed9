"""The window of time that the sample bank lives in. In: its end and length. Out: moments in it.

Inside the generator a moment is a whole number of milliseconds since 1970, so that arrays can hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """The days that events fall into: from `start_ms` (inclusive) to `end_ms` (exclusive)."""

    end_ms: int
    n_days: int

    @classmethod
    def ending(cls, end: datetime, n_days: int) -> Window:
        """The window of `n_days` that ends at `end`, which must carry its offset from UTC."""
        if end.tzinfo is None:
            raise ValueError("end must carry an offset from UTC, for example 2026-01-31T09:00:00Z")
        return cls(end_ms=(end - _EPOCH) // timedelta(milliseconds=1), n_days=n_days)

    @property
    def start_ms(self) -> int:
        return self.end_ms - self.n_days * DAY_MS

    def progress(self, at_ms: IntArray) -> FloatArray:
        """How much of the window has gone by at each moment, 0 to 1."""
        return (at_ms - self.start_ms) / (self.n_days * DAY_MS)


def moment(at_ms: int) -> datetime:
    """The moment as a datetime in UTC."""
    return _EPOCH + timedelta(milliseconds=int(at_ms))


def at_waking_hours(at_ms: IntArray, hour: FloatArray, not_after_ms: int) -> IntArray:
    """Keep each moment's day but move it to the given hour (UTC); a day earlier where that is too late."""
    moved = at_ms // DAY_MS * DAY_MS + (hour * HOUR_MS).astype(np.int64)
    return np.where(moved > not_after_ms, moved - DAY_MS, moved)
