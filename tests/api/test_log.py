"""What the log tells of a request, and what it must not."""

from __future__ import annotations

import io
import json
import logging
import os
import warnings
from contextlib import suppress

import pytest
import structlog
from flask import Flask

from recsvc.observability import configure_logging
from tests.api.conftest import LogLines
from tests.api.fakes import CONTENT, READER, send


def test_a_request_is_one_line_that_says_how_it_was_answered(app: Flask, log: LogLines) -> None:
    send(app, CONTENT, headers=[("X-Request-ID", "r-1")])
    (line,) = log()
    assert line.pop("duration_ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "r-1",
        "method": "GET",
        "route": "/v1/customers/<customer_id>/recommendations/content",
        "status": 200,
        "source": "personalised",
        "cache": "hit",
    }


@pytest.mark.parametrize(
    "target",
    [
        "/v1/customers/c-4711/recommendations/content?placement=c-4711",
        "/v1/customers/c-4711%0aFAKE/recommendations/content",
        "/v1/customers/c-4711%2F/recommendations/content",
        "/c-4711",
        "/v1/items/c-4711/similar?c-4711=1",
        f"/v1/trending?c-4711={'x' * 9000}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "c-4711"])
def test_neither_ids_nor_keys_stand_in_the_log(app: Flask, log: LogLines, target: str, method: str) -> None:
    headers = [("User-Agent", "c-4711\n{}"), ("X-Request-ID", "c-4711\n"), ("Referer", "c-4711")]
    send(app, target, method=method, headers=headers)
    (line,) = log()
    assert "c-4711" not in str(line)
    assert READER not in str(line)


def test_lines_of_libraries_are_json_too_and_stay_one_line() -> None:
    stream = io.StringIO()
    configure_logging("info", stream)
    logging.getLogger("library").warning("two\nlines of %s", "text")
    try:
        secret_local = "rs_secret"
        raise ValueError(len(secret_local))
    except ValueError:
        logging.getLogger("library").exception("it broke")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["logger"]) == ("two\nlines of text", "warning", "library")
    assert second["exception"][0]["exc_type"] == "ValueError"
    assert "rs_secret" not in stream.getvalue()


def test_what_a_library_warns_of_is_a_json_line_too() -> None:
    stream = io.StringIO()
    logging.captureWarnings(False)  # What another test began would be passed over.
    configure_logging("info", stream)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("invalid value\nencountered", RuntimeWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert said["level"] == "warning" and "RuntimeWarning: invalid value\nencountered" in said["event"]


def test_whoever_logs_what_nobody_reads_any_more_goes_on() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with suppress(BrokenPipeError), os.fdopen(writer, "w") as stream:
        configure_logging("info", stream)
        for _ in range(2):
            structlog.get_logger().warning("said_to_nobody")
    structlog.get_logger().warning("said_to_nobody")  # Closed by now.


@pytest.mark.parametrize(("level", "n_lines"), [("info", 1), ("warning", 0)])
def test_the_level_decides_whether_requests_are_told(app: Flask, level: str, n_lines: int) -> None:
    stream = io.StringIO()
    configure_logging(level, stream)
    send(app, CONTENT)
    assert len(stream.getvalue().splitlines()) == n_lines
