"""How files write times. In: a column and its unit. Out: UTC times, and the unit that counts seem to have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import polars as pl

TimeUnit = Literal["s", "ms", "us", "ns", "minutes", "hours", "days", "iso", "date", "none"]
UTC_MICROSECONDS = pl.Datetime("us", "UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
FUTURE_TOLERANCE = timedelta(minutes=5)

_MICROSECOND = timedelta(microseconds=1)
# What one count of a unit is in microseconds. A nanosecond is less than one: it is divided instead.
_MICROSECONDS: dict[str, int] = {
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
}
_EPOCH_UNITS: tuple[TimeUnit, ...] = ("s", "ms", "us", "ns")
# Years 1 to 9999 in microseconds. A time in the wrong unit must stay a time, not overflow into a
# plausible one, so counts are cut here and the check on the year speaks.
_LOWEST, _HIGHEST = -62_135_596_800_000_000, 253_402_300_799_000_000


def parse_times(
    column: pl.Expr, dtype: pl.DataType, unit: TimeUnit, *, origin: datetime | None, zone: str | None
) -> pl.Expr:
    """The column as UTC times in microseconds; null where a value is no time in that unit.

    A typed time column needs no unit; one without a zone is read in `zone`, else in UTC.
    """
    if isinstance(dtype, pl.Datetime):
        times = column.cast(pl.Datetime("us", dtype.time_zone))
        return times.dt.convert_time_zone("UTC") if dtype.time_zone else _in_zone(times, zone or "UTC")
    if isinstance(dtype, pl.Date):
        return _in_zone(column.cast(pl.Datetime("us")), zone or "UTC")
    if unit == "iso":
        return _parse_iso(column.cast(pl.String), zone)
    if unit == "date":
        digits = column.cast(pl.String).str.replace_all("-", "", literal=True)
        days = digits.str.to_date("%Y%m%d", strict=False)
        return _in_zone(days.cast(pl.Datetime("us")), zone or "UTC")
    return _parse_counts(column, dtype, unit, origin or EPOCH)


def is_zone(name: str) -> bool:
    """Whether the name is that of a time zone, for example Europe/Berlin."""
    try:
        pl.Series([0]).cast(pl.Datetime("us")).dt.replace_time_zone(name)
    except pl.exceptions.PolarsError:
        return False
    return True


def unit_that_fits(counts: Sequence[float], as_of: datetime) -> TimeUnit | None:
    """The unit in which the middle one of the counts lies between 2000 and `as_of`; None when none does."""
    if not counts:
        return None
    middle = sorted(counts)[len(counts) // 2]
    if middle == int(middle) and _is_date(int(middle), as_of):
        return "date"
    for unit in _EPOCH_UNITS:
        micros = middle / 1000 if unit == "ns" else middle * _MICROSECONDS[unit]
        if _micros(EARLIEST) <= micros <= _micros(as_of + FUTURE_TOLERANCE):
            return unit
    return None


def _parse_counts(column: pl.Expr, dtype: pl.DataType, unit: TimeUnit, origin: datetime) -> pl.Expr:
    start = _micros(origin)
    if dtype.is_integer():
        return _counts_to_time(column.cast(pl.Int64, strict=False), unit, start)
    as_float = column.cast(pl.Float64, strict=False)
    as_float = pl.when(as_float.is_finite()).then(as_float)
    # Whole counts stay whole: a nanosecond count does not survive a float.
    as_whole = column.cast(pl.String).cast(pl.Int64, strict=False)
    return pl.coalesce(_counts_to_time(as_whole, unit, start), _counts_to_time(as_float, unit, start))


def _counts_to_time(counts: pl.Expr, unit: TimeUnit, start: int) -> pl.Expr:
    if unit == "ns":
        micros = counts // 1000
    else:
        size = _MICROSECONDS[unit]
        micros = counts.clip(_LOWEST // size + 1, _HIGHEST // size) * size
    whole = (micros.clip(_LOWEST, _HIGHEST).cast(pl.Int64) + start).clip(_LOWEST, _HIGHEST)
    return whole.cast(UTC_MICROSECONDS)


def _parse_iso(text: pl.Expr, zone: str | None) -> pl.Expr:
    text = text.str.replace(r"^(\d{4}-\d\d-\d\d)[ t]", "${1}T").str.replace(r"[Zz]$", "+00:00")
    with_offset = text.str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False
    )
    if zone is None:
        return with_offset
    bare = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    return pl.coalesce(with_offset, _in_zone(bare, zone))


def _in_zone(times: pl.Expr, zone: str) -> pl.Expr:
    placed = times.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC")


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND


def _is_date(digits: int, as_of: datetime) -> bool:
    try:
        day = datetime(digits // 10_000, digits // 100 % 100, digits % 100, tzinfo=UTC)
    except (ValueError, OverflowError):
        return False
    return EARLIEST <= day <= as_of + timedelta(days=1)
