"""The named checks that a row must pass. In: decoded rows beside their raw values. Out: a reason per bad row.

`CHECKS` is the whole list: code, the field whose raw value is quoted, when a row fails, and one sentence
with the remedy. A row's reason is the first check that it fails. Raw values stand in columns named
`raw.<field>`; a check is skipped when the source has no such field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from recsvc.domain.identifiers import ID_PATTERN, ID_RULE, MAX_ID_CHARS
from recsvc.domain.items import Channel
from recsvc.history.rejects import as_raw
from recsvc.history.times import FUTURE_TOLERANCE
from recsvc.policy import ItemRule, Policy

MAX_ABS_VALUE = 1e12
MAX_QUANTITY = 1_000_000
MAX_POSITION = 10_000
MAX_SCORE = 1_000.0
MAX_TEXT_CHARS = 256
TIME_CODES = ("bad_time", "time_too_early", "time_in_future")
_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class Limits:
    """What the checks need besides the row."""

    types: tuple[str, ...]
    item_types: tuple[str, ...]  # those that must name an item
    earliest: datetime
    as_of: datetime

    @classmethod
    def of(cls, policy: Policy, earliest: datetime, as_of: datetime) -> Limits:
        """The limits that the policy, the mapping and the moment set."""
        rules = policy.interaction_types.items()
        needs_item = tuple(name for name, rule in rules if rule.item is ItemRule.REQUIRED)
        return cls(tuple(policy.interaction_types), needs_item, earliest, as_of)


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of a row."""

    code: str
    field: str
    fails: Callable[[Limits], pl.Expr]
    sentence: str
    beside: str = ""  # another field that it looks at


def raw(field: str) -> pl.Expr:
    """The field as the file has it; empty texts are null."""
    return pl.col(f"raw.{field}")


def _missing(field: str) -> Callable[[Limits], pl.Expr]:
    return lambda limits: raw(field).is_null()


def _no_id(field: str) -> Callable[[Limits], pl.Expr]:
    return lambda limits: ~pl.col(field).str.contains(f"^{ID_PATTERN}$")


def _rounded(field: str) -> Callable[[Limits], pl.Expr]:
    return lambda limits: pl.col(field).str.contains(r"^-?\d+\.\d+[eE][+-]?\d+$")


def _no_number(field: str, lowest: float, highest: float) -> Callable[[Limits], pl.Expr]:
    def fails(limits: Limits) -> pl.Expr:
        number = pl.col(field)
        return raw(field).is_not_null() & (number.is_null() | ~number.is_between(lowest, highest))

    return fails


def _too_long(field: str) -> Callable[[Limits], pl.Expr]:
    return lambda limits: pl.col(field).str.len_chars() > MAX_TEXT_CHARS


_CHANNELS = ", ".join(Channel)
_DIGITS_LOST = "looks like a number that lost its digits in a spreadsheet; export ids as text"
_TOO_LONG = f"is longer than {MAX_TEXT_CHARS} characters; shorten it"

