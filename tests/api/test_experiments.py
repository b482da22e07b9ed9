"""Experiments over HTTP: phases, versions that a careful writer names, and every fault with its place."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from recsvc.api.app import create_app
from recsvc.api.experiment_examples import EXPERIMENT_EXAMPLE
from recsvc.policy_experiments import ExperimentsPolicy
from tests.api.fakes import NOW, Reply, fake_services
from tests.api.test_items import call

EXPERIMENTS = "/v1/experiments"
ONE = f"{EXPERIMENTS}/exp1"
HALVES = [
    {"key": "a", "model_version": "m1", "weight": 50},
    {"key": "b", "model_version": "m2", "weight": 50},
]


def put(app: Flask, target: str = ONE, if_match: str | None = None, **fields: Any) -> Reply:
    return call(app, "PUT", target, {"variants": HALVES, **fields}, if_match=if_match, key="rs_analyst")


def get(app: Flask, target: str) -> Reply:
    return call(app, "GET", target, key="rs_analyst")


def faults(reply: Reply) -> dict[str, str]:
    assert (reply.status, reply.json["type"]) == (422, "/problems/validation-error")
    return {error["pointer"]: error["detail"] for error in reply.json["errors"]}


def test_a_new_experiment_is_created_in_its_phase_and_comes_back_whole(app: Flask) -> None:
    created = put(app, status="running", layer="home")
    assert (created.status, created.header("Location")) == (201, ONE)
    now = NOW.isoformat().replace("+00:00", "Z")
    said = {"key": "exp1", "status": "running", "phase": 1, "salt": "exp1:1", "layer_salt": "layer@home"}
    said |= {"begun_at": now, "updated_at": now, "is_on": True, "paused_because": None}
    assert created.json | said == created.json
    found = get(app, ONE)
    assert (found.status, found.json, found.header("ETag")) == (200, created.json, created.header("ETag"))
    again = call(app, "PUT", ONE, found.json, if_match=found.header("ETag"), key="rs_analyst")
    assert (again.status, again.json, again.header("ETag")) == (200, found.json, found.header("ETag"))


def test_an_experiment_that_says_everything_comes_back_as_it_went_in(app: Flask) -> None:
    created = call(app, "PUT", ONE, EXPERIMENT_EXAMPLE, key="rs_analyst")
    assert created.status == 201
    shown = created.json
    for variant in shown["variants"]:
        if not variant["policy"]:
            del variant["policy"]
    assert {name: shown[name] for name in EXPERIMENT_EXAMPLE} == EXPERIMENT_EXAMPLE


def test_experiments_are_listed_by_key_and_what_is_not_there_is_not_found(app: Flask) -> None:
    assert get(app, EXPERIMENTS).json == {"experiments": []}
    for key in ("b", "a"):
        assert put(app, f"{EXPERIMENTS}/{key}").status == 201
    assert [one["key"] for one in get(app, EXPERIMENTS).json["experiments"]] == ["a", "b"]
    for target in (ONE, f"{ONE}/assignment?customer_id=c1", f"{EXPERIMENTS}/holdout"):
        assert get(app, target).status == 404


def test_a_change_must_name_the_version_that_it_replaces(app: Flask) -> None:
    etag = put(app).header("ETag")
    assert put(app, status="running").json["type"] == "/problems/precondition-required"
    assert put(app, if_match='"0123"', status="running").status == 412
    begun = put(app, if_match=etag, status="running")
    assert (begun.status, begun.json["phase"]) == (200, 1)
    assert put(app, if_match=etag, status="paused").status == 412


def test_a_running_experiment_is_held_to_its_variants_and_a_stopped_one_begins_anew(app: Flask) -> None:
    etag = put(app, status="running", coverage=0.1).header("ETag")
    uneven = [{**HALVES[0], "weight": 60}, {**HALVES[1], "weight": 40}]
    refused = put(app, if_match=etag, status="running", coverage=0.1, variants=uneven)
    assert (refused.status, refused.json["type"]) == (409, "/problems/conflict")
    assert "variants cannot change while the experiment is running" in refused.json["detail"]
    assert put(app, if_match=etag, status="draft").status == 409
    raised = put(app, if_match=etag, status="running", coverage=0.5)
    assert (raised.status, raised.json["phase"]) == (200, 1)
    stopped = put(app, if_match=raised.header("ETag"), status="stopped", coverage=0.5)
    again = put(app, if_match=stopped.header("ETag"), status="running", variants=uneven)
    assert (again.status, again.json["phase"], again.json["salt"]) == (200, 2, "exp1:2")


@pytest.mark.parametrize("status", ["paused", "stopped"])
def test_one_whose_model_was_withdrawn_can_be_ended_and_not_begun(status: str) -> None:
    services = fake_services()
    faults_by_version: dict[str, str] = {}
    services.experiments.fault_of = faults_by_version.get
    app = create_app(services)
    begun = put(app, status="running")
    faults_by_version["m2"] = "there is no model version m2"
    body = {**begun.json, "status": status}
    ended = call(app, "PUT", ONE, body, if_match=begun.header("ETag"), key="rs_analyst")
    assert (ended.status, ended.json["status"]) == (200, status)
    again = call(
        app, "PUT", ONE, {**body, "status": "running"}, if_match=ended.header("ETag"), key="rs_analyst"
    )
    assert faults(again).keys() == {"/variants/1/model_version"}


def test_what_is_wrong_with_the_body_is_told_before_what_is_wrong_with_the_version(app: Flask) -> None:
    put(app, status="running")
    assert put(app, coverage=2).status == 422
    assert put(app, status="draft").status == 428


def test_ranges_of_one_layer_may_not_overlap_while_both_go_on(app: Flask) -> None:
    assert put(app, status="running", layer="home", layer_range=[0, 5_000]).status == 201
    other = f"{EXPERIMENTS}/exp2"
    refused = put(app, other, status="running", layer="home", layer_range=[4_999, 10_000])
    assert refused.status == 409 and "overlaps with that of experiment exp1" in refused.json["detail"]
    assert put(app, other, status="running", layer="home", layer_range=[5_000, 10_000]).status == 201


@pytest.mark.parametrize(
    ("fields", "pointer", "says"),
    [
        ({"variants": []}, "/variants", "must be 1 to 20 variants"),
        ({"variants": "LEFT OUT"}, "/variants", "is required"),
        (
            {"variants": [{"key": f"v{n}", "model_version": "m1", "weight": 5} for n in range(21)]},
            "/variants",
            "20",
        ),
        ({"variants": [{**HALVES[0], "weight": 49}, HALVES[1]]}, "/variants", "to 100, these sum to 99"),
        ({"variants": [HALVES[0], {**HALVES[1], "key": "a"}]}, "/variants/1/key", "at /variants/0 already"),
        ({"variants": [{**HALVES[0], "weight": 50.5}, HALVES[1]]}, "/variants/0/weight", "a whole number"),
        (
            {"variants": [{**HALVES[0], "model_version": "nope"}, HALVES[1]]},
            "/variants/0/model_version",
            "no model",
        ),
        (
            {"variants": [HALVES[0], {**HALVES[1], "model_version": "bad"}]},
            "/variants/1/model_version",
            "is refused",
        ),
        (
            {"variants": [HALVES[0], {**HALVES[1], "model_version": None}]},
            "/variants/1/model_version",
            "null",
        ),
        (
            {"variants": [{**HALVES[0], "policy": {"calibratoin": 0.1}}, HALVES[1]]},
            "/variants/0/policy/calibratoin",
            "is not a lever; did you mean calibration?",
        ),
        (
            {"variants": [HALVES[0], {**HALVES[1], "policy": {"calibration": 1}}]},
            "/variants/1/policy/calibration",
            "calibration must be 0 or more and below 1",
        ),
        ({"coverage": 1.5}, "/coverage", "from 0 to 1"),
        ({"layer_range": [0, 5_000]}, "/layer_range", "needs a layer"),
        ({"layer": "home", "layer_range": [5_000, 5_000]}, "/layer_range", "the first must be below"),
        ({"layer": "home", "layer_range": [0, 10_001]}, "/layer_range/1", "from 0 to 10000"),
        ({"layer": "../home"}, "/layer", "must be 1 to 256"),
        ({"status": "begun"}, "/status", "must be one of"),
        ({"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "/end", "must be after start"),
        ({"status": "running", "analysis": "fixed"}, "/end", "the test is judged then"),
        ({"status": "running", "end": "2020-01-01T00:00:00Z"}, "/end", "must lie ahead"),
        ({"start": "2026-02-01T00:00:00"}, "/start", "offset"),
        ({"secondary": ["clicks", "clicks"]}, "/secondary/1", "stands at /secondary/0 already"),
        (
            {"guardrails": [{"metric": "complaints", "margin": n} for n in (1, 2)]},
            "/guardrails/1/metric",
            "stands at /guardrails/0/metric already",
        ),
        ({"primary_metric": "click_trough"}, "/primary_metric", "did you mean click_through?"),
        ({"secondary": ["clicks", "nope"]}, "/secondary/1", "is no metric"),
        ({"guardrails": [{"metric": "nope", "margin": 1}]}, "/guardrails/0/metric", "is no metric"),
        ({"guardrails": [{"metric": "complaints", "margin": 0}]}, "/guardrails/0/margin", "must be above 0"),
        ({"alpha": 0}, "/alpha", "from 1e-06 to 0.4"),
        ({"alpha": 0.5}, "/alpha", "from 1e-06 to 0.4"),
        ({"power": 1}, "/power", "above 0 and below 1"),
        ({"minimum_effect": -1}, "/minimum_effect", "from 0"),
        ({"targeting": {"regex": "(a+)+$"}}, "/targeting", "is not a field"),
        ({"key": "exp2"}, "/key", "must be the key in the path"),
    ],
)
def test_a_fault_is_told_with_its_place_and_nothing_is_registered(
    app: Flask, fields: dict[str, Any], pointer: str, says: str
) -> None:
    body = {"variants": HALVES, **fields}
    reply = call(app, "PUT", ONE, {name: v for name, v in body.items() if v != "LEFT OUT"}, key="rs_analyst")
    assert says in faults(reply)[pointer]
    assert get(app, ONE).status == 404


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"variants": [{}] * 100_000}, "/variants"),
        ({"secondary": ["click_trough"] * 50_000}, "/secondary"),
        ({"guardrails": [{}] * 100_000}, "/guardrails"),
        ({"layer_range": [1] * 100_000}, "/layer_range"),
        (
            {"variants": [{**HALVES[0], "policy": {f"lever{n}": 1 for n in range(50_000)}}]},
            "/variants/0/policy",
        ),
    ],
)
def test_of_what_is_far_too_long_only_that_is_told(app: Flask, fields: dict[str, Any], pointer: str) -> None:
    # To tell what is wrong with each of them took seconds of a worker, for one megabyte.
    found = faults(put(app, **fields))
    assert list(found) == [pointer] and "at most" in found[pointer]


def test_faults_of_shape_and_of_value_are_told_together(app: Flask) -> None:
    variants = [{**HALVES[0], "weight": 10, "model_version": "nope"}, {**HALVES[1], "policy": {"x": 1}}]
    reply = put(app, variants=variants, coverage=-1, targeting={}, primary_metric="nope")
    assert faults(reply).keys() == {
        "/variants",
        "/variants/0/model_version",
        "/variants/1/policy/x",
        "/coverage",
        "/targeting",
        "/primary_metric",
    }


def test_a_body_that_is_no_object_is_refused_in_one_sentence(app: Flask) -> None:
    assert faults(call(app, "PUT", ONE, [HALVES], key="rs_analyst")) == {"": "must be an object"}


def test_an_interaction_type_is_a_metric_too_and_a_guardrail_knows_which_way_its_metric_is_better(
    app: Flask,
) -> None:
    created = put(app, primary_metric="bookmark", guardrails=[{"metric": "complaints", "margin": 0.01}])
    assert created.status == 201
    assert created.json["guardrails"] == [{"metric": "complaints", "margin": 0.01, "direction": "lower"}]


@pytest.mark.parametrize("status", ["draft", "running"])
def test_an_assignment_is_the_same_whatever_the_status(app: Flask, status: str) -> None:
    put(app, status=status, coverage=1)
    found = get(app, f"{ONE}/assignment?customer_id=c1")
    assert found.status == 200
    assert found.json.keys() == {"variant", "bucket", "layer_bucket", "unit", "is_on", "held_out"}
    assert found.json["variant"] in ("a", "b")
    assert (found.json["unit"], found.json["held_out"]) == ("c1", False)
    assert (found.json["layer_bucket"], found.json["is_on"]) == (None, status == "running")


def test_who_is_outside_the_coverage_or_the_range_has_no_variant(app: Flask) -> None:
    put(app, coverage=0)
    found = get(app, f"{ONE}/assignment?customer_id=c1").json
    assert found["variant"] is None and 0 <= found["bucket"] < 10_000
    other = f"{EXPERIMENTS}/exp2"
    put(app, other, layer="home", layer_range=[0, 1])
    found = get(app, f"{other}/assignment?customer_id=c1").json
    assert (found["variant"], found["bucket"]) == (None, None)
    assert 0 < found["layer_bucket"] < 10_000


@pytest.mark.parametrize(
    "query", ["", "?customer_id=", "?customer_id=%2F", "?customer=c1", "?customer_id=a&customer_id=b"]
)
def test_an_assignment_is_asked_for_one_customer(app: Flask, query: str) -> None:
    put(app)
    reply = get(app, f"{ONE}/assignment{query}")
    assert reply.status == 422 and any(found.startswith("query/customer") for found in reply.pointers)


def test_who_is_held_out_has_no_variant_and_the_hold_out_is_shown_and_never_written() -> None:
    app = create_app(fake_services(experiments_policy=ExperimentsPolicy(holdout_percent=50)))
    put(app, status="running")
    both = [
        tuple(
            get(app, f"{EXPERIMENTS}/{key}/assignment?customer_id=c{n}").json for key in ("exp1", "holdout")
        )
        for n in range(40)
    ]
    assert {one["held_out"] for one, _ in both} == {True, False}
    for one, holdout in both:
        assert (one["variant"] is None) == one["held_out"] == (holdout["variant"] == "held_out")
    shown = get(app, f"{EXPERIMENTS}/holdout").json
    assert [one["key"] for one in get(app, EXPERIMENTS).json["experiments"]] == ["holdout", "exp1"]
    assert [(one["key"], one["model_version"]) for one in shown["variants"]] == [
        ("held_out", None),
        ("in_experiments", None),
    ]
    refused = put(app, f"{EXPERIMENTS}/holdout")
    assert refused.status == 409 and "the hold-out's own key" in refused.json["detail"]


def test_an_identity_keeps_its_variant_under_the_name_of_the_customer(app: Flask) -> None:
    put(app)
    before = get(app, f"{ONE}/assignment?customer_id=nameless").json
    link = "/v1/customers/c1/identities/nameless"
    created = call(app, "PUT", link, key="rs_frontend")
    assert created.status == 201
    assert created.json["unit"] == "nameless" and created.json["customer_id"] == "c1"
    again = call(app, "PUT", link, key="rs_frontend")
    assert (again.status, again.json) == (200, created.json)
    for name in ("c1", "nameless"):
        assert get(app, f"{ONE}/assignment?customer_id={name}").json == before
    listed = call(app, "GET", "/v1/customers/c1/identities", key="rs_admin")
    assert listed.json == {"customer_id": "c1", "identities": [created.json]}


def test_an_identity_of_somebody_else_is_a_conflict_and_names_nobody(app: Flask) -> None:
    call(app, "PUT", "/v1/customers/c1/identities/nameless", key="rs_frontend")
    for link in ("c2/identities/nameless", "nameless/identities/c1", "c2/identities/c2"):
        refused = call(app, "PUT", f"/v1/customers/{link}", key="rs_frontend")
        assert (refused.status, refused.json["type"]) == (409, "/problems/conflict")
        assert "c1" not in refused.json["detail"]
    bad = call(app, "PUT", "/v1/customers/c1/identities/a%20b", key="rs_frontend")
    assert (bad.status, bad.pointers) == (422, ["path/identity_id"])
