"""Every error as one problem document (RFC 9457). In: an exception. Out: a response of one shape.

`PROBLEMS` is the only place where errors meet statuses. An exception that it does not name is a bug of
ours: it is logged and answered as `internal-error`, without a word of its text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from wsgiref.types import WSGIEnvironment

from flask import Response, request
from werkzeug import exceptions as http

from recsvc import errors
from recsvc.observability import RECORD_KEY, RequestRecord, log_failure

PROBLEM_TYPE = "application/problem+json"
MAX_ERRORS = 100
MAX_BODY_BYTES = 16 * 1024
RETRY_AFTER_SECONDS = 1

_MAX_INSTANCE_CHARS = 256
_MAX_DETAIL_CHARS = 500


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem. `detail` is said where the error has no sentence of its own for the caller."""

    slug: str
    status: int
    title: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def uri(self) -> str:
        """What identifies the kind of problem in an answer."""
        return f"/problems/{self.slug}"


MALFORMED = ProblemType(
    "malformed-request", 400, "The request cannot be parsed", "the request is not well-formed"
)
UNAUTHENTICATED = ProblemType(
    "unauthenticated",
    401,
    "No valid API key was given",
    "send a valid API key as Authorization: Bearer or as X-API-Key",
    (("WWW-Authenticate", 'Bearer realm="recsvc"'),),
)
FORBIDDEN = ProblemType(
    "forbidden", 403, "The API key may not do this", "the API key lacks the scope that is needed"
)
OWN_APPROVAL = ProblemType(
    "own-approval",
    403,
    "Nobody approves what they wrote",
    "whoever wrote this version cannot approve it: another key must",
)
NOT_FOUND = ProblemType("not-found", 404, "There is nothing here", "nothing is served at this path")
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed", 405, "The method is not allowed", "use a method that the Allow header names"
)
NOT_ACCEPTABLE = ProblemType(
    "not-acceptable", 406, "No acceptable form exists", "the answer is JSON; accept application/json"
)
REQUEST_TIMEOUT = ProblemType(
    "request-timeout", 408, "The request came too slowly", "the request did not arrive in time"
)
CONFLICT = ProblemType("conflict", 409, "The request conflicts with what is stored", "fetch it and try again")
BUNDLE_REFUSED = ProblemType(
    "bundle-refused", 409, "The model cannot go live", "train again, or choose another version"
)
LENGTH_REQUIRED = ProblemType(
    "length-required", 411, "The length of the body is not known", "send Content-Length"
)
PRECONDITION_FAILED = ProblemType(
    "precondition-failed", 412, "A precondition does not hold", "fetch it again and use its ETag"
)
CONTENT_TOO_LARGE = ProblemType("content-too-large", 413, "The body is too large", "send less in one request")
URI_TOO_LONG = ProblemType("uri-too-long", 414, "The path and query are too long", "ask for less at once")
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    "unsupported-media-type", 415, "The body's media type is not supported", "send application/json"
)
VALIDATION_ERROR = ProblemType(
    "validation-error", 422, "The request breaks a rule", "see errors for each field that breaks a rule"
)
PRECONDITION_REQUIRED = ProblemType(
    "precondition-required", 428, "A precondition is required", "send If-Match with the ETag that you saw"
)
RATE_LIMITED = ProblemType(
    "rate-limited",
    429,
    "Too many requests",
    "wait as long as Retry-After says",
    (("Retry-After", str(RETRY_AFTER_SECONDS)),),
)
HEADERS_TOO_LARGE = ProblemType(
    "headers-too-large", 431, "The header fields are too large", "send fewer or smaller header fields"
)
INTERNAL_ERROR = ProblemType(
    "internal-error", 500, "Something went wrong on our side", "report this with the request_id"
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "The service cannot answer now",
    "a part that this answer needs is not available; try again soon",
    (("Retry-After", str(RETRY_AFTER_SECONDS)),),
)
REPORT_NOT_READY = ProblemType(
    "report-not-ready", 503, "The report is not there yet", "ask again when Retry-After says"
)