CHECKS: tuple[Check, ...] = (
    Check(
        "missing_customer_id", "customer_id", _missing("customer_id"), "the row names no customer; drop it"
    ),
    Check("rounded_customer_id", "customer_id", _rounded("customer_id"), f"customer_id {_DIGITS_LOST}"),
    Check("bad_customer_id", "customer_id", _no_id("customer_id"), f"customer_id must be {ID_RULE}"),
    Check("missing_type", "type", _missing("type"), "the row names no interaction type; drop it"),
    Check(
        "unknown_type",
        "type",
        lambda limits: ~pl.col("type").is_in(limits.types),
        "the type is none of the policy's; map it under [events.types] or list it in ignore_types",
    ),
    Check("missing_rating", "rating", _missing("rating"), "the row has no rating; drop it"),
    Check(
        "bad_rating",
        "rating",
        lambda limits: pl.col("type").is_null(),
        "the rating is no number; mend it",
    ),
    Check(
        "missing_item_id",
        "item_id",
        lambda limits: raw("item_id").is_null() & pl.col("type").is_in(limits.item_types),
        "the row names no item, but its type is about one; drop it",
        beside="type",
    ),
    Check("rounded_item_id", "item_id", _rounded("item_id"), f"item_id {_DIGITS_LOST}"),
    Check("bad_item_id", "item_id", _no_id("item_id"), f"item_id must be {ID_RULE}"),
    Check("missing_time", "occurred_at", _missing("occurred_at"), "the row has no time; drop it"),
    Check(
        "bad_time",
        "occurred_at",
        lambda limits: pl.col("occurred_at").is_null(),
        "the time cannot be read; check unit and zone under [events.time]",
    ),
    Check(
        "time_too_early",
        "occurred_at",
        lambda limits: pl.col("occurred_at") < limits.earliest,
        "the time is too early to be true; check unit, origin and earliest under [events.time]",
    ),
    Check(
        "time_in_future",
        "occurred_at",
        lambda limits: pl.col("occurred_at") > limits.as_of + FUTURE_TOLERANCE,
        "the time lies more than 5 minutes in the future; check unit and origin under [events.time]",
    ),
    Check(
        "bad_channel",
        "channel",
        lambda limits: ~pl.col("channel").is_in(list(Channel)),
        f"channel must be one of {_CHANNELS}; map it under [events.channels]",
    ),
    Check(
        "bad_value",
        "value",
        _no_number("value", -MAX_ABS_VALUE, MAX_ABS_VALUE),
        f"value must be a finite number, at most {MAX_ABS_VALUE:.0e} either way",
    ),
    Check(
        "bad_currency",
        "currency",
        lambda limits: ~pl.col("currency").str.contains("^[A-Z]{3}$"),
        "currency must be three capital letters, for example EUR",
    ),
    Check(
        "bad_quantity",
        "quantity",
        _no_number("quantity", 1, MAX_QUANTITY),
        f"quantity must be a whole number from 1 to {MAX_QUANTITY}",
    ),
    Check(
        "bad_scale",
        "scale",
        _no_number("scale", 1, MAX_SCORE),
        f"scale must be a number from 1 to {MAX_SCORE:.0f}",
    ),
    Check(
        "bad_score",
        "score",
        _no_number("score", 0, MAX_SCORE),
        f"score must be a number from 0 to {MAX_SCORE:.0f}",
    ),
    Check(
        "score_above_scale",
        "score",
        lambda limits: pl.col("score") > pl.col("scale"),
        "score must not be above scale, the highest score",
        beside="scale",
    ),
    Check(
        "bad_position",
        "position",
        _no_number("position", 1, MAX_POSITION),
        f"position must be a whole number from 1 to {MAX_POSITION}",
    ),
    Check("placement_too_long", "placement", _too_long("placement"), f"placement {_TOO_LONG}"),
    Check("slate_id_too_long", "slate_id", _too_long("slate_id"), f"slate_id {_TOO_LONG}"),
    Check(
        "event_id_too_long",
        "event_id",
        lambda limits: pl.col("event_id").str.len_chars() > MAX_ID_CHARS,
        f"event_id {_TOO_LONG}",
    ),
)


def split_by_checks(rows: pl.DataFrame, limits: Limits) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that pass every check, and the others with `reason` and `detail`."""
    is_bad = are_bad(rows, limits)
    if not is_bad.any():
        return rows, rows.clear()
    bad = rows.filter(is_bad)
    firsts = [
        pl.when(check.fails(limits)).then(
            pl.struct(pl.lit(check.code).alias("reason"), _detail(check).alias("detail"))
        )
        for check in _applied(rows)
    ]
    return rows.filter(~is_bad), bad.with_columns(pl.coalesce(firsts).alias("_first")).unnest("_first")


def are_bad(rows: pl.DataFrame, limits: Limits) -> pl.Series:
    """Whether each row fails one of the checks that its fields allow: (n_rows,) Boolean."""
    failures = [check.fails(limits).fill_null(False) for check in _applied(rows)]
    if not failures:
        return pl.repeat(False, rows.height, eager=True)
    return rows.select(pl.any_horizontal(failures).alias("bad"))["bad"]


def raw_of(rows: pl.DataFrame, columns: dict[str, str]) -> pl.Expr:
    """The raw values of rows as one struct, under the file's own column names."""
    return as_raw(
        [raw(field).alias(column) for field, column in columns.items() if f"raw.{field}" in rows.columns]
    )


def _applied(rows: pl.DataFrame) -> list[Check]:
    names = {*rows.columns, ""}
    return [check for check in CHECKS if f"raw.{check.field}" in names and check.beside in names]


def _detail(check: Check) -> pl.Expr:
    shown = raw(check.field).cast(pl.String, strict=False).str.head(_SHOWN_CHARS)
    return (
        pl.when(shown.is_null())
        .then(pl.lit(check.sentence))
        .otherwise(pl.format("{}: '{}'", pl.lit(check.sentence), shown))
    )
