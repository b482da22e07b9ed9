"""Every error has one shape, whatever went wrong and wherever it did."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from werkzeug import exceptions as http

from recsvc import errors
from recsvc.api.problems import INTERNAL_ERROR, MAX_BODY_BYTES, PROBLEMS, problem_types
from recsvc.api.schemas import ProblemSchema
from recsvc.errors import FieldError, InvalidRequestError
from recsvc.services import Services
from tests.api.conftest import LogLines
from tests.api.fakes import CONTENT, FakeEngine, Reply, send

SECRET = "customer c-4711 in /srv/recsvc/store.py, sqlalchemy 2.1"

ARGUMENTS: dict[type[Exception], tuple[Any, ...]] = {
    errors.InvalidRequestError: ([FieldError("body/x", "must be there")],),
    errors.ForbiddenError: ("recs:read",),
    errors.TooManyRunsError: (10, 60),
    errors.ReportNotReadyError: ("is being made", 5),
    http.MethodNotAllowed: (["PUT", "GET"],),
}
EVERY_ERROR = pytest.mark.parametrize("error", [*PROBLEMS, Exception], ids=lambda error: error.__name__)


def raised(app: Flask, services: Services, failure: Exception) -> Reply:
    """The answer when the engine fails with the error."""
    assert isinstance(services.engine, FakeEngine)
    services.engine.failure = failure
    return send(app, CONTENT)


def made(error: type[Exception]) -> Exception:
    return error(*ARGUMENTS.get(error, ()))


@EVERY_ERROR
def test_every_error_in_the_table_answers_as_its_problem(
    app: Flask, services: Services, error: type[Exception]
) -> None:
    kind = PROBLEMS.get(error, INTERNAL_ERROR)
    reply = raised(app, services, made(error))
    assert reply.status == kind.status
    assert reply.header("Content-Type") == "application/problem+json"
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("X-Content-Type-Options") == "nosniff"
    problem = reply.json
    assert ProblemSchema().validate(problem) == {}
    assert (problem["type"], problem["title"]) == (f"/problems/{kind.slug}", kind.title)
    assert problem["status"] == reply.status
    assert problem["instance"] == CONTENT
    assert problem["request_id"] == reply.header("X-Request-ID") != ""
    assert problem["detail"] != ""


def test_one_slug_is_one_status_and_one_title() -> None:
    slugs = [kind.slug for kind in problem_types()]
    assert len(slugs) == len(set(slugs))


@pytest.mark.parametrize("error", [ValueError, KeyError, RecursionError, MemoryError, UnicodeError, OSError])
def test_an_error_that_nobody_foresaw_says_nothing_of_our_inside(
    app: Flask, services: Services, log: LogLines, error: type[Exception]
) -> None:
    reply = raised(app, services, error(SECRET))
    assert (reply.status, reply.json["type"]) == (500, "/problems/internal-error")
    assert SECRET not in reply.body.decode()
    failure, access = log()
    assert (failure["event"], failure["error"][0]) == ("unexpected_error", error.__name__)
    assert failure["request_id"] == access["request_id"] == reply.json["request_id"]
    assert "c-4711" not in str(failure)


def test_an_error_of_a_part_that_is_down_says_nothing_of_our_inside(app: Flask, services: Services) -> None:
    reply = raised(app, services, errors.StoreError(SECRET))
    assert (reply.status, reply.header("Retry-After")) == (503, "1")
    assert "sqlalchemy" not in reply.body.decode()


def test_what_werkzeug_says_of_a_request_is_not_passed_on(app: Flask, services: Services) -> None:
    reply = raised(app, services, http.SecurityError("the host c-4711 is not trusted"))
    assert reply.status == 400
    assert "c-4711" not in reply.body.decode()


def test_an_error_of_a_kind_that_has_no_row_is_that_of_its_parent(app: Flask, services: Services) -> None:
    conflict = errors.EventConflictError(["e1"])
    assert raised(app, services, conflict).json["type"] == "/problems/conflict"


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO", "ÿ", ""]
)
def test_a_method_that_is_not_served_is_told_which_are(app: Flask, method: str) -> None:
    reply = send(app, CONTENT, method=method, body=b"{}")
    assert (reply.status, reply.json["type"]) == (405, "/problems/method-not-allowed")
    assert reply.header("Allow") == "GET, HEAD"


def test_a_method_cannot_be_overridden_by_a_header(app: Flask) -> None:
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert send(app, CONTENT, headers=[(header, "DELETE")]).status == 200


def test_a_problem_on_head_has_no_body(app: Flask) -> None:
    reply = send(app, "/nowhere", method="HEAD")
    assert (reply.status, reply.body) == (404, b"")
    assert reply.header("Content-Type") == "application/problem+json"


def test_the_path_comes_back_escaped_and_cut(app: Flask) -> None:
    assert send(app, '/<script>alert("1")</script>%0a').json["instance"] == (
        "/%3Cscript%3Ealert%28%221%22%29%3C/script%3E%0A"
    )
    assert len(send(app, "/%20" * 500).json["instance"]) <= 256


def test_a_problem_is_never_larger_than_16_kib(app: Flask, services: Services) -> None:
    many = InvalidRequestError([FieldError(f"body/{'é' * 300}/{n}", "ü" * 300) for n in range(5000)])
    reply = raised(app, services, many)
    assert 0 < len(reply.json["errors"]) <= 100
    assert len(reply.body) <= MAX_BODY_BYTES


def test_a_problem_names_a_hundred_errors_at_most(app: Flask, services: Services) -> None:
    reply = raised(app, services, InvalidRequestError([FieldError(f"body/{n}", "no") for n in range(150)]))
    assert reply.pointers == [f"body/{n}" for n in range(100)]


def test_even_one_error_that_is_too_long_leaves_a_problem(app: Flask, services: Services) -> None:
    reply = raised(app, services, InvalidRequestError([FieldError("body/" + "é" * 20_000, "ü" * 20_000)]))
    assert (reply.status, reply.json["errors"]) == (422, [])


def test_a_lone_surrogate_in_an_error_is_escaped(app: Flask, services: Services) -> None:
    reply = raised(app, services, InvalidRequestError([FieldError("body/\ud800", "is not text")]))
    assert reply.status == 422
