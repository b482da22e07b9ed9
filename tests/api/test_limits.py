"""The outermost layer: sizes, the request id, and headers that have no say."""

from __future__ import annotations

import io
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from flask import Flask

from recsvc.api.boundary import Boundary
from recsvc.api.limits import MAX_HEADER_FIELDS, MAX_URI_BYTES
from tests.api.conftest import LogLines
from tests.api.fakes import CONTENT, Reply, send


class Unread(io.BytesIO):
    """A body that nobody may read."""

    def read(self, *sizes: Any) -> bytes:
        raise AssertionError("the body was read")


def assert_problem(reply: Reply, status: int, slug: str) -> None:
    assert (reply.status, reply.json["type"]) == (status, f"/problems/{slug}")
    assert reply.header("Content-Type") == "application/problem+json"
    assert reply.json["request_id"] == reply.header("X-Request-ID")


def test_a_uri_of_8_kib_passes_and_a_longer_one_does_not(app: Flask) -> None:
    target = f"{CONTENT}?placement="
    fitting = send(app, target + "x" * (MAX_URI_BYTES - len(target)))
    assert fitting.pointers == ["query/placement"]
    assert_problem(send(app, target + "x" * (MAX_URI_BYTES - len(target) + 1)), 414, "uri-too-long")


def test_a_path_counts_as_it_was_sent(app: Flask) -> None:
    assert_problem(send(app, "/" + "%20" * (MAX_URI_BYTES // 3 + 1)), 414, "uri-too-long")


def test_fifty_thousand_excluded_ids_are_too_long_a_uri(app: Flask) -> None:
    assert_problem(send(app, f"{CONTENT}?exclude={'x,' * 50_000}"), 414, "uri-too-long")


def test_too_many_header_fields_are_refused(app: Flask) -> None:
    # The helper sends two of its own, Host and Authorization.
    pads = [(f"X-Pad-{n}", "v") for n in range(MAX_HEADER_FIELDS - 1)]
    assert send(app, CONTENT, headers=pads[:-1]).status == 200
    assert_problem(send(app, CONTENT, headers=pads), 431, "headers-too-large")


def test_header_fields_of_more_than_32_kib_are_refused(app: Flask) -> None:
    assert send(app, CONTENT, headers=[("X-Pad", "v" * 30_000)]).status == 200
    assert_problem(send(app, CONTENT, headers=[("X-Pad", "v" * 40_000)]), 431, "headers-too-large")


def test_a_body_over_1_mib_is_refused_before_it_is_read(app: Flask) -> None:
    sent = {"CONTENT_LENGTH": str(1024 * 1024 + 1), "wsgi.input": Unread()}
    assert_problem(send(app, CONTENT, method="POST", environ=sent), 413, "content-too-large")
    within = {"CONTENT_LENGTH": str(1024 * 1024), "wsgi.input": Unread()}
    assert_problem(send(app, CONTENT, method="POST", environ=within), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "text", ["abc", "-1", "+1", "1.0", "1e3", "0x10", "1_0", "٣", " 1", "1\n", "5, 5", "9" * 19]
)
def test_a_content_length_that_is_no_number_cannot_be_parsed(app: Flask, text: str) -> None:
    reply = send(app, CONTENT, environ={"CONTENT_LENGTH": text})
    assert_problem(reply, 400, "malformed-request")


@pytest.mark.parametrize("given", ["a", "5f0c7a9e-21d8-4b3f-9c0e-3b1f6f0a7d11", "x" * 64])
def test_a_usable_request_id_is_kept(app: Flask, given: str) -> None:
    for target in (CONTENT, "/nowhere", f"{CONTENT}?exclude={'x,' * 5000}"):
        assert send(app, target, headers=[("X-Request-ID", given)]).header("X-Request-ID") == given


@pytest.mark.parametrize(
    "given", ["", "a b", "a\tb", "a\r\nX: y", "x" * 65, "a_b", "<b>", "ünder", "a\n", "x" * 4000]
)
def test_an_unusable_request_id_is_replaced(app: Flask, log: LogLines, given: str) -> None:
    reply = send(app, CONTENT, headers=[("X-Request-ID", given)])
    assert (reply.status, reply.header("X-Request-ID")) == (200, f"{1:032x}")
    assert log()[0]["request_id"] == f"{1:032x}"


@pytest.mark.parametrize("host", ["evil.example", "", "a b", "[", "xn--", "a:b:c", "é", "x" * 4000, "a\x00b"])
def test_the_host_that_a_caller_claims_has_no_effect(app: Flask, log: LogLines, host: str) -> None:
    claims = [("Host", host), ("X-Forwarded-Host", host), ("X-Forwarded-Proto", "https"), ("Forwarded", host)]
    claimed, plain = send(app, CONTENT, headers=claims), send(app, CONTENT)
    assert (claimed.status, claimed.body) == (200, plain.body)
    assert "evil.example" not in str(claimed.headers) + str(log())


def test_a_forwarded_prefix_or_a_script_name_has_no_effect(app: Flask) -> None:
    headers = [("X-Forwarded-Prefix", "/evil"), ("X-Script-Name", "/evil"), ("X-Original-URL", "/healthz")]
    assert send(app, CONTENT, headers=headers).header("X-Recs-Source") == "personalised"


def test_an_upgrade_to_websocket_is_not_taken_up(app: Flask) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    assert send(app, CONTENT, headers=upgrade).status == 200


def test_what_breaks_before_a_view_is_a_problem_too(app: Flask, log: LogLines) -> None:
    def break_off() -> None:
        raise RuntimeError("broken")

    app.before_request_funcs[None] = [break_off]
    assert_problem(send(app, "/v1/trending"), 500, "internal-error")
    assert [line["event"] for line in log()] == ["unexpected_error", "request"]


def test_what_breaks_outside_flask_is_a_problem_too(log: LogLines) -> None:
    def broken(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        raise RuntimeError("broken")

    reply = send(Boundary(broken, lambda: "r-1", lambda record, status: None), CONTENT)
    assert_problem(reply, 500, "internal-error")
    assert [line["event"] for line in log()] == ["unexpected_error", "request"]
