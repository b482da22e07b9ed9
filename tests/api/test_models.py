"""The shelf of models over HTTP: what is there, what serves, and what becomes of a promotion."""

from __future__ import annotations

import pytest
from flask import Flask

from recsvc.api.model_schemas import AliasesSchema, ModelSchema, ModelShelfSchema, PreviewSchema
from recsvc.errors import BundleRefusedError, NothingToRollBackError, RegistryError, StoreError
from recsvc.services import Services
from tests.api.fakes import FakeModels, Reply, send

KEY = "rs_marketer"


@pytest.fixture
def models(services: Services) -> FakeModels:
    assert isinstance(services.models, FakeModels)
    return services.models


def get(app: Flask, path: str) -> Reply:
    return send(app, f"/v1/models{path}", key=KEY)


def post(app: Flask, path: str) -> Reply:
    return send(app, f"/v1/models/{path}", method="POST", key=KEY)


def test_the_shelf_says_what_serves_and_what_cannot_be_read(app: Flask) -> None:
    reply = get(app, "")
    assert reply.status == 200 and reply.header("Cache-Control") == "no-store"
    assert ModelShelfSchema().validate(reply.json) == {}
    assert (reply.json["champion"], reply.json["challenger"]) == ("m1", "m2")
    broken, sound = reply.json["models"]
    assert broken["problem"] == "cannot be parsed" and broken["family"] is None
    assert (sound["alias"], sound["decision"]) == ("champion", "promote")
    assert sound["metrics"]["ndcg@20"]["value"] == 0.12


def test_a_version_comes_with_what_the_gate_found(app: Flask) -> None:
    reply = get(app, "/m1")
    assert reply.status == 200
    assert ModelSchema().validate(reply.json) == {}
    assert reply.json["parts"][0]["family"] == "als"
    assert reply.json["gate"]["reasons"][0]["code"] == "no_worse"


def test_a_preview_says_what_would_change(app: Flask) -> None:
    reply = get(app, "/m2/preview")
    assert reply.status == 200
    assert PreviewSchema().validate(reply.json) == {}
    assert reply.json["offers"] == [{"name": "o3", "title": "Savings account", "candidate": 9, "champion": 3}]


def test_a_promotion_and_a_roll_back_answer_where_the_aliases_point(app: Flask) -> None:
    reply = post(app, "m2/promote")
    assert reply.status == 200 and AliasesSchema().validate(reply.json) == {}
    assert reply.json == {"champion": "m2", "challenger": None, "former_champions": ["m1"]}
    assert post(app, "rollback").json["champion"] == "m0"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/m9"), ("GET", "/m9/preview"), ("POST", "/m9/promote")]
)
def test_an_unknown_version_is_not_found(app: Flask, method: str, path: str) -> None:
    reply = send(app, f"/v1/models{path}", method=method, key=KEY)
    assert (reply.status, reply.json["type"]) == (404, "/problems/not-found")


def test_a_bundle_that_fails_its_checks_is_refused_with_the_named_reason(
    app: Flask, models: FakeModels
) -> None:
    models.failure = BundleRefusedError("bundle m2 is refused: item_ids_text.npy has another checksum")
    reply = post(app, "m2/promote")
    assert (reply.status, reply.json["type"]) == (409, "/problems/bundle-refused")
    assert reply.json["detail"] == "bundle m2 is refused: item_ids_text.npy has another checksum"


def test_where_there_is_nothing_to_roll_back_to_the_reason_is_told(app: Flask, models: FakeModels) -> None:
    models.failure = NothingToRollBackError(["bundle m0 is refused: it is incompatible"])
    reply = post(app, "rollback")
    assert (reply.status, reply.json["type"]) == (409, "/problems/conflict")
    assert "bundle m0 is refused" in reply.json["detail"]


@pytest.mark.parametrize("failure", [RegistryError("no folder"), StoreError("no store")])
def test_a_shelf_or_a_store_that_cannot_be_read_is_no_fault_of_the_caller(
    app: Flask, models: FakeModels, failure: Exception
) -> None:
    models.failure = failure
    reply = post(app, "m2/promote")
    assert (reply.status, reply.json["type"]) == (503, "/problems/unavailable")
    assert "no " not in reply.json["detail"]
