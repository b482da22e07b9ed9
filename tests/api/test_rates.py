"""Who calls too often is held back, and nobody else is."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
import time_machine
from flask import Flask

from recsvc.api.app import create_app
from tests.api.fakes import CONTENT, Reply, fake_services, send
from tests.api.test_event_rules import an_event

MOMENT = datetime(2026, 11, 22, 10, 20, tzinfo=UTC)
BODY = json.dumps({"events": [an_event()]}).encode()


def post(app: Flask, key: str = "rs_ingest") -> Reply:
    headers = [("Content-Type", "application/json")]
    return send(app, "/v1/events", method="POST", key=key, headers=headers, body=BODY)


def test_a_flood_of_events_from_one_key_is_held_back(app: Flask) -> None:
    with time_machine.travel(MOMENT, tick=False) as clock:
        replies = [post(app) for _ in range(1000)]
        assert Counter(reply.status for reply in replies) == {202: 600, 429: 400}
        assert replies[-1].json["type"] == "/problems/rate-limited"
        assert replies[-1].header("Retry-After") == "1"
        assert post(app, key="rs_frontend").status == 202
        assert send(app, CONTENT).status == 200
        clock.shift(2)
        assert post(app).status == 202


def test_reading_out_customers_one_by_one_is_held_back(app: Flask) -> None:
    with time_machine.travel(MOMENT, tick=False) as clock:
        for number in range(500):
            reply = send(app, f"/v1/customers/c{number}/profile", key="rs_privacy")
            assert reply.status == (200 if number in (1, 2) else 404 if number < 100 else 429)
        assert reply.header("Retry-After") == "10"
        assert send(app, "/v1/customers/c1", key="rs_privacy").status == 404
        clock.shift(20)
        assert send(app, "/v1/customers/c1/profile", key="rs_privacy").status == 200


@pytest.mark.parametrize("target", [CONTENT, "/v1/trending"])
def test_lists_are_not_counted(app: Flask, target: str) -> None:
    assert {send(app, target).status for _ in range(700)} == {200}


def test_a_call_without_the_scope_is_not_counted(app: Flask) -> None:
    with time_machine.travel(MOMENT, tick=False):
        assert {post(app, key="rs_reader").status for _ in range(700)} == {403}
        assert post(app).status == 202


def test_without_keys_everybody_is_counted_together() -> None:
    app = create_app(fake_services(auth="off"))
    with time_machine.travel(MOMENT, tick=False):
        assert Counter(post(app, key=key).status for key in ("a", "b") * 400) == {202: 600, 429: 200}
