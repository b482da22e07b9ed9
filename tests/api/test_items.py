"""The catalogue over HTTP: whole items, versions that a careful writer names, and places of faults."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from recsvc.api.documents import ITEM_EXAMPLE
from recsvc.domain.items import ItemStatus
from recsvc.errors import StoreError
from recsvc.services import Services
from tests.api.fakes import FakeDesk, Reply, send

ITEM = "/v1/items/o3"


def call(
    app: Flask,
    method: str,
    target: str,
    body: Any = None,
    *,
    if_match: str | None = None,
    key: str = "rs_marketer",
) -> Reply:
    headers = [("Content-Type", "application/json")] if body is not None else []
    headers += [("If-Match", if_match)] if if_match is not None else []
    raw = b"" if body is None else json.dumps(body).encode()
    return send(app, target, method=method, key=key, headers=headers, body=raw)


def put(app: Flask, **fields: Any) -> Reply:
    return call(app, "PUT", ITEM, {**ITEM_EXAMPLE, **fields}, if_match=fields.pop("if_match", None))


def test_a_new_item_is_created_and_comes_back_as_it_went_in(app: Flask) -> None:
    created = call(app, "PUT", ITEM, ITEM_EXAMPLE)
    assert (created.status, created.header("Location"), created.header("ETag")) == (201, ITEM, '"v0"')
    found = call(app, "GET", ITEM)
    assert (found.status, found.body, found.header("ETag")) == (200, created.body, '"v0"')
    assert found.json["terms"]["value"] == "40.00"
    again = call(app, "PUT", ITEM, found.json, if_match=found.header("ETag"))
    assert (again.status, again.header("ETag"), again.header("Location")) == (200, '"v1"', None)


def test_an_item_may_be_next_to_nothing(app: Flask) -> None:
    assert call(app, "PUT", "/v1/items/a1", {}).status == 201
    plain = call(app, "GET", "/v1/items/a1").json
    assert call(app, "PUT", "/v1/items/a2", {**plain, "item_id": "a2"}).status == 201


def test_a_change_names_the_version_that_it_replaces(app: Flask) -> None:
    call(app, "PUT", ITEM, ITEM_EXAMPLE)
    for method, body in (("PUT", ITEM_EXAMPLE), ("DELETE", None)):
        without = call(app, method, ITEM, body)
        assert (without.status, without.json["type"]) == (428, "/problems/precondition-required")
        for stale in ('"v9"', 'W/"v0"', '"v8", "v9"', "", '""', "x" * 5000):
            reply = call(app, method, ITEM, body, if_match=stale)
            assert (reply.status, reply.json["type"]) == (412, "/problems/precondition-failed")
    assert call(app, "PUT", ITEM, ITEM_EXAMPLE, if_match="*").status == 200
    gone = call(app, "DELETE", ITEM, if_match='"v1"')
    assert (gone.status, gone.body) == (204, b"")
    assert call(app, "GET", ITEM).status == 404
    assert call(app, "DELETE", ITEM, if_match='"v1"').status == 404
    assert call(app, "PUT", ITEM, ITEM_EXAMPLE, if_match='"v1"').status == 412


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"item_id": "o4"}, "/item_id"),
    ({"item_id": "a b"}, "/item_id"),
    ({"kind": "coupon"}, "/kind"),
    ({"kind": "content"}, "/terms"),
    ({"title": "Savings"}, "/title"),
    ({"title": {"en": ""}}, "/title/en"),
    ({"title": {"en": "x" * 501}}, "/title/en"),
    ({"title": {"en": "a\x00"}}, "/title/en"),
    ({"title": {"english!": "x"}}, "/title/english!"),
    ({"category": ""}, "/category"),
    ({"category": "a\n"}, "/category"),
    ({"tags": "a"}, "/tags"),
    ({"tags": ["a", 5]}, "/tags/1"),
    ({"url": "javascript:alert(1)"}, "/url"),
    ({"url": "//evil.example"}, "/url"),
    ({"url": "https://a b"}, "/url"),
    ({"published_at": "2026-01-01"}, "/published_at"),
    ({"valid_from": "2026-01-01T00:00:00"}, "/valid_from"),
    ({"valid_to": "0001-01-01T00:00:00+14:00"}, "/valid_to"),
    ({"valid_to": "2026-10-31T00:00:00Z"}, "/valid_to"),
    ({"channels": ["web", "fax"]}, "/channels/1"),
    ({"status": "gone"}, "/status"),
    ({"status": None}, "/status"),
    ({"attributes": []}, "/attributes"),
    ({"attributes": {"a": [1]}}, "/attributes/a"),
    ({"attributes": {"value": {}}}, "/attributes/value"),
    ({"attributes": {"a": 2**64}}, "/attributes/a"),
    ({"attributes": {f"k{n}": n for n in range(101)}}, "/attributes"),
    ({"terms": []}, "/terms"),
    ({"terms": {"risk_class": 8}}, "/terms/risk_class"),
    ({"terms": {"risk_class": "1"}}, "/terms/risk_class"),
    ({"terms": {"risk_class": True}}, "/terms/risk_class"),
    ({"terms": {"value": 40}}, "/terms/value"),
    ({"terms": {"weight": "1"}}, "/terms/weight"),
    ({"terms": {"currency": "eur"}}, "/terms/currency"),
    ({"terms": {"valeu": "1"}}, "/terms/valeu"),
    ({"terms": {"disclosures": [{"id": "a", "version": 0, "text": {}}]}}, "/terms/disclosures/0/version"),
    ({"terms": {"disclosures": [{"id": "a", "version": 1}]}}, "/terms/disclosures/0/text"),
    ({"valid_too": None}, "/valid_too"),
    ({"a/b~": 1}, "/a~1b~0"),
]


@pytest.mark.parametrize(("wrong", "pointer"), WRONG)
def test_a_fault_is_told_with_its_place(app: Flask, wrong: dict[str, Any], pointer: str) -> None:
    reply = put(app, **wrong)
    assert (reply.status, reply.pointers) == (422, [pointer])
    if "item_id" not in wrong:
        batch = {"items": [ITEM_EXAMPLE, {**ITEM_EXAMPLE, **wrong}]}
        assert call(app, "POST", "/v1/items", batch).pointers == [f"/items/1{pointer}"]


def test_a_misspelt_field_is_told_what_it_may_have_meant(app: Flask) -> None:
    (error,) = put(app, valid_too=None).json["errors"]
    assert "did you mean valid_to?" in error["detail"]
    (error,) = put(app, terms={"valeu": "1"}).json["errors"]
    assert "did you mean value?" in error["detail"]


def test_a_batch_that_says_two_things_of_one_item_is_refused(app: Flask) -> None:
    items = [{**ITEM_EXAMPLE, "item_id": item_id} for item_id in ("o1", "o2", "o1")]
    reply = call(app, "POST", "/v1/items", {"items": items})
    assert (reply.status, reply.pointers) == (422, ["/items/2/item_id"])
    assert call(app, "GET", "/v1/items/o2").status == 404


def test_a_batch_of_items_is_stored_all_or_none(app: Flask, services: Services) -> None:
    items = [{**ITEM_EXAMPLE, "item_id": f"o{n}"} for n in range(500)]
    assert isinstance(services.catalogue, FakeDesk)
    refused = call(app, "POST", "/v1/items", {"items": [*items[:-1], {"item_id": "o499", "kind": "x"}]})
    assert (refused.status, refused.pointers, services.catalogue.kept) == (422, ["/items/499/kind"], {})
    stored = call(app, "POST", "/v1/items", {"items": items})
    assert (stored.status, stored.json) == (200, {"stored": 500})
    paused = call(app, "POST", "/v1/items", {"items": [{**ITEM_EXAMPLE, "status": "paused"}]})
    assert paused.json == {"stored": 1}
    assert services.catalogue.kept["o3"].value.status is ItemStatus.PAUSED


def test_thousands_of_unknown_fields_are_told_by_the_first_hundred(app: Flask) -> None:
    reply = call(app, "PUT", ITEM, {f"title{n}": 1 for n in range(50_000)})
    assert (reply.status, len(reply.pointers)) == (422, 100)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ({}, ["/items"]),
        ({"items": []}, ["/items"]),
        ({"items": {}}, ["/items"]),
        ({"items": [5]}, ["/items/0"]),
        ({"items": [{}]}, ["/items/0/item_id"]),
        ({"items": [ITEM_EXAMPLE] * 501}, ["/items"]),
        ({"items": [ITEM_EXAMPLE], "more": 1}, ["/more"]),
    ],
)
def test_a_batch_of_another_shape_is_refused(app: Flask, body: Any, pointers: list[str]) -> None:
    reply = call(app, "POST", "/v1/items", body)
    assert (reply.status, reply.pointers) == (422, pointers)


def test_what_cannot_be_read_or_stored_is_unavailable(app: Flask, services: Services) -> None:
    assert isinstance(services.catalogue, FakeDesk)
    services.catalogue.failure = StoreError("down")
    for method, body in (("GET", None), ("PUT", ITEM_EXAMPLE)):
        reply = call(app, method, ITEM, body)
        assert (reply.status, reply.header("Retry-After")) == (503, "1")


@pytest.mark.parametrize("target", ["/v1/items/", "/v1/items/a b", "/v1/items/%00", f"/v1/items/{'x' * 257}"])
def test_an_odd_id_names_no_item(app: Flask, target: str) -> None:
    for method, body in (("GET", None), ("PUT", ITEM_EXAMPLE), ("DELETE", None)):
        assert call(app, method, target, body).status in (404, 422)


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ('"v0"', 200),
        (' "v0" ', 200),
        ("*", 200),
        ('"other", "v0"', 200),
        ('W/"v0", "v0" ,"other"', 200),
        ('W/"v0"', 412),
        ('W/"v0", "other"', 412),
        ('"other", W/"v0"', 412),
        ('"*"', 412),
        ('"other", "*"', 412),
        ("", 412),
    ],
)
def test_one_of_several_versions_will_do_and_a_weak_one_never_does(
    app: Flask, if_match: str, status: int
) -> None:
    call(app, "PUT", ITEM, ITEM_EXAMPLE)
    assert call(app, "PUT", ITEM, ITEM_EXAMPLE, if_match=if_match).status == status


def conditional(app: Flask, method: str, **headers: str) -> Reply:
    given = [(name.replace("_", "-"), value) for name, value in headers.items()]
    body = json.dumps(ITEM_EXAMPLE).encode() if method == "PUT" else b""
    as_json = [("Content-Type", "application/json")] if body else []
    return send(app, ITEM, method=method, key="rs_marketer", headers=[*given, *as_json], body=body)


def test_who_wants_to_create_and_nothing_else_never_replaces(app: Flask) -> None:
    assert conditional(app, "PUT", If_None_Match="*").status == 201
    for method in ("PUT", "DELETE"):
        for ruled_out in ("*", '"v0"', '"other", "v0"', 'W/"v0"'):
            for more in ({}, {"If_Match": '"v0"'}, {"If_Match": "*"}):
                reply = conditional(app, method, If_None_Match=ruled_out, **more)
                assert (reply.status, reply.json["type"]) == (412, "/problems/precondition-failed")
    assert conditional(app, "PUT", If_None_Match='"other"').status == 428
    assert conditional(app, "PUT", If_None_Match='"other"', If_Match='"v0"').status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_the_item_already_is_not_sent_it_again(app: Flask, method: str) -> None:
    assert conditional(app, method, If_None_Match="*").status == 404
    call(app, "PUT", ITEM, ITEM_EXAMPLE)
    for held in ('"v0"', '"other", "v0"', 'W/"v0"', "*"):
        reply = conditional(app, method, If_None_Match=held)
        assert (reply.status, reply.body, reply.header("ETag")) == (304, b"", '"v0"')
    assert conditional(app, method, If_None_Match='"other"').status == 200


@pytest.mark.parametrize("where", ["items", "tags", "channels", "jurisdictions"])
def test_a_list_that_is_too_long_is_refused_without_being_read(app: Flask, where: str) -> None:
    # Whoever read it would complain of each of its parts.
    many = [{"nothing": 1}] * 501
    bodies = {"items": {"items": many}, "jurisdictions": {"kind": "offer", "terms": {"jurisdictions": many}}}
    path, method = ("/v1/items", "POST") if where == "items" else ("/v1/items/a1", "PUT")
    reply = call(app, method, path, bodies.get(where, {"kind": "content", where: many}))
    assert reply.status == 422
    assert [pointer.rpartition("/")[2] for pointer in reply.pointers] == [where]


@pytest.mark.parametrize("n_names", [51, 80_000])
def test_too_many_locales_are_refused_before_any_of_them_is_read(app: Flask, n_names: int) -> None:
    """One fault, and not one of each name that is no locale."""
    reply = call(
        app, "PUT", "/v1/items/i1", {"kind": "content", "title": {f"{n}": 1 for n in range(n_names)}}
    )
    fault = {"pointer": "/title", "detail": "must hold at most 50 locales"}
    assert (reply.status, reply.json["errors"]) == (422, [fault])
