"""What an event may hold, field by field, and how its faults are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from marshmallow import fields

from recsvc.api.event_rules import READINGS, REQUIRED, read_events
from recsvc.api.event_schemas import EventSchema
from recsvc.domain import event_limits
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.errors import FieldError, InvalidRequestError
from recsvc.history import checks, times
from recsvc.policy import load_policy
from tests.api.fakes import NOW

TYPES = load_policy().interaction_types


def an_event(**fields: Any) -> dict[str, Any]:
    return {
        "event_id": "e1",
        "type": "click",
        "customer_id": "c1",
        "item_id": "a7",
        "occurred_at": "2026-11-22T10:15:00Z",
    } | fields


def read(*events: Any) -> list[Interaction]:
    return read_events(list(events), TYPES, NOW)


def faults(*events: Any) -> list[FieldError]:
    with pytest.raises(InvalidRequestError) as raised:
        read(*events)
    return list(raised.value.errors)


def places(*events: Any) -> list[str]:
    return [error.pointer for error in faults(*events)]


def test_an_event_becomes_an_interaction_with_all_it_says() -> None:
    more = {
        "channel": "call_centre",
        "slate_id": "s_1",
        "position": 3,
        "placement": "home",
        "value": "-12.50",
        "currency": "EUR",
        "quantity": 2,
        "score": 9,
        "scale": 10.0,
        "properties": {"page": "start", "deep": {"er": [1, None, True, 0.5]}},
    }
    assert read(an_event(**more)) == [
        Interaction(
            "e1",
            "click",
            "c1",
            "a7",
            datetime(2026, 11, 22, 10, 15, tzinfo=UTC),
            **{**more, "channel": Channel.CALL_CENTRE, "value": Decimal("-12.50")},
        )
    ]


def test_what_is_optional_may_be_absent_or_null() -> None:
    bare = an_event(type="complaint")
    del bare["item_id"]
    nothing = dict.fromkeys(READINGS.keys() - {*REQUIRED}, None)
    (first,), (second,) = read(bare), read(bare | nothing)
    assert first == second == Interaction("e1", "complaint", "c1", None, first.occurred_at)


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_required_must_be_there(name: str) -> None:
    without = {key: value for key, value in an_event().items() if key != name}
    assert f"/events/0/{name}" in places(without)
    assert f"/events/0/{name}" in places(an_event(**{name: None}))


WRONG = {
    "event_id": ["", "x" * 257, 5, True, "a\x00b", "a\nb", [], {}],
    "type": ["clik", "", "CLICK", 5, ["click"]],
    "customer_id": ["", "c" * 257, "c 1", "<script>", "ç", "c\n", 5, 1.5, True, []],
    "item_id": ["", "a/7", 7, {}],
    "occurred_at": [
        "2026-01-01T00:00:00",
        "2026-01-01",
        "2026-01-01 00:00:00Z",
        "99999-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1999-12-31T23:59:59Z",
        "2000-01-01T00:30:00+01:00",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00+24:00",
        "20260101T000000Z",
        "2026-W01-1T00:00:00Z",
        "2026-01-01T00:00:00Z\n",
        "2026-01-01T00:00:00Z ",
        "٢٠٢٦-01-01T00:00:00Z",
        "2099-01-01T00:00:00Z",
        "2026-11-22T10:25:01Z",
        1_767_225_600,
        "",
        {},
    ],
    "channel": ["fax", "WEB", "", 1, [], {}],
    "slate_id": ["", "s" * 257, 5, "a\x7f"],
    "position": [0, -1, 10_001, 1.0, "1", True, 2**70],
    "placement": ["", "p" * 257, 5],
    "value": [
        12.5,
        12,
        "1e3",
        "NaN",
        "Infinity",
        "1,5",
        "1_000",
        " 1",
        "+1",
        ".5",
        "1000000000000.01",
        "١",
        True,
    ],
    "currency": ["eur", "EURO", "EU", "€", 978, ""],
    "quantity": [0, -1, 1_000_001, 1.9, 1.0, "5", "1_000", True, 2**70, []],
    "score": [-0.1, 1000.1, "9", True, [], 10**400],
    "scale": [0, 0.5, 1001, "10", False],
    "properties": [
        [],
        "x",
        1,
        {"a": {"a": {"a": {"a": {"a": 1}}}}},
        {"a": [[[[1]]]]},
        {f"k{n}": n for n in range(51)},
        {"a": {f"k{n}": n for n in range(50)}},
        {"a\x00": 1},
        {"a": "\x00"},
        {"a": 2**70},
    ],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_what_breaks_a_rule_is_told_with_its_place(name: str, value: Any) -> None:
    assert places(an_event(event_id="e0"), an_event(**{name: value})) == [f"/events/1/{name}"]


RIGHT = {
    "event_id": ["x" * 256, "ü 1", "0b5f6c1e-7d53"],
    "customer_id": ["-4711", "a.b:c_d-e", "c" * 256],
    "occurred_at": [
        "2000-01-01T00:00:00Z",
        "2026-11-22T10:25:00Z",
        "2026-11-22T23:25:00+13:00",
        "2026-01-01t00:00:00.123456789z",
    ],
    "position": [1, 10_000],
    "value": ["0", "-0.01", "1000000000000", "-1000000000000.000"],
    "quantity": [1, 1_000_000],
    "score": [0, 1000, 0.5],
    "scale": [1, 1000],
    "properties": [{}, {"a": {"a": {"a": {"a": 1}}}}, {"a": [[[]]]}, {f"k{n}": n for n in range(50)}],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in RIGHT.items() for value in values]
)
def test_what_lies_just_within_the_bounds_is_taken(name: str, value: Any) -> None:
    (event,) = read(an_event(**{name: value}))
    assert event.event_id


def test_a_score_is_never_above_its_scale() -> None:
    (event,) = read(an_event(score=10, scale=10))
    assert event.score == event.scale
    assert places(an_event(score=10.5, scale=10)) == ["/events/0/score"]


@pytest.mark.parametrize("kind", TYPES)
def test_the_type_says_whether_there_is_an_item(kind: str) -> None:
    with_item, without = an_event(type=kind), an_event(type=kind, item_id=None)
    rule = TYPES[kind].item
    for event, refused_by in ((with_item, "none"), (without, "required")):
        if rule == refused_by:
            assert places(event) == ["/events/0/item_id"]
        else:
            assert read(event)


def test_an_unknown_field_is_told_what_it_may_have_meant() -> None:
    (fault,) = faults(an_event(quantty=1))
    assert (fault.pointer, "did you mean quantity?" in fault.detail) == ("/events/0/quantty", True)
    (fault,) = faults(an_event(type="clik"))
    assert "did you mean click?" in fault.detail
    assert places(an_event(**{"a/b~c": 1})) == ["/events/0/a~1b~0c"]
    assert len(places(an_event(**{"x" * 5000: 1}))[0]) < 100


@pytest.mark.parametrize("given", [None, 5, "x", {}, [], [{}] * 1001])
def test_a_batch_is_a_list_of_1_to_1000(given: Any) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_events(given, TYPES, NOW)
    assert [error.pointer for error in raised.value.errors] == ["/events"]
    assert len(read(*[an_event(event_id=f"e{n}") for n in range(1000)])) == 1000


@pytest.mark.parametrize("event", [None, 5, "x", [], True])
def test_an_event_is_an_object(event: Any) -> None:
    assert places(event) == ["/events/0"]


def test_an_event_holds_ten_kilobytes_at_most() -> None:
    room = event_limits.MAX_EVENT_BYTES - len(msgspec.json.encode(an_event(properties={"a": ""})))
    assert read(an_event(properties={"a": "x" * room}))
    assert places(an_event(properties={"a": "x" * (room + 1)})) == ["/events/0"]


def test_a_thousand_bad_events_are_told_by_their_first_hundred_faults() -> None:
    assert 100 <= len(faults(*[{}] * 1000)) < 110


def test_thousands_of_unknown_fields_are_told_by_the_first_hundred() -> None:
    assert len(faults({f"quantity{n}": 1 for n in range(50_000)})) == 100


def test_an_event_ahead_of_our_clock_is_taken_for_five_minutes() -> None:
    ahead = (NOW + timedelta(minutes=4, seconds=59)).isoformat()
    assert read(an_event(occurred_at=ahead))


def test_the_documented_shape_has_the_fields_that_are_read() -> None:
    documented = EventSchema().fields
    assert list(documented) == list(READINGS)
    assert [name for name, field in documented.items() if field.required] == list(REQUIRED)
    assert isinstance(documented["value"], fields.String)


def test_files_and_the_wire_have_the_same_limits() -> None:
    assert (checks.MAX_QUANTITY, checks.MAX_POSITION, checks.MAX_SCORE, checks.MAX_TEXT_CHARS) == (
        event_limits.MAX_QUANTITY,
        event_limits.MAX_POSITION,
        event_limits.MAX_SCORE,
        event_limits.MAX_TEXT_CHARS,
    )
    assert Decimal(checks.MAX_ABS_VALUE) == event_limits.MAX_VALUE
    assert (times.EARLIEST, times.FUTURE_TOLERANCE) == (event_limits.EARLIEST, event_limits.FUTURE_TOLERANCE)
