"""Who may call: keys, scopes, and what becomes of everything that is not a key."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from recsvc.api.app import create_app
from recsvc.domain.access import ROLE_SCOPES, Role, Scope
from recsvc.services import Services
from tests.api.fakes import CONTENT, OFFERS, READER, FakeKeys, fake_services, send

GUARDED = {
    CONTENT: Scope.RECS_READ,
    OFFERS: Scope.RECS_READ,
    "/v1/items/a7/similar": Scope.RECS_READ,
    "/v1/trending": Scope.RECS_READ,
}
CALLS = {
    **{("GET", path): scope for path, scope in GUARDED.items()},
    ("POST", "/v1/recommendations"): Scope.RECS_READ,
    ("POST", "/v1/sessions/recommendations"): Scope.RECS_READ,
    ("POST", "/v1/events"): Scope.EVENTS_WRITE,
    ("POST", "/v1/events/segment"): Scope.EVENTS_WRITE,
    ("POST", "/v1/items"): Scope.CATALOGUE_WRITE,
    ("GET", "/v1/items/a7"): Scope.CATALOGUE_WRITE,
    ("PUT", "/v1/items/a7"): Scope.CATALOGUE_WRITE,
    ("DELETE", "/v1/items/a7"): Scope.CATALOGUE_WRITE,
    ("GET", "/v1/offers/o3/versions"): Scope.OFFERS_READ,
    ("GET", "/v1/customers/c1/decisions"): Scope.AUDIT_READ,
    ("GET", "/v1/customers/c1/offers/o3/explanation"): Scope.AUDIT_READ,
    ("GET", "/v1/offers/o3/versions/1"): Scope.OFFERS_READ,
    ("POST", "/v1/offers/o3/versions/1/approve"): Scope.OFFERS_APPROVE,
    ("POST", "/v1/offers/o3/versions/1/publish"): Scope.CATALOGUE_WRITE,
    ("POST", "/v1/offers/o3/versions/1/pause"): Scope.CATALOGUE_WRITE,
    ("POST", "/v1/offers/o3/versions/1/resume"): Scope.CATALOGUE_WRITE,
    ("POST", "/v1/offers/o3/versions/1/retire"): Scope.CATALOGUE_WRITE,
    ("GET", "/v1/merchandising-rules"): Scope.CATALOGUE_WRITE,
    ("GET", "/v1/merchandising-rules/r1"): Scope.CATALOGUE_WRITE,
    ("PUT", "/v1/merchandising-rules/r1"): Scope.CATALOGUE_WRITE,
    ("DELETE", "/v1/merchandising-rules/r1"): Scope.CATALOGUE_WRITE,
    ("GET", "/v1/cx"): Scope.AUDIT_READ,
    ("GET", "/v1/experiments"): Scope.EXPERIMENTS_WRITE,
    ("GET", "/v1/experiments/k1"): Scope.EXPERIMENTS_WRITE,
    ("PUT", "/v1/experiments/k1"): Scope.EXPERIMENTS_WRITE,
    ("GET", "/v1/experiments/k1/assignment"): Scope.EXPERIMENTS_WRITE,
    ("GET", "/v1/experiments/k1/results"): Scope.EXPERIMENTS_WRITE,
    ("POST", "/v1/experiments/plan"): Scope.EXPERIMENTS_WRITE,
    ("GET", "/v1/customers/c1/identities"): Scope.CUSTOMERS_READ,
    ("PUT", "/v1/customers/c1/identities/n1"): Scope.EVENTS_WRITE,
    ("GET", "/v1/models"): Scope.MODELS_PROMOTE,
    ("GET", "/v1/models/m1"): Scope.MODELS_PROMOTE,
    ("GET", "/v1/models/m1/preview"): Scope.MODELS_PROMOTE,
    ("POST", "/v1/models/m1/promote"): Scope.MODELS_PROMOTE,
    ("POST", "/v1/models/rollback"): Scope.MODELS_PROMOTE,
    ("POST", "/v1/training-runs"): Scope.TRAIN_RUN,
    ("GET", "/v1/training-runs"): Scope.TRAIN_RUN,
    ("GET", "/v1/training-runs/t1"): Scope.TRAIN_RUN,
    ("POST", "/v1/training-runs/t1/cancel"): Scope.TRAIN_RUN,
    ("GET", "/v1/training-runs/t1/events"): Scope.TRAIN_RUN,
    ("GET", "/v1/customers/c1"): Scope.CUSTOMERS_READ,
    ("PUT", "/v1/customers/c1"): Scope.CUSTOMERS_WRITE,
    ("DELETE", "/v1/customers/c1"): Scope.PRIVACY_ERASE,
    ("GET", "/v1/customers/c1/profile"): Scope.CUSTOMERS_READ,
    ("GET", "/v1/customers/c1/export"): Scope.PRIVACY_ERASE,
}
OPEN = ["/healthz", "/readyz", "/openapi.json", "/docs"]


@pytest.fixture
def keys(services: Services) -> FakeKeys:
    assert isinstance(services.keys, FakeKeys)
    return services.keys


def rule_of(path: str) -> str:
    names = {"a7": "item_id", "c1": "customer_id", "r1": "rule_id", "k1": "key", "n1": "identity_id"}
    more = {"m1": "version", "t1": "run_id", "o3": "offer_id", "1": "number"}
    for example, name in {**names, **more}.items():
        path = re.sub(rf"/{example}(?=/|$)", f"/<{name}>", path)
    return path


def test_every_route_is_in_the_matrix_of_scopes(app: Flask) -> None:
    served = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    known = {(method, rule_of(path)) for method, path in [*CALLS, *(("GET", path) for path in OPEN)]}
    assert served == known


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("role", Role)
def test_a_key_opens_what_its_scopes_name_and_nothing_else(
    app: Flask, method: str, path: str, role: Role
) -> None:
    scope = CALLS[method, path]
    reply = send(app, path, method=method, key=f"rs_{role.value}")
    if scope in ROLE_SCOPES[role]:
        assert reply.status not in (401, 403)
    else:
        assert (reply.status, reply.json["type"]) == (403, "/problems/forbidden")
        assert scope.value in reply.json["detail"]


@pytest.mark.parametrize("path", GUARDED)
def test_a_reader_reads(app: Flask, path: str) -> None:
    assert send(app, path).status == 200


@pytest.mark.parametrize("path", OPEN)
def test_what_is_open_needs_no_key_and_asks_for_none(app: Flask, keys: FakeKeys, path: str) -> None:
    assert send(app, path, key=None).status == 200
    assert send(app, path, key="whatever").status == 200
    assert keys.asked == []


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_call_without_a_key_is_told_how_to_bring_one(app: Flask, method: str, path: str) -> None:
    reply = send(app, path, method=method, key=None)
    assert (reply.status, reply.json["type"]) == (401, "/problems/unauthenticated")
    assert (reply.header("WWW-Authenticate") or "").startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", f"Bearer {READER}"),
        ("Authorization", f"bearer {READER}"),
        ("Authorization", f"Bearer  {READER} "),
        ("X-API-Key", READER),
    ],
)
def test_a_key_may_come_in_either_header(app: Flask, header: tuple[str, str]) -> None:
    assert send(app, CONTENT, key=None, headers=[header]).status == 200


def test_the_same_key_in_both_headers_is_one_key(app: Flask) -> None:
    assert send(app, CONTENT, headers=[("X-API-Key", READER)]).status == 200


@pytest.mark.parametrize("other", ["rs_admin", "", "unknown"])
def test_two_different_keys_are_none(app: Flask, keys: FakeKeys, other: str) -> None:
    assert send(app, CONTENT, headers=[("X-API-Key", other)]).status == 401
    assert keys.asked == []


@pytest.mark.parametrize("query", ["api_key", "key", "access_token", "X-API-Key", "Authorization"])
def test_a_key_in_the_query_never_counts(app: Flask, query: str) -> None:
    assert send(app, f"{CONTENT}?{query}={READER}", key=None).status == 401
    with_key = send(app, f"{CONTENT}?{query}={READER}")
    assert with_key.status == 422
    assert READER not in with_key.body.decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "schlüssel",
        "\xff\xfe",
        "a b",
        "a,b",
        "a\tb",
        "a\x00b",
        "a\r\nX: y",
        "k" * 257,
        "k" * 10_000,
        "٣",
        "'--",
        "*",
    ],
)
def test_an_odd_text_is_no_key_and_the_store_is_not_asked(app: Flask, keys: FakeKeys, text: str) -> None:
    for header in [("Authorization", f"Bearer {text}"), ("X-API-Key", text)]:
        reply = send(app, CONTENT, key=None, headers=[header])
        assert (reply.status, reply.json["type"]) == (401, "/problems/unauthenticated")
    assert keys.asked == []


@pytest.mark.parametrize("text", ["unknown", "rs_reader2", READER.upper(), READER[:-1]])
def test_a_key_that_nobody_knows_is_refused(app: Flask, text: str) -> None:
    reply = send(app, CONTENT, key=text)
    assert (reply.status, reply.json["type"]) == (401, "/problems/unauthenticated")
    assert text not in reply.body.decode().replace("request", "")


@pytest.mark.parametrize("text", [READER, f"Basic {READER}", f"Token {READER}", f"Bearer{READER}", "Bearer"])
def test_an_authorization_that_is_not_a_bearer_key_is_refused(app: Flask, text: str) -> None:
    assert send(app, CONTENT, key=None, headers=[("Authorization", text)]).status == 401


def test_who_calls_is_asked_before_what_is_asked(app: Flask, services: Services) -> None:
    broken = "/v1/customers/%20/recommendations/content?limit=x&%zz"
    assert send(app, broken, key=None).status == 401
    assert send(app, broken, key="rs_ingest").status == 403
    assert send(app, broken).status == 422


def test_a_store_that_cannot_answer_for_a_key_is_unavailable_and_not_open(app: Flask, keys: FakeKeys) -> None:
    keys.down = True
    reply = send(app, CONTENT)
    assert (reply.status, reply.json["type"]) == (503, "/problems/unavailable")
    assert reply.header("Retry-After") == "1"


def test_without_keys_everybody_passes(services: Services) -> None:
    app = create_app(fake_services(auth="off"))
    assert send(app, CONTENT, key=None).status == 200
    assert send(app, CONTENT, key="whatever").status == 200
