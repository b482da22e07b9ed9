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
from functools import partial
from time import monotonic as machine_seconds
from time import perf_counter
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from recsvc.api.access import Presented, authorise
from recsvc.api.boundary import (
    NO_SNIFFING,
    QUICK_MS,
    REQUEST_ID,
    headers_of_every_answer,
    timing_of,
)
from recsvc.api.plain_requests import do_last_headers_fit, has_no_body, is_plain
from recsvc.api.query import load_query
from recsvc.api.recommendations import ROUTES, SCOPE, slate_headers
from recsvc.api.records import is_known
from recsvc.api.schemas import SlateQuery
from recsvc.domain.identifiers import ID_PATTERN
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.errors import RecsvcError
from recsvc.observability import RequestRecord, end_of_line, log_access, log_answer
from recsvc.services import Services
from recsvc.serving.answers import CacheStatus, ServedSlate
from recsvc.telemetry import Note

LET_PASS_SECONDS = 1.0  # With what a key ring remembers, a revocation holds within three seconds.
MAX_TARGET_CHARS = 512  # Longer ones are rare, and would take room from those that come again and again.
MAX_KNOWN = 8_192
MAX_QUERIES = 1_024
_MAX_CALLERS = 1_024

_PATH = re.compile(rf"/v1/customers/({ID_PATTERN})/recommendations/(content|offers)")
_KINDS = {"content": ItemKind.CONTENT, "offers": ItemKind.OFFER}
_JSON = ("Content-Type", "application/json")
_VARY = ("Vary", "Authorization, X-API-Key")


_Asked = tuple[str, str, str | None, str | None]  # A path, a query, and what the caller shows.

Reply = tuple[int, list[tuple[str, str]], bytes]
"""A status, headers, and a body."""


