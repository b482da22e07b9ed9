"""Check events on their way in. In: parsed JSON. Out: interactions, or each place that breaks a rule.

Plain functions and not a marshmallow schema: this runs for every event of every customer, and a schema
takes three times as long. `EventSchema` documents the same shape, and a test holds the two together.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from recsvc.api.problems import MAX_ERRORS
from recsvc.domain.event_limits import (
    CURRENCY_PATTERN,
    EARLIEST,
    FUTURE_TOLERANCE,
    MAX_EVENT_BYTES,
    MAX_EVENTS,
    MAX_POSITION,
    MAX_PROPERTIES,
    MAX_PROPERTIES_DEPTH,
    MAX_QUANTITY,
    MAX_SCORE,
    MAX_TEXT_CHARS,
    MAX_VALUE,
    MONEY_PATTERN,
)
from recsvc.domain.identifiers import ID_PATTERN, ID_RULE
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.errors import FieldError, InvalidRequestError
from recsvc.policy import InteractionTypePolicy, ItemRule

REQUIRED = ("event_id", "type", "customer_id", "occurred_at")

Types = Mapping[str, InteractionTypePolicy]
Naming = Callable[[str, str], str]
"""Where a form of events says a field: its pointer, of the place of the event and the field's name."""

_ID = re.compile(ID_PATTERN)
_TEXT = re.compile(rf"[^\x00-\x1f\x7f]{{1,{MAX_TEXT_CHARS}}}")
_MONEY = re.compile(MONEY_PATTERN)
_CURRENCY = re.compile(CURRENCY_PATTERN)
_MOMENT = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-2][0-9]:[0-5][0-9])"
)
_CHANNELS = {channel.value: channel for channel in Channel}
_MOMENT_RULE = "must be a time with its offset from UTC (RFC 3339), for example 2026-01-31T09:00:00Z"


def as_named(place: str, field: str) -> str:
    """The place of a field in a form whose names are ours."""
    return f"{place}/{field}"


def read_events(
    given: Any, types: Types, now: datetime, *, place: str = "/events", name_of: Naming = as_named
) -> list[Interaction]:
    """The interactions that the events are, all of them.

    Raises:
        InvalidRequestError: one or more break a rule; it names at most 100 places under `place`.
    """
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_EVENTS:
        raise InvalidRequestError([FieldError(place, f"must be a list of 1 to {MAX_EVENTS} events")])
    reader = EventReader(types, now, name_of)
    events = [reader.read(raw, f"{place}/{position}") for position, raw in enumerate(given)]
    if reader.errors:
        raise InvalidRequestError(reader.errors)
    return [event for event in events if event is not None]


