"""The outermost layer. In: any request at all. Out: an answer with a request id, and one log line.

Names the request, refuses what is over the limits, takes away headers that must have no effect, and
turns whatever still escapes from within into a problem document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.exceptions import NotFound

from recsvc.api.limits import check_limits
from recsvc.api.problems import problem_response
from recsvc.observability import RECORD_KEY, RequestRecord, log_access

REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
QUICK_MS = 0.05  # Whatever takes less is told to take 0.0.
NO_SNIFFING = ("X-Content-Type-Options", "nosniff")

Note = Callable[[RequestRecord, int], None]


class Boundary:
    """Wraps a WSGI application. `new_id` makes the id of a request that brings no usable one.

    `note` is told of every request with the status that it was answered with.
    """

    def __init__(self, application: WSGIApplication, new_id: Callable[[], str], note: Note) -> None:
        self._application = application
        self._new_id = new_id
        self._note = note

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        record = RequestRecord(
            request_id=self._request_id(environ),
            method=str(environ.get("REQUEST_METHOD", "")),
            started=perf_counter(),
        )
        environ[RECORD_KEY] = record
        _take_away_what_has_no_say(environ)
        answer = _Answer(record, start_response)
        try:
            check_limits(environ)
            _refuse_doubled_slash(environ)
            body = self._application(environ, answer.start)
        except Exception as error:
            body = problem_response(error, environ)(environ, answer.start)
        log_access(record, answer.status)
        self._note(record, answer.status)
        return body

    def _request_id(self, environ: WSGIEnvironment) -> str:
        given = str(environ.get("HTTP_X_REQUEST_ID", ""))
        return given if REQUEST_ID.fullmatch(given) else self._new_id()


class _Answer:
    """Adds to an answer's headers what every answer carries, and keeps its status for the log."""

    def __init__(self, record: RequestRecord, start_response: StartResponse) -> None:
        self._record = record
        self._start_response = start_response
        self.status = 500

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status = int(status[:3])
        return self._start_response(status, headers + headers_of_every_answer(self._record), exc_info)


def headers_of_every_answer(record: RequestRecord) -> list[tuple[str, str]]:
    """What any answer carries, whatever it is."""
    return [("X-Request-ID", record.request_id), NO_SNIFFING, timing_of(record.cache, record.elapsed_ms)]


def timing_of(cache: str | None, elapsed_ms: float) -> tuple[str, str]:
    """The header that tells which tier answered, and how long that took."""
    timing = f"app;dur={elapsed_ms:.1f}" if elapsed_ms >= QUICK_MS else "app;dur=0.0"
    return "Server-Timing", timing if cache is None else f"cache;desc={cache}, {timing}"


def _refuse_doubled_slash(environ: WSGIEnvironment) -> None:
    # werkzeug's router strips leading slashes, which rules of a proxy by path would not.
    if str(environ.get("PATH_INFO", "")).startswith("//"):
        raise NotFound


def _take_away_what_has_no_say(environ: WSGIEnvironment) -> None:
    # No link of ours is absolute, so the host that a caller claims is of no use and could only do harm;
    # an upgrade to websocket would make the router answer as if the path did not exist.
    environ["HTTP_HOST"] = "localhost"
    environ.pop("HTTP_UPGRADE", None)
