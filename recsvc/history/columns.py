"""Find our fields among a file's columns. In: a mapping, and the columns that exist. Out: an `EventPlan`.

A column that the mapping names must exist. A field that it leaves open is looked for under our own name
and under well-known ones, and every such finding is said in a note.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import get_args

import polars as pl

from recsvc.errors import MappingError
from recsvc.history.mapping import EventField, EventMapping, did_you_mean
from recsvc.history.sources import Source
from recsvc.history.times import TimeUnit
from recsvc.policy import Policy

EVENT_FIELDS: tuple[str, ...] = get_args(EventField)
ID_FIELDS = ("customer_id", "item_id", "event_id")
WELL_KNOWN: dict[str, tuple[str, ...]] = {
    "customer_id": (
        "customer", "customerId", "user_id", "userId", "user", "personId", "person_id", "person",
        "visitorid", "visitor_id", "client_id", "clientId", "member_id",
    ),
    "item_id": (
        "item", "itemId", "itemid", "movieId", "movie_id", "contentId", "content_id", "productId",
        "product_id", "offer_id", "offerId", "article_id", "articleId", "asin", "track_id",
    ),
    "type": (
        "interaction_type", "event_type", "eventType", "event", "action", "behavior", "behaviour",
    ),
    "occurred_at": (
        "timestamp", "time", "event_time", "eventTime", "ts", "datetime", "date", "created_at",
    ),
}  # fmt: skip
_ALWAYS_NEEDED = ("customer_id", "item_id", "type", "occurred_at")


@dataclass(frozen=True, slots=True)
class EventPlan:
    """Which column is read for which field, and what was guessed. `type_column` None: constant or rating."""

    columns: Mapping[str, str]  # field -> column
    dtypes: Mapping[str, pl.DataType]  # field -> type of its column
    constant_type: str | None
    rating_column: str | None
    unit: TimeUnit | None  # None: to be guessed from the first rows
    notes: tuple[str, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        rating = [self.rating_column] if self.rating_column else []
        return tuple(dict.fromkeys([*self.columns.values(), *rating]))

    @property
    def id_columns(self) -> frozenset[str]:
        """The columns that hold ids."""
        return frozenset(self.columns[field] for field in ID_FIELDS if field in self.columns)


def plan_events(mapping: EventMapping | None, source: Source, policy: Policy) -> EventPlan:
    """Fit the mapping to a file.

    Raises:
        MappingError: it names a column that does not exist, a type that the policy does not know, or
            nothing gives the customer or the item; or a column of ids holds floats.
    """
    rules = mapping or EventMapping()
    _check_types(rules, policy)
    notes: list[str] = []
    columns = _mapped_columns(rules, source, notes)
    if rules.rating is not None:
        require_column(rules.rating.column, source, "events.rating.column")
    for field in ("customer_id", "item_id"):
        _find(field, columns, source, notes)
    constant_type = _find_type(rules, columns, source, notes)
    unit = _find_time(rules, columns, source, notes)
    if mapping is None:
        _take_native(columns, source)
    for field in ("customer_id", "item_id"):
        _require(field, columns, source)
    for field in ID_FIELDS:
        if field in columns:
            _refuse_rounded_ids(field, columns[field], source)
    dtypes = {field: source.schema.get(column, pl.String()) for field, column in columns.items()}
    rating_column = rules.rating.column if rules.rating else None
    return EventPlan(columns, dtypes, constant_type, rating_column, unit, tuple(notes))


def require_column(column: str, source: Source, where: str) -> None:
    """Raise MappingError, with a hint and the columns that exist, when the file has no such column."""
    if column not in source.schema and not _is_unknown(source):
        raise MappingError(
            f"{where} names the column '{column}', which {source.path} does not have"
            f"{did_you_mean(column, source.schema)} (its columns: {_listed(source.schema)})"
        )


def _is_unknown(source: Source) -> bool:
    """Whether the start of the file shows no column at all: then each row must speak for itself."""
    return source.is_open_ended and not source.schema


def _mapped_columns(rules: EventMapping, source: Source, notes: list[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for field, column in rules.columns.items():
        if source.is_open_ended and field not in _ALWAYS_NEEDED and column not in source.schema:
            # A line of JSON may leave out what it does not have, so a later one may well have it.
            notes.append(f"{field} is mapped to '{column}', which no row at the start of {source.path} has")
        else:
            require_column(column, source, f"events.columns.{field}")
        columns[field] = column
    return columns


def _find(field: str, columns: dict[str, str], source: Source, notes: list[str]) -> None:
    if field in columns:
        return
    names = {name.lower(): name for name in reversed(source.schema)} | {name: name for name in source.schema}
    for known in (field, *WELL_KNOWN[field], *(name.lower() for name in WELL_KNOWN[field])):
        if known in names and names[known] not in columns.values():
            columns[field] = names[known]
            if names[known] != field:
                notes.append(f"{field} was read from the column '{names[known]}'")
            return
    if _is_unknown(source):
        columns[field] = field


def _find_type(rules: EventMapping, columns: dict[str, str], source: Source, notes: list[str]) -> str | None:
    if rules.constants.type is not None or rules.rating is not None:
        return rules.constants.type
    _find("type", columns, source, notes)
    if "type" in columns:
        return None
    notes.append("no column gives the type: every row was taken as a view")
    return "view"


def _find_time(
    rules: EventMapping, columns: dict[str, str], source: Source, notes: list[str]
) -> TimeUnit | None:
    if rules.time.unit == "none":
        columns.pop("occurred_at", None)
        return "none"
    _find("occurred_at", columns, source, notes)
    if "occurred_at" not in columns:
        notes.append("no column gives the time: every interaction counts as equally fresh")
        return "none"
    return rules.time.unit


def _take_native(columns: dict[str, str], source: Source) -> None:
    for field in EVENT_FIELDS:
        may_come = source.is_open_ended and field not in _ALWAYS_NEEDED
        if field not in columns and (field in source.schema or may_come):
            columns[field] = field


def _require(field: str, columns: Mapping[str, str], source: Source) -> None:
    if field not in columns:
        raise MappingError(
            f"no column of {source.path} gives the {field} (its columns: {_listed(source.schema)}); "
            f'write a mapping with [events.columns] {field} = "…"'
        )


def _refuse_rounded_ids(field: str, column: str, source: Source) -> None:
    dtype = source.schema.get(column, pl.String())
    if dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum):
        return
    raise MappingError(
        f"the column '{column}' of {source.path} gives the {field} but holds {dtype}: an id is a text or an "
        "integer, as a float it loses digits; export it as text"
    )


def _check_types(rules: EventMapping, policy: Policy) -> None:
    bands = rules.rating.bands if rules.rating else ()
    named = [*rules.types.values(), *(band.type for band in bands)]
    if rules.constants.type is not None:
        named.append(rules.constants.type)
    known = policy.interaction_types
    for name in named:
        if name not in known:
            raise MappingError(
                f"the mapping names the interaction type '{name}', which the policy does not know"
                f"{did_you_mean(name, known)} (it knows {_listed(known)})"
            )


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:40])
    return shown + (", …" if len(names) > 40 else "")