class EventReader:
    """Reads events one by one, and keeps what is wrong with them."""

    def __init__(self, types: Types, now: datetime, name_of: Naming) -> None:
        self.errors: list[FieldError] = []
        self._types = types
        self._latest = now + FUTURE_TOLERANCE
        self._name_of = name_of

    def read(self, raw: Any, place: str) -> Interaction | None:
        """The interaction; None when it breaks a rule, or when enough were found already."""
        if len(self.errors) >= MAX_ERRORS:
            return None
        if not isinstance(raw, dict):
            self.errors.append(FieldError(place, "must be an object"))
            return None
        n_before = len(self.errors)
        fields = {}
        for name, value in raw.items():
            if len(self.errors) >= MAX_ERRORS:
                return None
            reading = READINGS.get(name)
            try:
                if reading is None:
                    raise ValueError(_unknown(name))
                if value is not None:
                    fields[name] = reading(value)
            except ValueError as error:
                self._refuse(place, name, str(error))
        self._check_together(raw, fields, place)
        if len(self.errors) > n_before:
            return None
        fields.setdefault("item_id", None)
        return Interaction(**fields)

    def _check_together(self, raw: Mapping[str, Any], fields: Mapping[str, Any], place: str) -> None:
        for name in REQUIRED:
            if raw.get(name) is None:
                self._refuse(place, name, "is required")
        moment, kind = fields.get("occurred_at"), fields.get("type")
        if moment is not None and not EARLIEST <= moment <= self._latest:
            self._refuse(place, "occurred_at", "must not be before 2000, nor more than 5 minutes ahead")
        if fields.get("score", 0) > fields.get("scale", MAX_SCORE):
            self._refuse(place, "score", "must not be above the scale, which is the highest score")
        if kind is not None:
            self._check_type(kind, raw.get("item_id") is not None, place)
        if len(msgspec.json.encode(raw)) > MAX_EVENT_BYTES:
            self.errors.append(FieldError(place, f"must hold at most {MAX_EVENT_BYTES} bytes"))

    def _check_type(self, kind: str, has_item: bool, place: str) -> None:
        policy = self._types.get(kind)
        if policy is None:
            near = difflib.get_close_matches(kind[:64], self._types, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self._refuse(place, "type", f"must be one of {', '.join(self._types)}{hint}")
        elif policy.item is ItemRule.REQUIRED and not has_item:
            self._refuse(place, "item_id", f"is required for the type {kind}")
        elif policy.item is ItemRule.NONE and has_item:
            self._refuse(place, "item_id", f"must be absent: the type {kind} is not about an item")

    def _refuse(self, place: str, name: str, detail: str) -> None:
        token = name[:64].replace("~", "~0").replace("/", "~1")
        self.errors.append(FieldError(self._name_of(place, token), detail))


def _text_like(pattern: re.Pattern[str], rule: str) -> Callable[[Any], str]:
    matches = pattern.fullmatch

    def read(value: Any) -> str:
        if type(value) is not str or matches(value) is None:
            raise ValueError(rule)
        return value

    return read


def _whole_number(highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not 1 <= value <= highest:
            raise ValueError(f"must be a whole number from 1 to {highest}")
        return value

    return read


def _number(lowest: int, highest: int) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if type(value) not in (int, float) or not lowest <= value <= highest:
            raise ValueError(f"must be a number from {lowest} to {highest}")
        return float(value)

    return read


def read_moment(value: Any) -> datetime:
    """The moment that a text in RFC 3339 says. Raises ValueError with the rule."""
    if type(value) is not str or _MOMENT.fullmatch(value) is None:
        raise ValueError(_MOMENT_RULE)
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(_MOMENT_RULE) from None


def _read_money(value: Any) -> Decimal:
    if type(value) is str and _MONEY.fullmatch(value):
        amount = Decimal(value)
        if -MAX_VALUE <= amount <= MAX_VALUE:
            return amount
    raise ValueError('must be a decimal number as text, such as "12.50", of at most 1e12 either way')


def _read_channel(value: Any) -> Channel:
    channel = _CHANNELS.get(value) if type(value) is str else None
    if channel is None:
        raise ValueError(f"must be one of {', '.join(_CHANNELS)}")
    return channel


def _read_properties(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError("must be an object")
    n_keys, depth = _measure(value)
    if depth > MAX_PROPERTIES_DEPTH:
        raise ValueError(f"must be at most {MAX_PROPERTIES_DEPTH} levels deep")
    if n_keys > MAX_PROPERTIES:
        raise ValueError(f"must hold at most {MAX_PROPERTIES} keys")
    return value


def _measure(value: Any) -> tuple[int, int]:
    """How many keys a value holds on all levels, and how many levels it has."""
    if isinstance(value, dict):
        n_keys, inner = len(value), list(value.values())
        if any("\x00" in key for key in value):
            raise ValueError("must not hold a NUL")
    elif isinstance(value, list):
        n_keys, inner = 0, value
    elif isinstance(value, str) and "\x00" in value:
        raise ValueError("must not hold a NUL")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("must not hold a whole number of more than 64 bits")
    else:
        return 0, 0
    measured: Sequence[tuple[int, int]] = [_measure(one) for one in inner]
    return n_keys + sum(n for n, _ in measured), 1 + max((depth for _, depth in measured), default=0)


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name[:64], READINGS, n=1)
    return f"is not a field of an event; {f'did you mean {near[0]}?' if near else 'put it into properties'}"


_read_id = _text_like(_ID, f"must be text of {ID_RULE}")
_read_text = _text_like(_TEXT, f"must be text of 1 to {MAX_TEXT_CHARS} characters, none a control")

READINGS: dict[str, Callable[[Any], Any]] = {
    "event_id": _read_text,
    "type": _read_text,
    "customer_id": _read_id,
    "item_id": _read_id,
    "occurred_at": read_moment,
    "channel": _read_channel,
    "slate_id": _read_text,
    "position": _whole_number(MAX_POSITION),
    "placement": _read_text,
    "value": _read_money,
    "currency": _text_like(_CURRENCY, "must be three capital letters, for example EUR"),
    "quantity": _whole_number(MAX_QUANTITY),
    "score": _number(0, MAX_SCORE),
    "scale": _number(1, MAX_SCORE),
    "properties": _read_properties,
}
