"""What a mapping file says of the data's columns. In: a TOML file, or none. Out: one frozen `FileMapping`.

One file may hold the tables `[events]`, `[items]` and `[customers]`. What it leaves out is looked for
under our own field names and under well-known ones, and the report says which column was taken. The
files in `scripts/mappings/` explain every key by example.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import msgspec

from recsvc.domain.items import AttributeValue, Channel, ItemKind, ItemStatus
from recsvc.errors import MappingError
from recsvc.history.times import EARLIEST, TimeUnit, is_zone

EventField = Literal[
    "event_id",
    "type",
    "customer_id",
    "item_id",
    "occurred_at",
    "channel",
    "slate_id",
    "position",
    "placement",
    "value",
    "currency",
    "quantity",
    "score",
    "scale",
]
ItemField = Literal[
    "item_id",
    "kind",
    "title",
    "summary",
    "category",
    "tags",
    "url",
    "published_at",
    "valid_from",
    "valid_to",
    "channels",
    "status",
    "value",
    "currency",
    "priority",
    "weight",
    "risk_class",
]


class TimeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a time is written. Numbers count from `origin`; a time without an offset is one of `zone`.

    A time before `earliest` is taken for a mistake.
    """

    unit: TimeUnit | None = None
    origin: datetime | None = None
    zone: str | None = None
    earliest: datetime = EARLIEST

    def __post_init__(self) -> None:
        for name, moment in (("origin", self.origin), ("earliest", self.earliest)):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name} must carry an offset from UTC, for example 2018-01-01T00:00:00Z")
        if self.zone is not None and not is_zone(self.zone):
            raise ValueError(f"zone {self.zone!r} is no time zone; name one like Europe/Berlin")


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ratings from `at_least` upwards are interactions of this type; None: all that are left."""

    type: str
    at_least: float | None = None


class RatingRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an explicit rating becomes an interaction type: the first band that it reaches."""

    column: str
    bands: tuple[Band, ...]

    def __post_init__(self) -> None:
        limits = [band.at_least for band in self.bands]
        if not limits or limits[-1] is not None or None in limits[:-1]:
            raise ValueError("the last of bands, and only it, must have no at_least: it takes what is left")
        if limits[:-1] != sorted(set(limits[:-1]), key=lambda limit: -(limit or 0.0)):
            raise ValueError("bands must stand from the highest at_least to the lowest")


class EventConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields that are the same in every row."""

    type: str | None = None
    channel: Channel | None = None
    currency: str | None = None
    placement: str | None = None


class EventMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows become events. `columns` names our field first, the file's column second."""

    columns: dict[EventField, str] = {}
    constants: EventConstants = EventConstants()
    types: dict[str, str] = {}
    ignore_types: tuple[str, ...] = ()
    channels: dict[str, str] = {}
    rating: RatingRule | None = None
    time: TimeRule = TimeRule()
    separator: str = ","

    def __post_init__(self) -> None:
        _check_separator(self.separator)
        _check_channels(self.channels)
        ways = [self.columns.get("type"), self.constants.type, self.rating]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("the type comes from a column, a constant or a rating: name only one of them")


class ItemConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields that are the same for every item. `currency` belongs to an offer's terms."""

    kind: ItemKind | None = None
    category: str | None = None
    status: ItemStatus | None = None
    currency: str | None = None


class ItemMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows become items. `locale` is that of title and summary; `lists` says what parts lists."""

    columns: dict[ItemField, str] = {}
    constants: ItemConstants = ItemConstants()
    attributes: dict[str, str] = {}
    missing: dict[str, tuple[AttributeValue, ...]] = {}
    dates: dict[str, TimeUnit] = {}
    lists: dict[Literal["tags", "channels"], str] = {}
    channels: dict[str, str] = {}
    locale: str = "en"
    separator: str = ","

    def __post_init__(self) -> None:
        _check_separator(self.separator)
        _check_channels(self.channels)


class ConsentConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every customer of the file agreed to."""

    personalisation: bool = False
    marketing: tuple[Channel, ...] = ()


class CustomerConstants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields that are the same for every customer."""

    locale: str | None = None


class CustomerMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows become customers. `missing` lists, by column, the values that mean "not known"."""

    columns: dict[Literal["customer_id", "locale"], str] = {}
    constants: CustomerConstants = CustomerConstants()
    attributes: dict[str, str] = {}
    missing: dict[str, tuple[AttributeValue, ...]] = {}
    dates: dict[str, TimeUnit] = {}
    consents: ConsentConstants | None = None
    separator: str = ","

    def __post_init__(self) -> None:
        _check_separator(self.separator)


class FileMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping file. A table that it does not hold is None: the field names are our own."""

    events: EventMapping | None = None
    items: ItemMapping | None = None
    customers: CustomerMapping | None = None


def load_mapping(path: Path | None) -> FileMapping:
    """Read a mapping file; None means our own field names.

    Raises:
        MappingError: the file cannot be read or breaks a rule.
    """
    if path is None:
        return FileMapping()
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8-sig")), type=FileMapping)
    except OSError as error:
        raise MappingError(f"the mapping {path} cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise MappingError(f"the mapping {path} cannot be used: {error}; mend it") from error


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The hint "; did you mean 'x'?", or nothing when no choice is close."""
    by_lower: Mapping[str, str] = {choice.lower(): choice for choice in choices}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean '{by_lower[close[0]]}'?" if close else ""


def _check_separator(separator: str) -> None:
    if len(separator.encode()) != 1 or separator in '"\r\n':
        raise ValueError("separator must be one plain character, for example ; or \\t")


def _check_channels(channels: Mapping[str, str]) -> None:
    for name, channel in channels.items():
        if channel and channel not in set(Channel):
            raise ValueError(
                f"channels maps {name!r} to {channel!r}, which is none of {', '.join(Channel)}; "
                "an empty text drops it"
            )
