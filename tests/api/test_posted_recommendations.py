"""Lists of many customers at once, and of visitors, over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from recsvc.api.posted_schemas import SessionSlateSchema, SlatesSchema
from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.slates import ANONYMOUS, SlateRequest
from recsvc.errors import StoreError
from recsvc.services import Services
from tests.api.fakes import NOW, OFFERS, FakeComputing, FakeEngine, FakeVisitors, Reply, send

MANY = "/v1/recommendations"
SESSION = "/v1/sessions/recommendations"
BOTH = pytest.mark.parametrize("path", [MANY, SESSION])


def post(app: Flask, path: str, body: Any) -> Reply:
    raw = json.dumps(body).encode()
    return send(app, path, method="POST", headers=[("Content-Type", "application/json")], body=raw)


def asked_of(services: Services) -> list[SlateRequest]:
    assert isinstance(services.engine, FakeEngine)
    return services.engine.asked


def told_of(services: Services) -> FakeVisitors:
    assert isinstance(services.visitors, FakeVisitors)
    return services.visitors


def whole(path: str, **fields: Any) -> dict[str, Any]:
    needed = {MANY: {"customer_ids": ["c1"]}, SESSION: {"interactions": []}}
    return {**needed[path], "kind": "content", **fields}


def pointers(reply: Reply) -> list[str]:
    assert reply.status == 422
    return [error["pointer"] for error in reply.json["errors"]]


def test_each_of_many_gets_the_bytes_of_their_own_call_in_the_order_of_their_ids(app: Flask) -> None:
    customer_ids = ["c2", "c1", "-9"]
    reply = post(app, MANY, {"customer_ids": customer_ids, "kind": "offer", "limit": 5})
    own = [send(app, f"/v1/customers/{each}/recommendations/offers?limit=5").body for each in customer_ids]
    assert reply.status == 200
    assert reply.body == b'{"slates":[' + b",".join(own) + b"]}"
    assert reply.header("Cache-Control") == "no-store"
    assert [slate["customer_id"] for slate in SlatesSchema().loads(reply.body)["slates"]] == customer_ids


def test_the_parameters_of_many_ask_what_those_of_a_query_ask(app: Flask, services: Services) -> None:
    send(
        app,
        f"{OFFERS}?limit=100&channel=call_centre&placement=home:top&locale=zh-Hans-CN&category=saving"
        "&category=tax&exclude=a2,-9,a2&diversity=0.25&explain=true",
    )
    parameters = {
        "limit": 100,
        "channel": "call_centre",
        "placement": "home:top",
        "locale": "zh-Hans-CN",
        "category": ["saving", "tax", "saving"],
        "exclude": ["a2", "-9", "a2"],
        "diversity": 0.25,
        "explain": True,
    }
    post(app, MANY, {"customer_ids": ["c1"], "kind": "offer", **parameters})
    query, body = asked_of(services)
    assert body == query
    assert hash(body) == hash(query)


def test_many_without_parameters_ask_for_the_defaults(app: Flask, services: Services) -> None:
    post(app, MANY, {"customer_ids": ["c1"], "kind": "content"})
    assert asked_of(services) == [SlateRequest(ItemKind.CONTENT, "c1")]


def test_500_customers_are_answered_and_501_refused(app: Flask, services: Services) -> None:
    ids = [f"c{place}" for place in range(501)]
    assert len(post(app, MANY, {"customer_ids": ids[:500], "kind": "content"}).json["slates"]) == 500
    refused = post(app, MANY, {"customer_ids": ids, "kind": "content"})
    assert pointers(refused) == ["/customer_ids"]
    assert len(asked_of(services)) == 500


def test_a_call_for_more_items_than_one_answer_holds_is_refused_before_any_list_is_made(
    app: Flask, services: Services
) -> None:
    customer_ids = [f"c{number}" for number in range(101)]
    too_many = {"customer_ids": customer_ids, "kind": "content", "limit": 100}
    assert pointers(post(app, MANY, too_many)) == ["/limit"] and asked_of(services) == []
    assert post(app, MANY, too_many | {"limit": 99}).status == 200
    assert post(app, MANY, too_many | {"customer_ids": customer_ids[1:]}).status == 200


def test_many_share_one_allowance(app: Flask, services: Services) -> None:
    assert isinstance(services.computing, FakeComputing)
    assert post(app, MANY, {"customer_ids": ["c1", "c2"], "kind": "content"}).status == 200
    assert services.computing.n_allowances == 1


def test_a_customer_who_is_named_twice_is_refused_with_both_places(app: Flask, services: Services) -> None:
    reply = post(app, MANY, {"customer_ids": ["c1", "c2", "c1"], "kind": "content"})
    assert pointers(reply) == ["/customer_ids/2"]
    assert "0" in reply.json["errors"][0]["detail"]
    assert asked_of(services) == []


def test_every_id_that_is_none_is_pointed_at(app: Flask) -> None:
    reply = post(app, MANY, {"customer_ids": ["c1", "a b", 7, None], "kind": "content"})
    assert pointers(reply) == [f"/customer_ids/{place}" for place in (1, 2, 3)]


@BOTH
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("limit", value) for value in (0, 101, "5", 5.0, True, None)),
        *(("kind", value) for value in ("both", None, [], {})),
        *(("channel", value) for value in ("fax", 1)),
        *(("placement", value) for value in ("", "a b", "x" * 65, 3)),
        *(("locale", value) for value in ("", "en_GB", None)),
        *(("category", value) for value in ("saving", [f"c{n}" for n in range(21)])),
        *(("exclude", value) for value in ("a2", [f"a{n}" for n in range(201)])),
        *(("diversity", value) for value in (-0.1, 1.1, "0.5", None)),
        *(("explain", value) for value in ("true", 1, None)),
    ],
)
def test_a_parameter_that_breaks_its_rule_is_pointed_at(
    app: Flask, path: str, field: str, value: Any
) -> None:
    assert pointers(post(app, path, whole(path, **{field: value}))) == [f"/{field}"]


@BOTH
def test_a_field_that_nobody_knows_is_refused(app: Flask, path: str) -> None:
    assert pointers(post(app, path, whole(path, limits=3))) == ["/limits"]


@BOTH
@pytest.mark.parametrize("body", [[], "c1", None, 3])
def test_a_body_that_is_no_object_is_refused(app: Flask, path: str, body: Any) -> None:
    assert pointers(post(app, path, body)) == [""]


@BOTH
def test_what_is_needed_is_asked_for(app: Flask, path: str) -> None:
    assert set(pointers(post(app, path, {}))) == {f"/{name}" for name in whole(path)}


@BOTH
def test_a_query_is_none_of_their_parameters(app: Flask, path: str) -> None:
    assert pointers(post(app, f"{path}?limit=3", whole(path))) == ["query/limit"]


def test_a_list_of_a_hundred_thousand_is_refused_without_being_read(app: Flask) -> None:
    reply = post(app, MANY, {"customer_ids": [[]] * 100_000, "kind": "content"})
    assert pointers(reply) == ["/customer_ids"]


def test_an_engine_that_fails_is_told_as_a_problem(app: Flask, services: Services) -> None:
    assert isinstance(services.engine, FakeEngine)
    services.engine.failure = StoreError("the store does not answer")
    reply = post(app, MANY, whole(MANY))
    assert (reply.status, reply.header("Content-Type")) == (503, "application/problem+json")


def test_a_visitor_gets_a_list_after_what_they_did(app: Flask, services: Services) -> None:
    done = [
        {"type": "view", "item_id": "a2", "occurred_at": "2026-11-22T11:19:00+01:00"},
        {"type": "like", "item_id": "a9"},
    ]
    reply = post(app, SESSION, whole(SESSION, interactions=done, channel="mobile", limit=3))
    assert reply.status == 200
    assert SessionSlateSchema().loads(reply.body)["customer_id"] is None
    assert (reply.header("X-Recs-Source"), reply.header("Cache-Control")) == ("personalised", "no-store")
    ((request, did),) = told_of(services).asked
    assert request == SlateRequest(ItemKind.CONTENT, ANONYMOUS, 3, Channel.MOBILE)
    assert [(one.type, one.item_id, one.occurred_at) for one in did] == [
        ("view", "a2", NOW - timedelta(minutes=1)),
        ("like", "a9", NOW),
    ]


@pytest.mark.parametrize(
    ("done", "pointer"),
    [
        ({"type": "stare", "item_id": "a2"}, "/interactions/1/type"),
        ({"type": "click"}, "/interactions/1/item_id"),
        ({"type": "complaint", "item_id": "a2"}, "/interactions/1/item_id"),
        ({"type": "click", "item_id": "a b"}, "/interactions/1/item_id"),
        ({"type": "click", "item_id": "a2", "occurred_at": "1999-01-01T00:00:00Z"}, None),
        ({"type": "click", "item_id": "a2", "occurred_at": "2026-11-22T10:26:00Z"}, None),
        ({"type": "click", "item_id": "a2", "occurred_at": "yesterday"}, None),
        ({"type": "click", "item_id": "a2", "customer_id": "c1"}, "/interactions/1/customer_id"),
        ({"item_id": "a2"}, "/interactions/1/type"),
        ("click", "/interactions/1"),
    ],
)
def test_what_was_done_is_held_to_the_rules_of_events(
    app: Flask, services: Services, done: Any, pointer: str | None
) -> None:
    good = {"type": "click", "item_id": "a1"}
    reply = post(app, SESSION, whole(SESSION, interactions=[good, done]))
    assert pointers(reply) == [pointer or "/interactions/1/occurred_at"]
    assert told_of(services).asked == []


def test_a_session_of_201_is_refused(app: Flask) -> None:
    done = [{"type": "click", "item_id": f"a{place}"} for place in range(201)]
    assert pointers(post(app, SESSION, whole(SESSION, interactions=done))) == ["/interactions"]
    assert post(app, SESSION, whole(SESSION, interactions=done[:200])).status == 200
