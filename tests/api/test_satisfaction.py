"""Satisfaction over HTTP: figures as they are answered, and parameters that break a rule."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from recsvc.api.satisfaction_schemas import SatisfactionSchema
from tests.api.fakes import Reply, send

KEY = "rs_analyst"


def ask(app: Flask, query: str = "") -> Reply:
    return send(app, f"/v1/cx{query}", key=KEY)


def test_all_together_stand_with_intervals_and_response_rates(app: Flask) -> None:
    reply = ask(app)
    assert (reply.status, reply.header("Cache-Control")) == (200, "no-store")
    total, nps = reply.json["total"], reply.json["total"]["nps"]
    assert (total["customers"], total["csat"], reply.json["groups"]) == (3, None, [])
    assert (nps["value"], nps["promoters"], nps["detractors"], nps["n"]) == (0, 1, 1, 2)
    assert nps["interval"]["low"] < 0 < nps["interval"]["high"]
    assert nps["response_rate"] == pytest.approx(2 / 3)
    assert (total["ces"]["value"], total["ces"]["interval"]) == (6, None)
    assert (reply.json["since"], reply.json["until"]) == ("2026-08-24T10:20:00Z", "2026-11-22T10:20:00Z")


@pytest.mark.parametrize("by", ["segment", "channel", "day", "week", "month", "variant"])
def test_every_grouping_is_answered_in_the_documented_shape(app: Flask, by: str) -> None:
    reply = ask(app, f"?by={by}&experiment=rates")
    assert (reply.status, reply.json["by"]) == (200, by)
    assert SatisfactionSchema().validate(reply.json) == {}
    assert reply.json["experiment"] == {"key": "rates", "phase": 1}
    assert reply.json["groups"]


def test_variants_are_compared_with_the_first(app: Flask) -> None:
    reply = ask(app, "?by=variant&experiment=rates").json
    assert [(group["name"], group["nps"]["value"]) for group in reply["groups"]] == [("a", 100), ("b", -100)]
    nothing: dict[str, Any] = dict.fromkeys(("value", "standard_error", "z", "p"))
    assert reply["nps_differences"] == [{"variant": "b", "control": "a", **nothing}]


def test_a_channel_narrows_the_answers(app: Flask) -> None:
    total = ask(app, "?channel=email").json["total"]
    assert (total["customers"], total["nps"]["value"]) == (1, -100)


@pytest.mark.parametrize(
    "query",
    [
        "?since=2026-11-21&until=2026-11-22",
        "?since=2026-11-21T00:00:00Z&until=2026-11-22T01:00:00%2B01:00",
        "?since=2026-11-21T00:00:00Z&until=2026-11-22T01:00:00+01:00",
    ],
)
def test_days_and_moments_both_bound_the_window(app: Flask, query: str) -> None:
    assert ask(app, query).json["total"]["customers"] == 2


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("?since=yesterday", ["query/since"]),
        ("?since=2026-11-31", ["query/since"]),
        ("?since=2026-11-21T00:00:00", ["query/since"]),
        ("?since=1999-12-31", ["query/since"]),
        ("?until=9999-12-31", ["query/until"]),
        ("?until=0001-01-01T00:00:00%2B23:59", ["query/until"]),
        ("?until=", ["query/until"]),
        ("?since=2026-11-22&until=2026-11-21", ["query/since"]),
        ("?by=planet", ["query/by"]),
        ("?by=variant", ["query/experiment"]),
        ("?experiment=unheard", ["query/experiment"]),
        ("?experiment=%00", ["query/experiment"]),
        ("?channel=fax", ["query/channel"]),
        ("?by=day&since=2020-01-01", ["query/by"]),
        ("?by=day&by=week", ["query/by"]),
        ("?group=day", ["query/group"]),
    ],
)
def test_a_parameter_that_breaks_a_rule_is_named(app: Flask, query: str, pointers: list[str]) -> None:
    reply = ask(app, query)
    assert (reply.status, reply.pointers) == (422, pointers)
