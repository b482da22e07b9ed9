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

from tests.api.conftest import LogLines
from tests.api.fakes import READER, send

FILE = Path(
    os.environ.get("RECSVC_TEST_BAD_INPUTS") or Path(__file__).parents[3] / "shared" / "bad_inputs.json"
)
SCOPES = {"key:serving": READER, "key:ingest": "rs_ingest", "key:revoked": "rs_revoked", "none": None}
NAMES = {
    "{A}": "c1",
    "{B}": "c2",
    "{UNKNOWN}": "nobody",
    "{ERASED}": "c3",
    "{NOCONSENT}": "c4",
    "{KEY}": READER,
}


def cases() -> list[dict[str, Any]]:
    if not FILE.is_file():
        return []
    found = json.loads(FILE.read_text("utf-8"))["cases"]
    return [case for case in found if case["endpoint"] in {"recs", "any"} or is_a_list_of_offers(case)]


def is_a_list_of_offers(case: dict[str, Any]) -> bool:
    return case["endpoint"] == "offers" and case["auth"] in SCOPES and "/recommendations/" in case["path"]


def expand(text: str) -> str:
    for name, value in NAMES.items():
        text = text.replace(name, value)
    text = re.sub(r"\{repeat:(.*?):(\d+)\}", lambda m: m[1] * int(m[2]), text)
    return re.sub(r"\{csv:(.*?):(\d+)\}", lambda m: ",".join(f"{m[1]}{n}" for n in range(int(m[2]))), text)


def headers_of(case: dict[str, Any]) -> list[tuple[str, str]]:
    given = dict(case.get("headers", {}))
    n_pads = int(given.pop("{repeat_headers}", "0"))
    return [(name, expand(value)) for name, value in given.items()] + [
        (f"X-Pad-{n}", "v") for n in range(n_pads)
    ]


@pytest.mark.skipif(not FILE.is_file(), reason="no corpus of bad inputs is here")
def test_the_corpus_holds_cases_for_these_endpoints() -> None:
    assert len(cases()) > 20


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_a_bad_input_is_answered_as_the_corpus_says(app: Flask, log: LogLines, case: dict[str, Any]) -> None:
    body = json.dumps(case["body_json"]) if "body_json" in case else case.get("body_text", "")
    reply = send(
        app,
        expand(case["path"]),
        method=case["method"],
        key=SCOPES[case["auth"]],
        headers=headers_of(case),
        body=body.encode(),
    )
    expected = case["expect"]
    assert reply.status == expected["status"]
    assert len(reply.body) <= 16 * 1024
    if "content_type" in expected:
        assert reply.header("Content-Type") == expected["content_type"]
        assert reply.json["type"] == expected["type"]
        assert reply.json["request_id"] == reply.header("X-Request-ID")
    if "error_pointer" in expected:
        assert expected["error_pointer"] in reply.pointers
    (line,) = log()
    assert line["request_id"] == reply.header("X-Request-ID")
    assert READER not in str(line) + reply.body.decode()
    assert "evil.example" not in str(line) + str(reply.headers) + reply.body.decode()
    assert send(app, "/v1/trending").status == 200
