"""Whatever comes over the wire, the answer is one of ours: never a 500, never HTML, never a flood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsvc.api import cloud_events, segment_track
from recsvc.api.app import create_app
from recsvc.api.documents import CUSTOMER_EXAMPLE, EVENT_EXAMPLE, ITEM_EXAMPLE, RULE_EXAMPLE
from recsvc.api.event_rules import READINGS
from recsvc.api.experiment_examples import EXPERIMENT_ANSWERED
from recsvc.api.experiment_schemas import ExperimentSchema
from recsvc.api.posted_schemas import ManyWantedSchema, SessionWantedSchema
from recsvc.api.record_schemas import CustomerSchema, ItemSchema, MerchandisingRuleSchema
from recsvc.api.result_examples import WISH_EXAMPLE
from recsvc.api.result_schemas import PlanWishSchema
from recsvc.api.schemas import ProblemSchema, SlateSchema
from tests.api.fakes import CONTENT, OFFERS, READER, Reply, fake_services, send

quickly = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

NAMES = ("limit", "channel", "placement", "locale", "category", "exclude", "diversity", "explain", "kind")
PATHS = (
    *("/v1/events", "/v1/events/segment", "/v1/items", "/v1/items/a7", "/v1/customers/c1"),
    *("/v1/customers/c1/profile", "/v1/customers/c1/export"),
    *("/v1/merchandising-rules", "/v1/merchandising-rules/r1"),
    *("/v1/experiments", "/v1/experiments/k1", "/v1/experiments/k1/assignment"),
    *("/v1/experiments/home/results", "/v1/experiments/plan"),
    *("/v1/customers/c1/identities", "/v1/customers/c1/identities/n1"),
    *(CONTENT, OFFERS, "/v1/trending", "/v1/items/a7/similar", "/healthz", "/docs", "/openapi.json"),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE")
HEADERS = (
    *("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_X_REQUEST_ID", "HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"),
    *("HTTP_HOST", "HTTP_COOKIE", "HTTP_RANGE", "HTTP_ACCEPT", "HTTP_CONNECTION", "HTTP_UPGRADE"),
    *("HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_X_FORWARDED_FOR", "HTTP_X_HTTP_METHOD_OVERRIDE"),
    *("HTTP_CONTENT_ENCODING", "CONTENT_TYPE", "CONTENT_LENGTH"),
)
ODD = ("%ED%A0%80", "%C0%AF", "%00", "%0d%0a", "..%2f", "1e309", "\xd9\xa3", "{}", "None", "x" * 3000)

texts = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.text(st.sampled_from("%0aFf2/&=+,;?#<>\"' \t\r\n\x00\xff"), max_size=40),
    st.sampled_from(ODD),
)
values = st.one_of(texts, st.integers(-(10**20), 10**20).map(str), st.floats().map(str))
pairs = st.tuples(st.one_of(st.sampled_from(NAMES), texts), values)
queries = st.lists(pairs, max_size=8).map(lambda found: "&".join(f"{name}={text}" for name, text in found))
paths = st.one_of(
    st.sampled_from(PATHS),
    texts.map(lambda text: f"/v1/customers/{text}/recommendations/content"),
    texts.map(lambda text: f"/v1/items/{text}/similar"),
    st.lists(texts, max_size=6).map(lambda steps: "/" + "/".join(steps)),
    texts,
)
methods = st.one_of(st.sampled_from(METHODS), texts)
header_values = st.one_of(
    texts,
    st.sampled_from([f"Bearer {READER}", "Bearer rs_admin", "websocket", "Upgrade", "application/json"]),
)
headers = st.dictionaries(st.sampled_from(HEADERS), header_values)


BEYOND_FLOATS = 10**400  # JSON can write it, and no float can hold it.

CHANGES = (
    *(("POST", path) for path in ("/v1/events", "/v1/events/segment", "/v1/items")),
    *(("POST", path) for path in ("/v1/recommendations", "/v1/sessions/recommendations")),
    *((method, path) for method in ("PUT", "DELETE") for path in ("/v1/items/a7", "/v1/customers/c1")),
    *((method, "/v1/merchandising-rules/r1") for method in ("PUT", "DELETE")),
    ("PUT", "/v1/experiments/k1"),
    ("POST", "/v1/experiments/plan"),
)
plain_values = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    st.sampled_from([BEYOND_FLOATS, -BEYOND_FLOATS]),
    st.sampled_from(
        ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "click", "offer", "web", "c1", "1e9"]
    ),
)
FIELDS = (
    *READINGS,
    *ItemSchema().fields,
    *CustomerSchema().fields,
    *MerchandisingRuleSchema().fields,
    *ExperimentSchema().fields,
    *PlanWishSchema().fields,
    *ManyWantedSchema().fields,
    *SessionWantedSchema().fields,
    *("model_version", "weight", "policy", "calibration", "metric", "margin", "direction"),
    *("specversion", "id", "time", "subject", "data", "source", "messageId", "userId", "event", "timestamp"),
    *("risk_class", "disclosures", "personalisation", "marketing", "expires_at", "value", "key", "_schema"),
)
json_values = st.recursive(
    plain_values,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=8)), inner, max_size=6),
    ),
    max_leaves=15,
)
wrapped = st.tuples(st.sampled_from(["events", "items", "batch"]), st.lists(json_values, max_size=3)).map(
    lambda pair: {pair[0]: pair[1]}
)
mended = st.builds(
    lambda good, odd: {"events": [good | odd]},
    st.just(EVENT_EXAMPLE),
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3),
)
bodies = st.one_of(json_values, wrapped, mended, st.dictionaries(st.sampled_from(FIELDS), json_values)).map(
    lambda value: json.dumps(value).encode()
)


@cache
def the_app() -> Flask:
    return create_app(fake_services())


def assert_one_of_ours(reply: Reply, target: str) -> None:
    assert reply.status < 500
    assert reply.header("X-Request-ID")
    assert all("\r" not in value and "\n" not in value for _, value in reply.headers)
    if reply.status >= 400:
        assert reply.header("Content-Type") == "application/problem+json"
        assert len(reply.body) <= 16 * 1024
        if reply.body:
            assert ProblemSchema().validate(json.loads(reply.body.decode("ascii"))) == {}
    elif reply.header("Content-Type") == "text/html; charset=utf-8":
        assert target == "/docs"


@quickly
@given(path=paths, query=queries, method=methods, sent_headers=headers, with_key=st.booleans())
def test_no_request_gets_an_answer_that_is_not_ours(
    path: str, query: str, method: str, sent_headers: dict[str, str], with_key: bool
) -> None:
    sent = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method, **sent_headers}
    reply = send(the_app(), "/", key=READER if with_key else None, environ=sent)
    assert_one_of_ours(reply, path)


@quickly
@given(path=st.sampled_from([CONTENT, OFFERS]), query=queries)
def test_a_query_is_either_answered_with_a_slate_or_refused_with_its_places(path: str, query: str) -> None:
    reply = send(the_app(), path, environ={"QUERY_STRING": query})
    if reply.status == 200:
        assert SlateSchema().validate(reply.json) == {}
    else:
        assert reply.status in (400, 414, 422)
        assert (reply.status == 422) == bool(reply.pointers)


@quickly
@given(
    target=st.sampled_from(CHANGES),
    body=st.one_of(bodies, bodies.map(lambda body: body[: len(body) * 2 // 3]), st.binary(max_size=60)),
    as_type=st.sampled_from(["application/json", cloud_events.MEDIA_TYPE]),
    if_match=st.one_of(st.none(), st.just("*"), texts),
)
def test_no_body_gets_an_answer_that_is_not_ours(
    target: tuple[str, str], body: bytes, as_type: str, if_match: str | None
) -> None:
    method, path = target
    sent = {"CONTENT_TYPE": as_type} | ({} if if_match is None else {"HTTP_IF_MATCH": if_match})
    reply = send(the_app(), path, method=method, key="rs_admin", body=body, environ=sent)
    assert_one_of_ours(reply, path)
    assert (reply.status == 422) == (reply.status >= 400 and "errors" in reply.json)


EVENT = {**EVENT_EXAMPLE, "value": "1.00", "quantity": 1, "score": 9, "scale": 10, "properties": {"n": 1}}
TERMS = {**ITEM_EXAMPLE["terms"], "priority": 1, "weight": 1.5}
SUITABILITY = {**CUSTOMER_EXAMPLE["suitability"], "horizon_years": 10}
NUMBERED: list[tuple[str, str, str, Any]] = [
    ("POST", "/v1/events", "application/json", {"events": [EVENT]}),
    ("POST", "/v1/events", cloud_events.MEDIA_TYPE, [{**cloud_events.EXAMPLE[0], "data": {"score": 9}}]),
    ("POST", "/v1/events/segment", "application/json", segment_track.EXAMPLE),
    ("POST", "/v1/items", "application/json", {"items": [{**ITEM_EXAMPLE, "terms": TERMS}]}),
    ("PUT", "/v1/items/o3", "application/json", {"attributes": {"n": 1}, "terms": TERMS}),
    ("PUT", "/v1/customers/c1", "application/json", {**CUSTOMER_EXAMPLE, "suitability": SUITABILITY}),
    (
        *("PUT", "/v1/merchandising-rules/autumn-saving", "application/json"),
        {**RULE_EXAMPLE, "position": 1, "is_on": True, "matches": 41},
    ),
    ("PUT", "/v1/experiments/calibration-1", "application/json", EXPERIMENT_ANSWERED),
    ("POST", "/v1/experiments/plan", "application/json", {**WISH_EXAMPLE, "minimum_effect": 1, "alpha": 0.1}),
]


def with_each_value(body: Any, changed: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The body again and again, each time with another of its values changed; and the place of that."""
    if not isinstance(body, dict | list):
        yield place, changed
        return
    for key, value in body.items() if isinstance(body, dict) else enumerate(body):
        for where, inner in with_each_value(value, changed, f"{place}/{key}"):
            whole: Any = copy(body)
            whole[key] = inner
            yield where, whole


