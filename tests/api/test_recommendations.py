"""A customer's two lists over HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from recsvc.api.schemas import SlateSchema
from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.services import Services
from recsvc.serving.answers import render_slate
from tests.api.fakes import CONTENT, OFFERS, FakeEngine, a_slate, send

BOTH = pytest.mark.parametrize(
    ("path", "kind"), [(CONTENT, ItemKind.CONTENT), (OFFERS, ItemKind.OFFER)], ids=["content", "offers"]
)


def asked_of(services: Services) -> list[SlateRequest]:
    assert isinstance(services.engine, FakeEngine)
    return services.engine.asked


@BOTH
def test_a_front_end_gets_the_bytes_that_the_engine_made(app: Flask, path: str, kind: ItemKind) -> None:
    reply = send(app, path)
    assert reply.status == 200
    assert reply.body == render_slate(a_slate(SlateRequest(kind, "c1")))
    assert reply.header("Content-Type") == "application/json"


@pytest.mark.parametrize("kind", ItemKind)
def test_a_rendered_slate_is_what_the_documentation_says(kind: ItemKind) -> None:
    slate = render_slate(a_slate(SlateRequest(kind, "c1")))
    assert SlateSchema().loads(slate)["customer_id"] == "c1"


def test_an_empty_slate_from_a_degraded_service_is_what_the_documentation_says() -> None:
    slate = a_slate(SlateRequest(ItemKind.OFFER, "c1"))
    bare = render_slate(replace(slate, items=(), model_version=None, degraded=("redis", "model")))
    assert SlateSchema().loads(bare)["degraded"] == ["redis", "model"]


def test_a_request_without_parameters_asks_for_the_defaults(app: Flask, services: Services) -> None:
    send(app, CONTENT)
    assert asked_of(services) == [SlateRequest(ItemKind.CONTENT, "c1")]


def test_every_parameter_reaches_the_engine(app: Flask, services: Services) -> None:
    query = (
        "limit=100&channel=call_centre&placement=home:top&locale=zh-Hans-CN&category=saving&category=r%C3%A9sum%C3%A9"
        "&exclude=a2,-9,a2&diversity=0.25&explain=true"
    )
    assert send(app, f"{OFFERS}?{query}").status == 200
    assert asked_of(services) == [
        SlateRequest(
            kind=ItemKind.OFFER,
            customer_id="c1",
            limit=100,
            channel=Channel.CALL_CENTRE,
            placement="home:top",
            locale="zh-Hans-CN",
            categories=("saving", "résumé"),
            exclude=("a2", "-9"),
            diversity=0.25,
            explain=True,
        )
    ]


@pytest.mark.parametrize(
    "customer_id", ["c1", "-8845298781299428018", "9f" * 16, "a.b:c_d-e", "..", "x" * 256]
)
def test_an_id_comes_out_exactly_as_it_went_in(app: Flask, services: Services, customer_id: str) -> None:
    assert send(app, f"/v1/customers/{customer_id}/recommendations/content").status == 200
    assert asked_of(services)[0].customer_id == customer_id


def test_the_headers_say_where_a_slate_came_from_and_that_it_may_change(app: Flask) -> None:
    reply = send(app, CONTENT)
    assert reply.header("ETag") == '"9d2f61"'
    assert reply.header("Cache-Control") == "private, no-cache"
    assert reply.header("X-Recs-Source") == "personalised"
    assert reply.header("X-Model-Version") == "20261122T101500Z-als-3f9a1c"
    assert reply.header("Vary") == "Authorization, X-API-Key"
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert (reply.header("Server-Timing") or "").startswith("cache;desc=hit, app;dur=")


@pytest.mark.parametrize("known", ['"9d2f61"', 'W/"9d2f61"', '"other" , "9d2f61"', "*"])
def test_a_front_end_that_has_the_slate_is_told_so_without_a_body(app: Flask, known: str) -> None:
    reply = send(app, CONTENT, headers=[("If-None-Match", known)])
    assert (reply.status, reply.body) == (304, b"")
    assert reply.header("ETag") == '"9d2f61"'
    assert reply.header("Content-Type") is None
    assert reply.header("Cache-Control") == "private, no-cache"


@pytest.mark.parametrize("known", ["", '"other"', "9d2f61", '"9d2f61', '""', " " * 30_000, '"' * 30_000])
def test_another_etag_gets_the_slate(app: Flask, known: str) -> None:
    assert send(app, CONTENT, headers=[("If-None-Match", known)]).status == 200


def test_other_conditions_have_no_effect(app: Flask) -> None:
    conditions = [
        ("If-Match", '"other"'),
        ("If-Modified-Since", "Sun, 22 Nov 2099 10:20:00 GMT"),
        ("Range", "bytes=0-1"),
    ]
    assert send(app, CONTENT, headers=conditions).body == send(app, CONTENT).body


def test_head_answers_the_headers_of_get_without_the_body(app: Flask) -> None:
    get, head = send(app, CONTENT), send(app, CONTENT, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.header("Content-Length") == str(len(get.body))
    assert head.header("ETag") == get.header("ETag")


def test_a_body_on_a_get_is_ignored(app: Flask, services: Services) -> None:
    body = b'{"limit": 1}'
    assert send(app, CONTENT, body=body, headers=[("Content-Type", "application/json")]).status == 200
    assert asked_of(services)[0].limit == 10


def test_an_offer_tells_its_terms_and_an_article_does_not(app: Flask) -> None:
    offer, article = send(app, OFFERS).json["items"][0], send(app, CONTENT).json["items"][0]
    assert offer["disclosures"] == [{"id": "rate", "version": 2, "text": "The rate may change."}]
    assert "disclosures" not in article