PROBLEMS: dict[type[Exception], ProblemType] = {
    errors.UnparsableRequestError: MALFORMED,
    errors.InvalidRequestError: VALIDATION_ERROR,
    errors.UnauthenticatedError: UNAUTHENTICATED,
    errors.ForbiddenError: FORBIDDEN,
    errors.OwnApprovalError: OWN_APPROVAL,
    errors.NotFoundError: NOT_FOUND,
    errors.ConflictError: CONFLICT,
    errors.BundleRefusedError: BUNDLE_REFUSED,
    errors.TooManyRunsError: RATE_LIMITED,
    errors.PreconditionFailedError: PRECONDITION_FAILED,
    errors.PreconditionRequiredError: PRECONDITION_REQUIRED,
    errors.StoreError: UNAVAILABLE,
    errors.ReportNotReadyError: REPORT_NOT_READY,
    errors.RedisError: UNAVAILABLE,
    errors.BundleError: UNAVAILABLE,
    http.BadRequest: MALFORMED,
    http.NotFound: NOT_FOUND,
    http.MethodNotAllowed: METHOD_NOT_ALLOWED,
    http.NotAcceptable: NOT_ACCEPTABLE,
    http.RequestTimeout: REQUEST_TIMEOUT,
    http.Conflict: CONFLICT,
    http.LengthRequired: LENGTH_REQUIRED,
    http.PreconditionFailed: PRECONDITION_FAILED,
    http.RequestEntityTooLarge: CONTENT_TOO_LARGE,
    http.RequestURITooLarge: URI_TOO_LONG,
    http.UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE,
    http.UnprocessableEntity: VALIDATION_ERROR,
    http.PreconditionRequired: PRECONDITION_REQUIRED,
    http.TooManyRequests: RATE_LIMITED,
    http.RequestHeaderFieldsTooLarge: HEADERS_TOO_LARGE,
    http.ServiceUnavailable: UNAVAILABLE,
}


def problem_types() -> list[ProblemType]:
    """Every kind of problem, by status."""
    kinds = {kind.slug: kind for kind in (*PROBLEMS.values(), INTERNAL_ERROR)}
    return sorted(kinds.values(), key=lambda kind: (kind.status, kind.slug))


def problem_type_of(error: Exception) -> ProblemType:
    """The kind of problem that an error is: that of its nearest ancestor in the table."""
    ancestors = type(error).__mro__
    return next((PROBLEMS[ancestor] for ancestor in ancestors if ancestor in PROBLEMS), INTERNAL_ERROR)


def answer_error(error: Exception) -> Response:
    """The problem document for an error that was raised inside Flask."""
    return problem_response(error, request.environ)


def problem_response(error: Exception, environ: WSGIEnvironment) -> Response:
    """The problem document for an error, for the request that the environment describes."""
    kind = problem_type_of(error)
    record: RequestRecord = environ[RECORD_KEY]
    if kind.status >= 500:
        log_failure(record, error, expected=kind is not INTERNAL_ERROR)
    document = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": _detail_of(error, kind),
        "instance": _instance_of(environ),
        "request_id": record.request_id,
    }
    found = error.errors[:MAX_ERRORS] if isinstance(error, errors.InvalidRequestError) else ()
    response = Response(_encode(document, found), kind.status, mimetype=PROBLEM_TYPE)
    response.headers.update([("Cache-Control", "no-store"), *kind.headers])
    if isinstance(error, http.MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    if isinstance(error, http.TooManyRequests) and isinstance(error.retry_after, int):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, (errors.TooManyRunsError, errors.ReportNotReadyError)):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, errors.RunOpenError):
        response.headers["Location"] = f"/v1/training-runs/{error.run_id}"
    return response


def _encode(document: Mapping[str, Any], found: tuple[errors.FieldError, ...]) -> bytes:
    listed = [{"pointer": error.pointer, "detail": error.detail} for error in found]
    while True:
        body = json.dumps({**document, "errors": listed} if found else document).encode("ascii")
        if len(body) <= MAX_BODY_BYTES:
            return body
        del listed[len(listed) * 9 // 10 :]


def _detail_of(error: Exception, kind: ProblemType) -> str:
    if isinstance(error, errors.InvalidRequestError):
        return kind.detail
    if isinstance(error, (errors.RequestError, errors.ReportNotReadyError)):
        return str(error)[:_MAX_DETAIL_CHARS] or kind.detail
    # Only a sentence of ours goes out: werkzeug's own descriptions may quote the request.
    if isinstance(error, http.HTTPException) and type(error) in PROBLEMS:
        sentence = error.description if error.description != type(error).description else None
        return (sentence or kind.detail)[:_MAX_DETAIL_CHARS]
    return kind.detail


def _instance_of(environ: WSGIEnvironment) -> str:
    path = str(environ.get("PATH_INFO", "")).encode("latin-1", "replace")
    return quote(path[:_MAX_INSTANCE_CHARS], safe="/:")[:_MAX_INSTANCE_CHARS]
