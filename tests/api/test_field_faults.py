"""Every field of every body, given what it cannot be: the answer names it, and says what it must be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from flask import Flask

from recsvc.api import cloud_events, segment_track
from recsvc.api.documents import (
    CUSTOMER_EXAMPLE,
    EVENT_EXAMPLE,
    ITEM_EXAMPLE,
    RULE_EXAMPLE,
    RUN_REQUEST_EXAMPLE,
)
from recsvc.api.experiment_examples import EXPERIMENT_EXAMPLE
from recsvc.api.result_examples import WISH_EXAMPLE
from tests.api.fakes import FakeIntake, send

ODD = (None, True, -1, 1e308, 10**400, "", "\x00", "1e3", [], {}, [None], {"odd": 1})
MARSHMALLOW = (
    "Missing data",
    "Field may",
    "Not a valid",
    "Invalid ",
    "Must be",
    "Length",
    "Shorter",
    "Longer",
)

Place = tuple[str | int, ...]


class Call(NamedTuple):
    """A call that takes a body, and one that it would accept."""

    method: str
    path: str
    body: Any
    media_type: str = "application/json"


CALLS = (
    Call("POST", "/v1/events", {"events": [EVENT_EXAMPLE]}),
    Call("POST", "/v1/events", cloud_events.EXAMPLE, cloud_events.MEDIA_TYPE),
    Call("POST", "/v1/events/segment", segment_track.EXAMPLE),
    Call("PUT", "/v1/items/odd", {**ITEM_EXAMPLE, "item_id": "odd"}),
    Call("POST", "/v1/items", {"items": [{"item_id": "odd", "title": {"en": "Odd"}}]}),
    Call("PUT", "/v1/customers/odd", {**CUSTOMER_EXAMPLE, "customer_id": "odd"}),
    Call("PUT", "/v1/merchandising-rules/odd", {**RULE_EXAMPLE, "rule_id": "odd"}),
    Call("PUT", "/v1/experiments/odd", {**EXPERIMENT_EXAMPLE, "key": "odd"}),
    Call("POST", "/v1/experiments/plan", WISH_EXAMPLE),
    Call("POST", "/v1/training-runs", RUN_REQUEST_EXAMPLE),
    Call("POST", "/v1/recommendations", {"kind": "content", "customer_ids": ["c1", "c2"], "limit": 5}),
    Call(
        "POST",
        "/v1/sessions/recommendations",
        {"kind": "content", "interactions": [{"type": "click", "item_id": "a2"}]},
    ),
)


def places_in(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    within = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in within:
        yield from places_in(inner, (*place, name))


def changed(value: Any, place: Place, odd: Any) -> Any:
    if not place:
        return odd
    name, *rest = place
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[name] = changed(value[name], tuple(rest), odd)
    return copied


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path} {call.media_type}")
def test_a_field_that_cannot_be_is_named_in_our_own_words(app: Flask, call: Call) -> None:
    refused = 0
    for place in places_in(call.body):
        for odd in ODD:
            body = json.dumps(changed(call.body, place, odd)).encode()
            as_type = [("Content-Type", call.media_type)]
            reply = send(app, call.path, method=call.method, key="rs_admin", headers=as_type, body=body)
            told = f"{place} {odd!r:.30}: {reply.status} {reply.body[-600:]!r}"
            assert reply.status < 500, told
            if reply.status < 400:
                continue
            refused += 1
            assert reply.header("Content-Type") == "application/problem+json", told
            assert reply.status in (400, 409, 412, 422, 428), told
            if reply.status != 422:
                continue
            assert reply.json["errors"], told
            for error in reply.json["errors"]:
                assert not error["detail"].startswith(MARSHMALLOW), told
    assert refused > len(ODD)


def test_what_is_refused_is_not_stored(app: Flask, services: Any) -> None:
    for odd in ODD:
        body = json.dumps(
            {"events": [EVENT_EXAMPLE, {**EVENT_EXAMPLE, "event_id": "e2", "quantity": odd or 0}]}
        )
        as_type = [("Content-Type", "application/json")]
        reply = send(app, "/v1/events", method="POST", key="rs_ingest", headers=as_type, body=body.encode())
        assert reply.status in (400, 422)
    assert isinstance(services.intake, FakeIntake)
    assert services.intake.taken == {}
