"""Results and plans over HTTP: figures with their reasons, and a page that needs nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from tests.api.fakes import Reply, send
from tests.api.test_items import call

RESULTS = "/v1/experiments/home/results"
PLAN = "/v1/experiments/plan"
WISH = {"primary_metric": "clicks", "relative_effect": 0.1}


def plan(app: Flask, **wish: Any) -> Reply:
    given = {name: value for name, value in {**WISH, **wish}.items() if value != "LEFT OUT"}
    return call(app, "POST", PLAN, given)


def test_results_are_answered_with_one_verdict_for_each_arm(app: Flask) -> None:
    reply = call(app, "GET", RESULTS)
    assert (reply.status, reply.header("Cache-Control")) == (200, "no-store")
    report = reply.json
    assert (report["control"], report["method"], report["refusal"]) == (
        "control",
        "confidence_sequence",
        None,
    )
    assert [arm["n_customers"] for arm in report["checks"]["variants"]] == [40, 40]
    (arm,) = report["arms"]
    assert (arm["variant"], arm["verdict"]) == ("new", "inconclusive")
    assert arm["primary"]["difference"]["interval"]["low"] < 0
    assert arm["secondary"][0]["refusal"] == "no customer of either arm differs from another"
    assert arm["guardrails"][0]["state"] == "not_shown"


def test_a_draft_says_that_nobody_is_in_it(app: Flask) -> None:
    report = call(app, "GET", "/v1/experiments/draft/results").json
    assert (report["arms"], report["refusal"]) == ([], "it is a draft: nobody is in it until it runs")


def test_what_is_not_there_has_no_results(app: Flask) -> None:
    unknown = call(app, "GET", "/v1/experiments/unheard-of/results")
    assert (unknown.status, unknown.json["detail"]) == (404, "there is no such experiment")
    holdout = call(app, "GET", "/v1/experiments/holdout/results")
    assert holdout.status == 404 and "holdout_percent" in holdout.json["detail"]


def test_results_are_for_analysts(app: Flask) -> None:
    assert send(app, RESULTS).status == 403
    assert send(app, PLAN, method="POST", body=b"{}").status == 403
    assert send(app, RESULTS, key=None).status == 401


def test_the_page_needs_no_script_and_no_other_host(app: Flask) -> None:
    reply = call(app, "GET", f"{RESULTS}?view=page")
    page = reply.body.decode()
    assert (reply.status, reply.header("Content-Type")) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in (reply.header("Content-Security-Policy") or "")
    assert re.findall(r"<script|https?:|url\(|@import| style=| on\w+=", page) == []
    assert page.count("<svg") == 3 and "inconclusive" in page and "Guardrail complaints: not shown" in page
    assert (
        "There is nothing to compare"
        in call(app, "GET", "/v1/experiments/draft/results?view=page").body.decode()
    )


@pytest.mark.parametrize("query", ["view=pdf", "view=page&view=page", "format=page"])
def test_another_view_is_refused(app: Flask, query: str) -> None:
    assert call(app, "GET", f"{RESULTS}?{query}").status == 422


def test_a_plan_says_how_many_and_how_long_and_from_what(app: Flask) -> None:
    found = plan(app)
    assert found.status == 200
    one, other = found.json["customers_per_arm"]
    assert one == other and found.json["customers_in_all"] == one + other
    assert found.json["relative_effect"] == pytest.approx(0.1)
    assert found.json["baseline"]["n_customers"] == 80
    assert found.json["days"] > 100


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"primary_metric": "LEFT OUT"}, ["/primary_metric"]),
    ({"primary_metric": "unheard_of"}, ["/primary_metric"]),
    ({"relative_effect": "LEFT OUT"}, ["/minimum_effect"]),
    ({"minimum_effect": 0.1}, ["/minimum_effect"]),
    ({"relative_effect": 0}, ["/relative_effect"]),
    ({"relative_effect": "0.1"}, ["/relative_effect"]),
    ({"relative_effect": 99}, ["/relative_effect"]),
    ({"relative_effect": "LEFT OUT", "minimum_effect": 0.9}, ["/minimum_effect"]),
    ({"alpha": 0}, ["/alpha"]),
    ({"power": 1}, ["/power"]),
    ({"weights": [50]}, ["/weights"]),
    ({"weights": [50, 49]}, ["/weights"]),
    ({"weights": [50, 0, 50]}, ["/weights/1"]),
    ({"weights": 50}, ["/weights"]),
    ({"coverage": 0}, ["/coverage"]),
    ({"lookback_days": 0}, ["/lookback_days"]),
    ({"lookback": 28}, ["/lookback"]),
]


@pytest.mark.parametrize(("wrong", "pointers"), WRONG)
def test_a_wish_that_breaks_a_rule_is_told_with_its_place(
    app: Flask, wrong: dict[str, Any], pointers: list[str]
) -> None:
    reply = plan(app, **wrong)
    assert (reply.status, reply.pointers) == (422, pointers)


def test_what_the_store_cannot_say_is_a_conflict_with_its_reason(app: Flask) -> None:
    nobody = plan(app, primary_metric="nps")
    assert (nobody.status, nobody.json["type"]) == (409, "/problems/conflict")
    assert nobody.json["detail"].startswith("0 of the customers of the last 28 days have a value of nps")
    never = plan(app, primary_metric="complaints")
    assert never.status == 409 and "there is nothing to plan by" in never.json["detail"]
    assert plan(app, primary_metric="latency").status == 409
