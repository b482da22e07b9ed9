"""Turn raw columns into our fields. In: a batch as read, and the plan. Out: `raw.<field>` beside `<field>`.

Nothing is judged here: what cannot be decoded becomes null beside its raw value, and the checks speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from recsvc.errors import MappingError
from recsvc.history.blocks import ROW
from recsvc.history.checks import raw
from recsvc.history.columns import EventPlan
from recsvc.history.mapping import EventMapping, RatingRule
from recsvc.history.times import parse_times, unit_that_fits

_WHOLE_FIELDS = ("quantity", "position")
_REAL_FIELDS = ("value", "score", "scale")
_SAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Decoder:
    """How the raw columns of one file become fields."""

    plan: EventPlan
    rules: EventMapping

    def decode(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The batch with its raw values, its fields and `row`, in order and complete."""
        return self.fields(rows, list(dict.fromkeys([*self.plan.columns, "type"])))

    def fields(self, rows: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
        """Some fields beside their raw values, and `row`."""
        columns = {field: self.column_of(field) for field in fields}
        if "type" in columns and "type" not in self.plan.columns:
            columns["rating"] = columns.pop("type")
        raw_columns = [
            _empty_is_null(column, rows.schema).alias(f"raw.{field}")
            for field, column in columns.items()
            if column is not None
        ]
        named = rows.select(ROW, *raw_columns)
        return named.with_columns(self._field(field, named.schema) for field in fields)

    def column_of(self, field: str) -> str | None:
        """The column that a field is read from; None for a type that is the same in every row."""
        if field == "type" and "type" not in self.plan.columns:
            return self.plan.rating_column
        return self.plan.columns[field]

    def with_unit_from(self, rows: pl.DataFrame, as_of: datetime) -> tuple[Decoder, str]:
        """This decoder with the time unit that the first rows suggest, and the note that says so.

        Raises:
            MappingError: the times are numbers, but no unit makes them times.
        """
        plan = self.plan
        if plan.unit is not None or plan.dtypes["occurred_at"].is_temporal():
            return self, ""
        column = plan.columns["occurred_at"]
        counts = numbers_in(rows[column].head(_SAMPLE_ROWS))
        if not counts:
            return replace(self, plan=replace(plan, unit="iso")), ""
        unit = unit_that_fits(counts, as_of)
        if unit is None:
            raise MappingError(
                f"the times in the column '{column}' are numbers like {counts[0]:g}, which are no times in "
                "s, ms, us or ns since 1970 and no dates; set unit and origin under [events.time]"
            )
        note = f"the times in the column '{column}' were read with the unit '{unit}'"
        return replace(self, plan=replace(plan, unit=unit)), note

    def _field(self, field: str, schema: pl.Schema) -> pl.Expr:
        if field == "type" and self.rules.rating is not None:
            return _type_of_rating(self.rules.rating)
        if field == "type" and self.plan.constant_type is not None:
            return pl.lit(self.plan.constant_type).alias("type")
        value, dtype = raw(field), schema[f"raw.{field}"]
        if field == "occurred_at":
            time = self.rules.time
            unit = self.plan.unit or "iso"
            return parse_times(value, dtype, unit, origin=time.origin, zone=time.zone).alias(field)
        if field in _WHOLE_FIELDS:
            return _whole(value, dtype).alias(field)
        if field in _REAL_FIELDS:
            return value.cast(pl.Float64, strict=False).alias(field)
        text = value.cast(pl.String)
        if field == "type" and self.rules.types:
            text = text.replace(self.rules.types)
        if field == "channel" and self.rules.channels:
            text = text.replace({name: channel or None for name, channel in self.rules.channels.items()})
        return text.alias(field)


def numbers_in(values: pl.Series) -> list[float]:
    """The finite numbers among the values, whether they stand there as numbers or as text."""
    numbers = values.cast(pl.Float64, strict=False) if not values.dtype.is_temporal() else values.clear()
    return [number for number in numbers.to_list() if number is not None and abs(number) < float("inf")]


def _empty_is_null(column: str, schema: pl.Schema) -> pl.Expr:
    value = pl.col(column)
    if schema[column] == pl.String:
        return pl.when(value != "").then(value)
    return value


def _whole(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_float():
        return pl.when(value == value.floor()).then(value).cast(pl.Int64, strict=False)
    return value.cast(pl.Int64, strict=False)


def _type_of_rating(rule: RatingRule) -> pl.Expr:
    rating = raw("rating").cast(pl.Float64, strict=False)
    chosen = pl.when(rating.is_nan() | rating.is_null()).then(pl.lit(None, dtype=pl.String))
    for band in rule.bands[:-1]:
        chosen = chosen.when(rating >= band.at_least).then(pl.lit(band.type))  # type: ignore[assignment]
    return chosen.otherwise(pl.lit(rule.bands[-1].type)).alias("type")
