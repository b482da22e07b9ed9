"""Plays a corpus of bad requests from a file: every case that the endpoints here can meet.

The file is not part of the repository; `RECSVC_TEST_BAD_INPUTS` names one, else it is looked for beside it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from recsvc.domain.experiments import Experiment, ExperimentVariant
from recsvc.services import Services
from tests.api.conftest import LogLines
from tests.api.fakes import READER, FakeIntake, send

FILE = Path(
    os.environ.get("RECSVC_TEST_BAD_INPUTS") or Path(__file__).parents[3] / "shared" / "bad_inputs.json"
)
SCOPES = {
    "key:serving": READER,
    "key:ingest": "rs_ingest",
    "key:privacy": "rs_privacy",
    "key:marketer": "rs_marketer",
    "key:revoked": "rs_revoked",
    "none": None,
}
NAMES = {
    "{A}": "c1",
    "{B}": "c2",
    "{UNKNOWN}": "nobody",
    "{ERASED}": "c3",
    "{NOCONSENT}": "c4",
    "{KEY}": READER,
    "{CORRUPT}": "bad",
    "{uuid}": "0b5f6c1e-7d53-4a52-9a55-1c2f4be0a1d7",
}
# What only a whole server, or a broken one, can meet: floods have tests of their own.
NOT_HERE = {"events-slow-body", "events-flood", "events-disk-full", "profile-enumeration", "training-flood"}
ENDPOINTS = {"recs", "any", "events", "delete", "profile", "experiment", "training"}
EXPERIMENT = Experiment("exp1", (ExperimentVariant("a", "m1", 50), ExperimentVariant("b", "m2", 50)))


def cases() -> list[dict[str, Any]]:
    if not FILE.is_file():
        return []
    found = json.loads(FILE.read_text("utf-8"))["cases"]
    mine = [case for case in found if case["endpoint"] in ENDPOINTS or is_a_list_of_offers(case)]
    return [case for case in mine if case["auth"] in SCOPES and case["id"] not in NOT_HERE]


def is_a_list_of_offers(case: dict[str, Any]) -> bool:
    return case["endpoint"] == "offers" and "/recommendations/" in case["path"]


def expand(text: str) -> str:
    for name, value in NAMES.items():
        text = text.replace(name, value)
    text = re.sub(r"\{repeat:(.*?):(\d+)\}", lambda m: m[1] * int(m[2]), text)
    return re.sub(r"\{csv:(.*?):(\d+)\}", lambda m: ",".join(f"{m[1]}{n}" for n in range(int(m[2]))), text)


def headers_of(case: dict[str, Any]) -> list[tuple[str, str]]:
    given = dict(case.get("headers", {}))
    if "body_json" in case or "body_gen" in case:
        given.setdefault("Content-Type", "application/json")
    n_pads = int(given.pop("{repeat_headers}", "0"))
    return [(name, expand(value)) for name, value in given.items()] + [
        (f"X-Pad-{n}", "v") for n in range(n_pads)
    ]


def body_of(case: dict[str, Any]) -> bytes:
    if "body_json" in case:
        return expand(json.dumps(case["body_json"])).encode()
    if "body_gen" in case:
        return made_body(case["body_gen"])
    return expand(case.get("body_text", "")).encode()


def made_body(recipe: dict[str, Any]) -> bytes:
    if "repeat" in recipe:
        opened, closed = (recipe[name] * recipe["times"] for name in ("repeat", "repeat_close"))
        return str(recipe["prefix"] + opened + recipe["mid"] + closed + recipe["suffix"]).encode()
    n = recipe["n"]
    events: list[Any] = [an_event(place) for place in range(n if n <= 1001 else 1)]
    match recipe["json_template"]:
        case "events_empty_objects":
            events = [{}] * n
        case "event_customer_id_len":
            events = [{**an_event(0), "customer_id": "c" * n}]
        case "props_keys":
            events = [{**an_event(0), "properties": {f"k{place}": place for place in range(n)}}]
        case "events_bad_at":
            events[recipe["bad"]]["type"] = "no such type"
    return json.dumps({"events": events}).encode()


def an_event(place: int) -> dict[str, Any]:
    return {
        "event_id": f"e{place}",
        "customer_id": "c1",
        "item_id": "i1",
        "type": "click",
        "occurred_at": "2026-01-01T00:00:00Z",
    }


@pytest.mark.skipif(not FILE.is_file(), reason="no corpus of bad inputs is here")
def test_the_corpus_holds_cases_for_these_endpoints() -> None:
    assert len(cases()) > 60


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_a_bad_input_is_answered_as_the_corpus_says(
    app: Flask, services: Services, log: LogLines, case: dict[str, Any]
) -> None:
    if case["expect"]["status"] == 428:
        services.experiments.put(EXPERIMENT, expected=None)
    reply = send(
        app,
        expand(case["path"]),
        method=case["method"],
        key=SCOPES[case["auth"]],
        headers=headers_of(case),
        body=body_of(case),
    )
    expected = case["expect"]
    assert reply.status in {expected["status"], *expected.get("also_allowed_status", ())}
    assert len(reply.body) <= 16 * 1024
    if "content_type" in expected and reply.status >= 400:
        assert reply.header("Content-Type") == expected["content_type"]
        assert reply.json["request_id"] == reply.header("X-Request-ID")
        assert isinstance(services.intake, FakeIntake)
        assert services.intake.taken == {}
    if "type" in expected and reply.status == expected["status"]:
        assert reply.json["type"] == expected["type"]
    if "error_pointer" in expected and reply.status == 422:
        pointer = expected["error_pointer"]
        assert any(found == pointer or found.startswith(f"{pointer}/") for found in reply.pointers)
    assert reply.header("Access-Control-Allow-Origin") is None
    (line,) = log()
    assert line["request_id"] == reply.header("X-Request-ID")
    assert READER not in str(line) + reply.body.decode()
    assert "evil.example" not in str(line) + str(reply.headers) + reply.body.decode()
    assert send(app, "/v1/trending").status == 200
