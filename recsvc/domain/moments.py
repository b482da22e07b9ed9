"""Moments as whole numbers, for columns. In: moments that carry an offset. Out: microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

FIRST_MICROS, LAST_MICROS = -(2**63), 2**63 - 1
"""What stands where a window has no beginning, or no end."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970 in UTC. The moment must carry an offset."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The moment in UTC, where that is nameable."""
    return _EPOCH + timedelta(0, 0, micros)


def window_in_micros(begins: datetime | None, ends: datetime | None) -> tuple[int, int]:
    """Both ends of a window; None is open."""
    first = FIRST_MICROS if begins is None else to_micros(begins)
    return first, LAST_MICROS if ends is None else to_micros(ends)


def is_nameable(micros: int) -> bool:
    """Whether UTC has a name for the moment: 9999-12-31T23:59:59-05:00 is beyond the last that it has."""
    return _FIRST_NAMEABLE <= micros <= _LAST_NAMEABLE


_FIRST_NAMEABLE, _LAST_NAMEABLE = (to_micros(one.replace(tzinfo=UTC)) for one in (datetime.min, datetime.max))
