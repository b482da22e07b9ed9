"""What stands in one cell of a catalogue. In: a row and a column. Out: a text, a number, a list, a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import polars as pl

from recsvc.domain.items import AttributeValue
from recsvc.history.records import BadRowError, Fields
from recsvc.history.times import EPOCH, TimeUnit, parse_times


@dataclass(frozen=True, slots=True)
class Cells:
    """Reads cells. `missing` lists, by column, the values that mean "not known"; `dates` are time columns."""

    missing: Mapping[str, Sequence[AttributeValue]]
    dates: Mapping[str, TimeUnit]

    def value(self, row: Fields, column: str) -> object:
        """The cell, or None where it is empty, no finite number, or means "not known"."""
        value = row.get(column)
        if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
            return None
        # As texts: a CSV file says "118" where the mapping says 118.
        if any(str(value) == str(unknown) for unknown in self.missing.get(column, ())):
            return None
        return self._time(value, column) if column in self.dates else value

    def identifier(self, row: Fields, column: str, field: str) -> str | None:
        """The cell as an id, exactly as it stands there."""
        value = self.value(row, column)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise BadRowError(
            f"bad_{field}", f"{field} must be a text or a whole number, not {value!r}; export it as text"
        )

    def by_locale(self, value: object, locale: str) -> object:
        """A text as that of one locale; texts by locale as they are."""
        if value is None:
            return {}
        return value if isinstance(value, Mapping) else {locale: str(value)}

    def texts(self, value: object, separator: str | None) -> list[str]:
        """A list of texts; one text is parted at the separator."""
        if value is None:
            return []
        if isinstance(value, str):
            parts = value.split(separator) if separator else [value]
            return [part.strip() for part in parts if part.strip()]
        if isinstance(value, list | tuple):
            return [str(part) for part in value]
        return [str(value)]

    def number(self, value: object) -> object:
        """The number that a text spells; anything else as it is."""
        return _typed(value) if isinstance(value, str) else value

    def attributes(self, row: Fields, columns: Mapping[str, str]) -> dict[str, object]:
        """The known attributes of a row. Texts that spell a number become one."""
        values = {name: self.value(row, column) for name, column in columns.items()}
        return {name: _attribute(value) for name, value in values.items() if value is not None}

    def _time(self, value: object, column: str) -> str:
        """The time as text: a day for the unit `date`, else a moment in UTC."""
        unit = self.dates[column]
        micros = _micros(str(value) if isinstance(value, int | float) else value, unit)
        if micros is None:
            detail = f"the column '{column}' holds {value!r}, which is no time in the unit '{unit}'"
            raise BadRowError("bad_time", detail)
        moment = EPOCH + timedelta(microseconds=micros)
        return moment.date().isoformat() if unit == "date" else moment.isoformat()


def _micros(value: object, unit: TimeUnit) -> int | None:
    if isinstance(value, datetime):
        return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    return _micros_of_text(str(value), unit)


@lru_cache(maxsize=65_536)
def _micros_of_text(text: str, unit: TimeUnit) -> int | None:
    # Kept, because days repeat and polars takes a tenth of a millisecond for a single value.
    times = parse_times(pl.lit(text), pl.String(), unit, origin=None, zone=None)
    micros: int | None = pl.select(times.dt.epoch("us")).item()
    return micros


def _attribute(value: object) -> object:
    if isinstance(value, str):
        return _typed(value)
    if isinstance(value, bool | int | float):
        return value
    return str(value)


def _typed(text: str) -> str | int | float:
    """The number that the text spells, unless that would change the text: 007 stays 007."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text and math.isfinite(number):
            return number
    return text
