"""Whether the service lives and can answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from recsvc.api.schemas import LivenessSchema, ReadinessSchema
from recsvc.services import Services
from recsvc.serving.answers import RefusedBundle
from tests.api.fakes import FakeHealth, send


@pytest.fixture
def health(services: Services) -> FakeHealth:
    assert isinstance(services.health, FakeHealth)
    return services.health


def test_a_process_that_runs_is_alive(app: Flask) -> None:
    reply = send(app, "/healthz", key=None)
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    assert LivenessSchema().validate(reply.json) == {}


def test_a_whole_service_is_ready_and_not_degraded(app: Flask) -> None:
    reply = send(app, "/readyz", key=None)
    assert (reply.status, reply.header("Cache-Control")) == (200, "no-store")
    assert reply.json == {
        "ready": True,
        "degraded": False,
        "reasons": [],
        "model": {"version": "20261122T101500Z-als-3f9a1c", "refused": []},
        "redis": "up",
        "store": "up",
        "live": {"sequence": 7, "behind": 0},
    }


def test_a_service_without_redis_is_ready_but_degraded(app: Flask, health: FakeHealth) -> None:
    refused = (RefusedBundle("20261121T080000Z-als-aaaaaa", "item_factors.npy has another checksum"),)
    health.current = replace(health.current, redis=False, degraded=("redis",), refused_bundles=refused)
    reply = send(app, "/readyz", key=None)
    assert reply.status == 200
    assert ReadinessSchema().validate(reply.json) == {}
    assert (reply.json["degraded"], reply.json["reasons"], reply.json["redis"]) == (True, ["redis"], "down")
    assert reply.json["model"]["refused"] == [
        {"version": "20261121T080000Z-als-aaaaaa", "reason": "item_factors.npy has another checksum"}
    ]


def test_a_service_with_nothing_to_show_is_not_ready(app: Flask, health: FakeHealth) -> None:
    health.current = replace(health.current, ready=False, degraded=("model", "store"))
    reply = send(app, "/readyz", key=None)
    assert (reply.status, reply.json["type"]) == (503, "/problems/unavailable")
    assert reply.json["detail"] == "not ready: model, store"
    assert reply.header("Retry-After") == "1"


def test_metrics_are_not_on_the_public_port(app: Flask) -> None:
    reply = send(app, "/metrics", key=None)
    assert (reply.status, reply.json["type"]) == (404, "/problems/not-found")
