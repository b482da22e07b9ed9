"""Events over HTTP: three forms, one batch, and an answer only when all of it is stored."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

import pytest
from flask import Flask

from recsvc.api import cloud_events, segment_track
from recsvc.api.limits import MAX_BODY_BYTES
from recsvc.domain.items import Channel
from recsvc.errors import StoreError, StoreFullError
from recsvc.services import Services
from tests.api.fakes import FakeIntake, Reply, send
from tests.api.test_event_rules import an_event

EVENTS = "/v1/events"
SEGMENT = "/v1/events/segment"
JSON = "application/json"


@pytest.fixture
def intake(services: Services) -> FakeIntake:
    assert isinstance(services.intake, FakeIntake)
    return services.intake


def post(
    app: Flask,
    body: Any,
    *,
    to: str = EVENTS,
    as_type: str | None = JSON,
    key: str = "rs_ingest",
    **more: Any,
) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers: Iterable[tuple[str, str]] = () if as_type is None else [("Content-Type", as_type)]
    return send(app, to, method="POST", key=key, headers=headers, body=raw, **more)


def test_events_are_taken_and_the_answer_says_how_many_were_new(app: Flask, intake: FakeIntake) -> None:
    first = post(app, {"events": [an_event(event_id="e1"), an_event(event_id="e2")]})
    assert (first.status, first.json) == (202, {"accepted": 2, "duplicates": 0})
    assert first.header("Cache-Control") == "no-store"
    again = post(app, {"events": [an_event(event_id="e2"), an_event(event_id="e3")]})
    assert (again.status, again.json) == (202, {"accepted": 1, "duplicates": 1})
    assert list(intake.taken) == ["e1", "e2", "e3"]


def test_an_id_with_another_body_is_a_conflict(app: Flask) -> None:
    post(app, {"events": [an_event()]})
    reply = post(app, {"events": [an_event(item_id="a8")]})
    assert (reply.status, reply.json["type"]) == (409, "/problems/conflict")
    assert "e1" in reply.json["detail"]


@pytest.mark.parametrize("failure", [StoreError("down"), StoreFullError("full")])
def test_what_cannot_be_stored_is_to_be_sent_again(
    app: Flask, intake: FakeIntake, failure: Exception
) -> None:
    intake.failure = failure
    reply = post(app, {"events": [an_event()]})
    assert (reply.status, reply.json["type"]) == (503, "/problems/unavailable")
    assert reply.header("Retry-After") == "1"


def test_one_bad_event_keeps_all_of_them_out(app: Flask, intake: FakeIntake) -> None:
    events = [an_event(event_id=f"e{n}", type="click" if n != 7 else "clik") for n in range(10)]
    reply = post(app, {"events": events})
    assert (reply.status, reply.pointers) == (422, ["/events/7/type"])
    assert intake.taken == {}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        (None, [""]),
        ("events", [""]),
        ({}, ["/events"]),
        ({"events": None}, ["/events"]),
        ({"events": []}, ["/events"]),
        ({"events": [an_event()], "event": 1}, ["/event"]),
        ({"events": [an_event()] * 1001}, ["/events"]),
    ],
)
def test_a_body_of_another_shape_is_refused(app: Flask, body: Any, pointers: list[str]) -> None:
    reply = post(app, body)
    assert (reply.status, reply.pointers) == (422, pointers)


@pytest.mark.parametrize(
    "as_type",
    [
        *("application/json", "Application/JSON", "application/json;charset=utf-8"),
        *('application/json; charset="UTF-8"', " application/json "),
    ],
)
def test_json_in_utf_8_is_taken(app: Flask, as_type: str) -> None:
    assert post(app, {"events": [an_event()]}, as_type=as_type).status == 202


@pytest.mark.parametrize(
    "as_type",
    [
        *(None, "", "text/plain", "application/json5", "application/jsonl", "text/json", "*/*", "json"),
        *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/problem+json"),
        *(
            "application/json; charset=latin-1",
            "application/json; charset=utf-16",
            "application/json, text/html",
        ),
        "application/json; charset=utf-8; charset=latin-1",
        "x" * 5000,
    ],
)
def test_another_media_type_is_refused(app: Flask, intake: FakeIntake, as_type: str | None) -> None:
    reply = post(app, {"events": [an_event()]}, as_type=as_type)
    assert (reply.status, reply.json["type"]) == (415, "/problems/unsupported-media-type")
    assert intake.taken == {}


def test_a_body_that_is_packed_is_refused(app: Flask) -> None:
    packed = {"CONTENT_TYPE": JSON, "HTTP_CONTENT_ENCODING": "gzip"}
    assert send(app, EVENTS, method="POST", key="rs_ingest", body=b"\x1f\x8b", environ=packed).status == 415


@pytest.mark.parametrize("body", [b"", b"{", b"\xef\xbb\xbf{}", b'{"events":[],"events":[]}', b"[" * 100_000])
def test_what_cannot_be_parsed_is_malformed(app: Flask, body: bytes) -> None:
    reply = post(app, body)
    assert (reply.status, reply.json["type"]) == (400, "/problems/malformed-request")


def test_a_body_that_ends_early_is_malformed(app: Flask) -> None:
    assert post(app, b'{"events":[]}', environ={"CONTENT_LENGTH": "500"}).status == 400


def test_a_body_in_chunks_is_taken_up_to_the_limit(app: Flask) -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_TYPE": JSON}
    whole = json.dumps({"events": [an_event()]}).encode()
    for body, status in ((whole, 202), (b" " * (MAX_BODY_BYTES + 1), 413), (b"", 400)):
        sent = chunked | {"wsgi.input": io.BytesIO(body)}
        assert send(app, EVENTS, method="POST", key="rs_ingest", environ=sent).status == status
    assert post(app, whole, environ=chunked).status == 400


def test_who_calls_is_asked_before_the_body_is_read(app: Flask) -> None:
    unread = {"wsgi.input": None, "CONTENT_LENGTH": "50"}
    assert send(app, EVENTS, method="POST", key=None, environ=unread).status == 401
    assert send(app, EVENTS, method="POST", environ=unread).status == 403


def test_a_query_on_events_is_refused(app: Flask) -> None:
    assert post(app, {"events": [an_event()]}, to=f"{EVENTS}?dry_run=1").pointers == ["query/dry_run"]


def a_cloud_event(**more: Any) -> dict[str, Any]:
    return cloud_events.EXAMPLE[0] | more


def post_cloud(app: Flask, *events: Any) -> Reply:
    return post(app, list(events), as_type=cloud_events.MEDIA_TYPE)


def test_a_batch_of_cloud_events_is_taken(app: Flask, intake: FakeIntake) -> None:
    second = a_cloud_event(
        id="e-2", type="x", data={"type": "nps", "score": 9, "scale": 10}, traceparent="00-1"
    )
    reply = post_cloud(app, a_cloud_event(), second)
    assert (reply.status, reply.json) == (202, {"accepted": 2, "duplicates": 0})
    one, two = intake.taken.values()
    assert (one.event_id, one.type, one.customer_id, one.item_id) == ("e-1", "click", "c1", "a7")
    again = a_cloud_event(id="e-3", data={"item_id": "a7", "customer_id": "c1", "event_id": "e-3"})
    assert post_cloud(app, again).status == 202
    assert one.channel is Channel.MOBILE
    assert (two.type, two.item_id, two.score, two.scale) == ("nps", None, 9.0, 10.0)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"specversion": "0.3"}, "/1/specversion"),
        ({"source": None}, "/1/source"),
        ({"source": "/" * 257}, "/1/source"),
        ({"data": {"item_id": "a7", "customer_id": "c2"}}, "/1/data/customer_id"),
        ({"data": {"item_id": "a7", "event_id": "e-9"}}, "/1/data/event_id"),
        ({"data": {"item_id": "a7", "occurred_at": "2026-01-01T00:00:00Z"}}, "/1/data/occurred_at"),
        ({"data": {"item_id": "a7", "type": "clik"}}, "/1/data/type"),
        ({"id": None}, "/1/id"),
        ({"subject": "<b>"}, "/1/subject"),
        ({"time": "2026-01-01"}, "/1/time"),
        ({"type": "com.example.clik"}, "/1/type"),
        ({"type": 5}, "/1/type"),
        ({"datacontenttype": "text/xml"}, "/1/datacontenttype"),
        ({"data": "x"}, "/1/data"),
        ({"data": None}, "/1/data"),
        ({"data_base64": "eA=="}, "/1/data_base64"),
        ({"data": {"item_id": "a7", "quantity": "5"}}, "/1/data/quantity"),
        ({"data": {"item_id": "a7", "colour": "red"}}, "/1/data/colour"),
        ({"data": {}}, "/1/data/item_id"),
    ],
)
def test_a_fault_of_a_cloud_event_has_the_place_that_its_sender_knows(
    app: Flask, intake: FakeIntake, wrong: dict[str, Any], pointer: str
) -> None:
    reply = post_cloud(app, a_cloud_event(), a_cloud_event(id="e-2") | wrong)
    assert (reply.status, reply.pointers) == (422, [pointer])
    assert intake.taken == {}


@pytest.mark.parametrize(
    ("body", "pointers"), [({}, [""]), ([], [""]), ([5], ["/0"]), (cloud_events.EXAMPLE * 1001, [""])]
)
def test_cloud_events_come_as_a_list(app: Flask, body: Any, pointers: list[str]) -> None:
    reply = post(app, body, as_type=cloud_events.MEDIA_TYPE)
    assert (reply.status, reply.pointers) == (422, pointers)


def a_track(**more: Any) -> dict[str, Any]:
    call = {"messageId": "m1", "userId": "c1", "event": "Product Viewed", "timestamp": "2026-01-01T00:00:00Z"}
    return {**call, "properties": {"product_id": "o3"}, **more}


def post_track(app: Flask, *calls: Any) -> Reply:
    return post(app, {"batch": list(calls)}, to=SEGMENT)


def test_track_calls_are_taken_as_events(app: Flask, intake: FakeIntake) -> None:
    bought = {
        "item_id": "o4",
        "value": 12.5,
        "currency": "EUR",
        "quantity": 2,
        "channel": "mobile",
        "coupon": "x",
    }
    reply = post_track(
        app,
        a_track(type="track", context={"ip": "203.0.113.9"}, anonymousId="a"),
        a_track(messageId="m2", event="Order Completed", properties=bought),
        a_track(messageId="m3", event="Not Interested"),
    )
    assert (reply.status, reply.json) == (202, {"accepted": 3, "duplicates": 0})
    viewed, purchased, declined = intake.taken.values()
    assert (viewed.event_id, viewed.type, viewed.item_id, viewed.properties) == ("m1", "view", "o3", {})
    assert (purchased.type, purchased.item_id, str(purchased.value)) == ("purchase", "o4", "12.5")
    assert (purchased.currency, purchased.quantity, purchased.channel) == ("EUR", 2, Channel.MOBILE)
    assert purchased.properties == {"coupon": "x"}
    assert declined.type == "not_interested"


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"type": "identify"}, "/batch/0/type"),
        ({"messageId": None}, "/batch/0/messageId"),
        ({"userId": 5}, "/batch/0/userId"),
        ({"event": "Something Else"}, "/batch/0/event"),
        ({"event": None}, "/batch/0/event"),
        ({"timestamp": 1}, "/batch/0/timestamp"),
        ({"properties": [1]}, "/batch/0/properties"),
        ({"properties": "", "event": "Unsubscribed"}, "/batch/0/properties"),
        ({"properties": {}}, "/batch/0/properties/item_id"),
        ({"properties": {"product_id": 5}}, "/batch/0/properties/product_id"),
        ({"properties": {"product_id": None}}, "/batch/0/properties/product_id"),
        ({"properties": {"product_id": "o3", "item_id": "a b"}}, "/batch/0/properties/item_id"),
        ({"properties": {"item_id": "a7", "value": 1e300}}, "/batch/0/properties/value"),
        ({"properties": {"item_id": "a7", "quantity": "2"}}, "/batch/0/properties/quantity"),
    ],
)
def test_a_fault_of_a_track_call_has_the_place_that_its_sender_knows(
    app: Flask, intake: FakeIntake, wrong: dict[str, Any], pointer: str
) -> None:
    reply = post_track(app, a_track(**wrong))
    assert (reply.status, reply.pointers) == (422, [pointer])
    assert intake.taken == {}


def test_a_product_beside_an_item_stays_a_property(app: Flask, intake: FakeIntake) -> None:
    assert post_track(app, a_track(properties={"product_id": "o3", "item_id": "a7"})).status == 202
    (taken,) = intake.taken.values()
    assert (taken.item_id, taken.properties) == ("a7", {"product_id": "o3"})


@pytest.mark.parametrize("body", [[], {}, {"batch": {}}, {"batch": []}, {"batch": [a_track()] * 1001}, 5])
def test_track_calls_come_as_a_batch(app: Flask, body: Any) -> None:
    assert post(app, body, to=SEGMENT).pointers == ["/batch"]


def test_every_name_in_the_table_is_an_interaction_type(services: Services) -> None:
    assert set(segment_track.TYPE_BY_NAME.values()) <= set(services.policy.interaction_types)


@pytest.mark.parametrize("n_events", [1_001, 300_000])
def test_a_batch_that_is_too_long_is_refused_before_anything_in_it_is_read(app: Flask, n_events: int) -> None:
    """One fault, and not one of each of its events."""
    objects = b"[" + b",".join([b"{}"] * n_events) + b"]"
    too_long = "must be a list of 1 to 1000 events"
    segment = post(app, b'{"batch":' + objects + b"}", to=SEGMENT)
    cloud = post(app, objects, as_type=cloud_events.MEDIA_TYPE)
    for reply, pointer in ((segment, "/batch"), (cloud, "")):
        assert (reply.status, reply.json["errors"]) == (422, [{"pointer": pointer, "detail": too_long}])
