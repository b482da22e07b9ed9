"""Answer the two hot calls without Flask. In: a plain request for a slate. Out: what Flask would have sent.

Only what is known to be safe is answered here: a GET of one of the two paths, without a body, within the
limits, with a query that the very parser of Flask's way has accepted before, from a caller whom its own
`authorise` let pass in the last second. Anything else, an error included, goes the whole way through Flask
and is answered there, so that there is one place for each error.

The engine is the same, and so are exposure, caches and gates behind it; the record of the request, its log
line and the headers come from the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic as machine_seconds
from time import perf_counter
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.exceptions import HTTPException

from recsvc.api.access import authorise, presented_in
from recsvc.api.boundary import REQUEST_ID, headers_of_every_answer
from recsvc.api.limits import MAX_HEADER_BYTES, MAX_HEADER_FIELDS, check_limits
from recsvc.api.query import load_query
from recsvc.api.recommendations import ROUTES, SCOPE, is_known, slate_headers
from recsvc.api.schemas import SlateQuery
from recsvc.domain.identifiers import ID_PATTERN
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.errors import RecsvcError
from recsvc.observability import RequestRecord, log_access
from recsvc.services import Services
from recsvc.serving.answers import CacheStatus, ServedSlate

LET_PASS_SECONDS = 1.0  # With what a key ring remembers, a revocation holds within three seconds.
MAX_TARGET_CHARS = 512  # Longer ones are rare, and would take room from those that come again and again.
MAX_KNOWN = 8_192
MAX_QUERIES = 1_024
_MAX_CALLERS = 1_024

_PATH = re.compile(rf"/v1/customers/({ID_PATTERN})/recommendations/(content|offers)")
_KINDS = {"content": ItemKind.CONTENT, "offers": ItemKind.OFFER}
_JSON = ("Content-Type", "application/json")
_VARY = ("Vary", "Authorization, X-API-Key")


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of a slate for as long as it is the answer, so that it is not put together each time."""

    etag: str
    tier: CacheStatus
    source: str
    cache: str
    headers: tuple[tuple[str, str], ...]  # Of an answer with a body.


@dataclass(slots=True)
class _Call:
    """A path and query that were understood, and what was said of the last answer to it."""

    wanted: SlateRequest
    route: str
    said: _Said | None = None

    def say(self, served: ServedSlate) -> _Said:
        """What is to be said of the answer. The same ETag is the same body, whatever made it."""
        said = self.said
        if said is None or said.etag != served.etag or said.tier is not served.cache:
            content = (_JSON, ("Content-Length", str(len(served.body))))
            headers = (*slate_headers(served), *content, _VARY)
            said = self.said = _Said(
                served.etag, served.cache, served.source.value, served.cache.value, headers
            )
        return said


class FastPath:
    """Wraps the whole application, and answers for it where it safely can."""

    def __init__(
        self,
        application: WSGIApplication,
        services: Services,
        *,
        monotonic: Callable[[], float] = machine_seconds,
    ) -> None:
        """`application` is the whole way: everything that is answered here could be sent there."""
        self.application = application
        self._services = services
        self._monotonic = monotonic
        self._recommend = services.engine.recommend
        self._note = services.telemetry.note
        self._new_id: Callable[[], str] = services.new_id
        self._is_open = services.settings.auth == "off"
        self._query = SlateQuery()
        self._known: dict[tuple[str, str], _Call] = {}
        self._queries: dict[str, dict[str, Any]] = {}  # Their values: customers are many, and queries few.
        self._let_pass: dict[tuple[str | None, str | None], float] = {}  # Until when, by what they showed.

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started = perf_counter()
        if environ["REQUEST_METHOD"] != "GET":
            return self.application(environ, start_response)
        target = (environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", ""))
        call = self._known.get(target) or self._learn(target)
        if call is None or not _is_plain(environ) or not self._may_pass(environ):
            return self.application(environ, start_response)
        try:
            served = self._recommend(call.wanted)
        except Exception:
            return self.application(
                environ, start_response
            )  # There it fails again, and is told as it should.
        said = call.say(served)
        given = environ.get("HTTP_X_REQUEST_ID", "")
        record = RequestRecord(
            given if given and REQUEST_ID.fullmatch(given) else self._new_id(),
            "GET",
            started,
            call.route,
            said.source,
            said.cache,
            served.generated_at,
        )
        held = environ.get("HTTP_IF_NONE_MATCH")
        if held and is_known(served.etag, held):
            status, body = 304, b""
            start_response(
                "304 NOT MODIFIED", [*slate_headers(served), _VARY, *headers_of_every_answer(record)]
            )
        else:
            status, body = 200, served.body
            start_response("200 OK", [*said.headers, *headers_of_every_answer(record)])
        log_access(record, status)
        self._note(record, status)
        return [body]

    def _learn(self, target: tuple[str, str]) -> _Call | None:
        """What the path and query ask for; None where that is Flask's to say."""
        path, query = target
        if len(path) + len(query) > MAX_TARGET_CHARS:
            return None
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        values = self._queries.get(query)
        if values is None:
            try:
                values = load_query(self._query, query)
            except RecsvcError:
                return None
            if len(self._queries) >= MAX_QUERIES:
                self._queries.clear()
            self._queries[query] = values
        kind = _KINDS[found[2]]
        if len(self._known) >= MAX_KNOWN:  # Whoever comes again is learnt again.
            self._known.clear()
        call = self._known[target] = _Call(SlateRequest(kind, found[1], **values), ROUTES[kind])
        return call

    def _may_pass(self, environ: WSGIEnvironment) -> bool:
        if self._is_open:
            return True
        now = self._monotonic()
        # The same two as `presented_in` gives, and equal to it, without its cost.
        two = (environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_X_API_KEY"))
        if self._let_pass.get(two, 0.0) > now:
            return True
        shown = presented_in(environ)
        try:
            authorise(self._services, shown, SCOPE)
        except RecsvcError:
            return False
        if len(self._let_pass) >= _MAX_CALLERS:
            self._let_pass.clear()
        self._let_pass[shown] = now + LET_PASS_SECONDS
        return True


def _is_plain(environ: WSGIEnvironment) -> bool:
    """Whether the request has no body, is within the limits, and was not mounted below another path."""
    if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ or environ.get("SCRIPT_NAME"):
        return False
    return _do_headers_fit(environ)


def _do_headers_fit(environ: WSGIEnvironment) -> bool:
    """What `check_limits` says, at a tenth of the cost where the headers stand last.

    granian puts them after its own entries, of which the body's stream is the last, or after what the headers
    of the body said. Where something else stands there, all is counted.
    """
    n_bytes = n_names = 0
    for name in reversed(environ):
        if name[:5] != "HTTP_":
            if name == "wsgi.input" and environ.get("SERVER_SOFTWARE") == "Granian":
                return n_names <= MAX_HEADER_FIELDS and n_bytes <= MAX_HEADER_BYTES
            if name != "CONTENT_TYPE":
                break
        else:
            n_names += 1
            n_bytes += len(name) + len(environ[name])
    try:
        check_limits(environ)
    except HTTPException:
        return False
    return True