@pytest.mark.parametrize("number", [BEYOND_FLOATS, -BEYOND_FLOATS], ids=["above", "below"])
@pytest.mark.parametrize(("method", "path", "as_type", "body"), NUMBERED)
def test_a_number_beyond_all_floats_is_refused_wherever_it_stands(
    method: str, path: str, as_type: str, body: Any, number: int
) -> None:
    """Also where no number belongs."""
    for place, changed in with_each_value(body, number):
        sent = {"CONTENT_TYPE": as_type}
        reply = send(
            the_app(), path, method=method, key="rs_admin", body=json.dumps(changed).encode(), environ=sent
        )
        assert_one_of_ours(reply, path)
        assert reply.status == 422, place


@quickly
@given(text=st.one_of(texts, st.text(max_size=300)))
def test_no_made_up_key_opens_anything(text: str) -> None:
    sent = {"HTTP_AUTHORIZATION": f"Bearer {text}"}
    assert send(the_app(), CONTENT, key=None, environ=sent).status == 401


@pytest.mark.parametrize("path", ["/v1/customers/{customer_id}/recommendations/offers", "/v1/trending"])
def test_what_the_document_allows_is_answered(path: str) -> None:
    app = the_app()
    document = schemathesis.openapi.from_dict(send(app, "/openapi.json").json)
    allowed = document[path]["GET"].as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)

    @settings(quickly, max_examples=100)
    @given(case=allowed)
    def check(case: schemathesis.Case[Any]) -> None:
        asked = case.query or {}
        asked.pop("diversity", None)  # A client may write it with an exponent, which is refused.
        target = f"{case.formatted_path}?{urlencode(asked, doseq=True)}"
        assert send(app, target).status == 200, target

    check()
