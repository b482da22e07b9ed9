"""One customer over HTTP: the record, the portrait, the export, and being forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from recsvc.api.documents import CUSTOMER_EXAMPLE
from recsvc.api.portrait_schemas import PortraitSchema
from recsvc.domain.items import Channel
from recsvc.errors import StoreError
from recsvc.services import Services
from tests.api.fakes import FakeDesk, FakePrivacy, Reply, send
from tests.api.test_items import call as call_as

CUSTOMER = "/v1/customers/c1"
PROFILE = f"{CUSTOMER}/profile"
EXPORT = f"{CUSTOMER}/export"


def call(app: Flask, method: str, target: str, body: Any = None, *, if_match: str | None = None) -> Reply:
    return call_as(app, method, target, body, if_match=if_match, key="rs_privacy")


@pytest.fixture
def privacy(services: Services) -> FakePrivacy:
    assert isinstance(services.privacy, FakePrivacy)
    return services.privacy


def test_a_customer_is_recorded_and_comes_back_as_they_went_in(app: Flask, services: Services) -> None:
    assert call(app, "GET", CUSTOMER).status == 404
    created = call(app, "PUT", CUSTOMER, CUSTOMER_EXAMPLE)
    assert (created.status, created.header("Location")) == (201, CUSTOMER)
    found = call(app, "GET", CUSTOMER)
    assert (found.status, found.body, found.header("ETag")) == (200, created.body, created.header("ETag"))
    assert isinstance(services.customers, FakeDesk)
    consents = services.customers.kept["c1"].value.consents
    assert (consents.personalisation, consents.marketing) == (True, (Channel.WEB, Channel.EMAIL))
    assert call(app, "PUT", CUSTOMER, found.json).status == 428
    assert call(app, "PUT", CUSTOMER, found.json, if_match='"v7"').status == 412
    assert call(app, "PUT", CUSTOMER, found.json, if_match=found.header("ETag")).status == 200


def test_nobody_has_asked_and_nothing_was_agreed_are_two_things(app: Flask) -> None:
    assert call(app, "PUT", CUSTOMER, {}).json["consents"] is None
    refused = call(app, "PUT", CUSTOMER, {"consents": {}}, if_match="*").json["consents"]
    assert refused == {"personalisation": False, "marketing": []}


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"customer_id": "c2"}, "/customer_id"),
        ({"customer_id": 5}, "/customer_id"),
        ({"attributes": {"age": [34]}}, "/attributes/age"),
        ({"attributes": {"": 1}}, "/attributes/"),
        ({"locale": "english, please"}, "/locale"),
        ({"locale": 5}, "/locale"),
        ({"consents": True}, "/consents"),
        ({"consents": {"personalisation": "yes"}}, "/consents/personalisation"),
        ({"consents": {"personalisation": 1}}, "/consents/personalisation"),
        ({"consents": {"marketing": ["web", "fax"]}}, "/consents/marketing/1"),
        ({"consents": {"marketing": "web"}}, "/consents/marketing"),
        ({"consents": {"marketting": []}}, "/consents/marketting"),
        ({"suitability": {"max_risk_class": 8}}, "/suitability/max_risk_class"),
        ({"suitability": {"max_risk_class": "3"}}, "/suitability/max_risk_class"),
        ({"suitability": {"expires_at": "2027-01-01"}}, "/suitability/expires_at"),
        ({"suitability": {"horizon_years": 1.5}}, "/suitability/horizon_years"),
        ({"is_admin": True}, "/is_admin"),
    ],
)
def test_a_fault_is_told_with_its_place(app: Flask, wrong: dict[str, Any], pointer: str) -> None:
    reply = call(app, "PUT", CUSTOMER, {**CUSTOMER_EXAMPLE, **wrong})
    assert (reply.status, reply.pointers) == (422, [pointer])


def test_a_portrait_is_shown(app: Flask) -> None:
    reply = call(app, "GET", PROFILE)
    assert (reply.status, reply.header("Content-Type")) == (200, "application/json")
    assert reply.json["customer_id"] == "c1"
    assert PortraitSchema().validate(reply.json) == {}
    assert reply.header("Cache-Control") == "no-store"


def test_one_who_is_unknown_and_one_who_was_erased_look_the_same(app: Flask) -> None:
    unknown = call(app, "GET", "/v1/customers/c9/profile")
    assert (unknown.status, unknown.json["type"]) == (404, "/problems/not-found")
    assert "c9" not in unknown.json["detail"]


@pytest.mark.parametrize("query", ["fields=*", "fields=", "limit=1", "as_of=2026-01-01"])
def test_a_portrait_is_shown_whole_or_not_at_all(app: Flask, query: str) -> None:
    reply = call(app, "GET", f"{PROFILE}?{query}")
    assert (reply.status, reply.pointers) == (422, [f"query/{query.partition('=')[0]}"])


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8000"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "DELETE", "PUT"])
def test_no_page_of_another_origin_may_read_along(app: Flask, origin: str, method: str) -> None:
    asked = [("Origin", origin), ("Access-Control-Request-Method", "DELETE")]
    for target in (CUSTOMER, PROFILE, EXPORT):
        reply = send(app, target, method=method, key="rs_privacy", headers=asked)
        assert not [name for name, _ in reply.headers if name.lower().startswith("access-control-")]


def test_forgetting_answers_with_a_receipt_and_twice_the_same(app: Flask, privacy: FakePrivacy) -> None:
    first, second = (call(app, "DELETE", CUSTOMER) for _ in range(2))
    assert (first.status, first.json) == (202, second.json)
    assert first.json["removed"] == {"events": 2, "customer": 1}
    assert "c1" not in first.body.decode()
    assert privacy.erased == ["c1", "c1"]


def test_nobody_is_forgotten_by_mistake(app: Flask, privacy: FakePrivacy) -> None:
    assert call(app, "DELETE", "/v1/customers/").status == 404
    assert call(app, "DELETE", "/v1/customers").status == 404
    assert call(app, "DELETE", "/v1/customers/*").status == 422
    assert call(app, "DELETE", f"{CUSTOMER}?all=true").status == 422
    assert send(app, CUSTOMER, method="DELETE", key="rs_marketer").status == 403
    assert privacy.erased == []


def test_an_export_is_a_file_of_json(app: Flask) -> None:
    reply = call(app, "GET", EXPORT)
    assert (reply.status, reply.json) == (200, {"customer_id": "c1"})
    assert reply.header("Content-Disposition") == 'attachment; filename="customer.json"'
    assert reply.header("Content-Length") is None


def test_what_cannot_be_read_or_removed_is_unavailable(app: Flask, privacy: FakePrivacy) -> None:
    privacy.failure = StoreError("down")
    for method, target in (("DELETE", CUSTOMER), ("GET", EXPORT)):
        reply = call(app, method, target)
        assert (reply.status, reply.header("Retry-After")) == (503, "1")