@dataclass(slots=True)
class _Caller:
    """Who showed this, and until when they pass, by the monotonic clock."""

    shown: Presented
    until: float


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of a slate for as long as it is the answer, so that it is not put together each time.

    It holds nothing of the slate itself: what caches let go of, or an erasure outdated, is not to stay here.
    """

    etag: str
    cache: CacheStatus
    headers: tuple[tuple[str, str], ...]  # Of an answer with a body, but for its id and its time.
    timing: tuple[str, str]  # Of one that took no time to speak of.
    made_at: float  # Seconds since 1970.
    end_of_line: str
    note: Note


@dataclass(slots=True)
class _Call:
    """A path and query that were understood, of a caller who was let pass, and what was said last."""

    wanted: SlateRequest
    route: str
    caller: _Caller
    said: _Said | None = None


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
        self._at_hand = services.engine.at_hand
        self._ask = services.engine.ask
        self._telemetry = services.telemetry
        self._new_id: Callable[[], str] = services.new_id
        self._query = SlateQuery()
        self._known: dict[_Asked, _Call] = {}
        self._queries: dict[str, dict[str, Any]] = {}  # Their values: customers are many, and queries few.
        self._callers: dict[Presented, _Caller] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        reply = self._reply(environ)
        if reply is None:
            return self.application(environ, start_response)
        status, headers, body = reply
        start_response("200 OK" if status == 200 else "304 NOT MODIFIED", headers)
        return [body]

    def at_hand(self, environ: WSGIEnvironment) -> Reply | None:
        """The answer that stands ready in memory; None without one, and where the whole way is to say.

        `environ` needs only what a request says of itself, headers after the body's stream.
        """
        started = perf_counter()
        call = self._call_that_passes(environ)
        if call is None:
            return None
        try:
            served = self._at_hand(call.wanted)
        except Exception:
            return None
        return None if served is None else self._answer(call, served, environ, started)

    def ask(self, environ: WSGIEnvironment, heard: Callable[[Reply | None], object]) -> bool:
        """Have `heard` told the answer when Redis brings it. Nobody waits meanwhile.

        Whether it will be told; where not, and where it is told None, that is for the whole way to say.
        """
        started = perf_counter()
        call = self._call_that_passes(environ)
        if call is None:
            return False
        try:
            return self._ask(call.wanted, partial(self._tell, heard, call, environ, started))
        except Exception:
            return False

    def _call_that_passes(self, environ: WSGIEnvironment) -> _Call | None:
        """What a plain request asks for, where that is known and nobody has to be looked up."""
        call = self._known.get(_asked_in(environ))
        if call is None or call.caller.until <= self._monotonic() or not has_no_body(environ):
            return None
        return call if do_last_headers_fit(environ) else None

    def _tell(
        self,
        heard: Callable[[Reply | None], object],
        call: _Call,
        environ: WSGIEnvironment,
        started: float,
        served: ServedSlate | None,
    ) -> None:
        heard(None if served is None else self._answer(call, served, environ, started))

    def _reply(self, environ: WSGIEnvironment) -> Reply | None:
        """The answer; None where that is for the whole way to say."""
        started = perf_counter()
        if not is_plain(environ):
            return None
        asked = _asked_in(environ)
        call = self._known.get(asked)
        if call is None:
            call = self._learn(asked)
        elif not self._passes(call.caller):
            call = None
        if call is None:
            return None
        try:
            served = self._recommend(call.wanted)
        except Exception:
            return None  # There it fails again, and is told as it should.
        return self._answer(call, served, environ, started)

    def _answer(self, call: _Call, served: ServedSlate, environ: WSGIEnvironment, started: float) -> Reply:
        said = call.said
        # The same ETag is the same body, whatever made it.
        if said is None or said.etag != served.etag or said.cache is not served.cache:
            said = call.said = self._say(call, served)
        given = environ.get("HTTP_X_REQUEST_ID")
        request_id = given if given and REQUEST_ID.fullmatch(given) else self._new_id()
        held = environ.get("HTTP_IF_NONE_MATCH")
        if held and is_known(served.etag, held):
            return self._not_changed(call, served, request_id, started)
        ended = perf_counter()
        elapsed_ms = (ended - started) * 1000
        timing = said.timing if elapsed_ms < QUICK_MS else timing_of(served.cache.value, elapsed_ms)
        log_answer(request_id, said.end_of_line, started, ended)
        said.note((started, ended, said.made_at))
        return 200, [*said.headers, ("X-Request-ID", request_id), NO_SNIFFING, timing], served.body

    def _say(self, call: _Call, served: ServedSlate) -> _Said:
        """What is to be said of the slate for as long as it is the answer."""
        record = _record_of(call, served, "", 0.0)
        return _Said(
            served.etag,
            served.cache,
            (*slate_headers(served), _JSON, ("Content-Length", str(len(served.body))), _VARY),
            timing_of(served.cache.value, 0.0),
            served.generated_at.timestamp(),
            end_of_line(record, 200),
            self._telemetry.note_of(record, 200),
        )

    def _not_changed(self, call: _Call, served: ServedSlate, request_id: str, started: float) -> Reply:
        record = _record_of(call, served, request_id, started)
        headers = [*slate_headers(served), _VARY, *headers_of_every_answer(record)]
        log_access(record, 304)
        self._telemetry.note(record, 304)
        return 304, headers, b""

    def _learn(self, asked: _Asked) -> _Call | None:
        """What is asked for, by a caller who passes; None where that is Flask's to say."""
        path, query, *shown = asked
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
        caller = self._caller_of(Presented(*shown))
        if caller is None:
            return None
        if len(self._known) >= MAX_KNOWN:  # Whoever comes again is learnt again.
            self._known.clear()
        kind = _KINDS[found[2]]
        call = self._known[asked] = _Call(SlateRequest(kind, found[1], **values), ROUTES[kind], caller)
        return call

    def _caller_of(self, shown: Presented) -> _Caller | None:
        """The caller, if they may pass now. Others are not remembered."""
        caller = self._callers.get(shown) or _Caller(shown, 0.0)
        if not self._passes(caller):
            return None
        if len(self._callers) >= _MAX_CALLERS:
            self._callers.clear()
        return self._callers.setdefault(shown, caller)

    def _passes(self, caller: _Caller) -> bool:
        now = self._monotonic()
        if caller.until > now:
            return True
        try:
            authorise(self._services, caller.shown, SCOPE)
        except RecsvcError:
            return False
        caller.until = now + LET_PASS_SECONDS
        return True


def _record_of(call: _Call, served: ServedSlate, request_id: str, started: float) -> RequestRecord:
    source, cache = served.source.value, served.cache.value
    return RequestRecord(request_id, "GET", started, call.route, source, cache, served.generated_at)


def _asked_in(environ: WSGIEnvironment) -> _Asked:
    get = environ.get
    return get("PATH_INFO", ""), get("QUERY_STRING", ""), get("HTTP_AUTHORIZATION"), get("HTTP_X_API_KEY")
