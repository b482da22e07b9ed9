"""The fast path answers as Flask does, byte for byte, and only what is plain."""

from __future__ import annotations

import itertools
import json
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsvc.api import fast_path
from recsvc.api.app import create_app
from recsvc.api.fast_path import FastPath
from recsvc.domain.slates import SlateRequest
from recsvc.errors import StoreError
from recsvc.serving.answers import CacheStatus, ServedSlate
from tests.api.conftest import LogLines
from tests.api.fakes import CONTENT, KEYS, OFFERS, READER, FakeEngine, FakeKeys, Reply, fake_services, send

BASE = "/v1/customers/"
PATHS = [
    CONTENT,
    OFFERS,
    *(f"{BASE}{each}/recommendations/content" for each in ("..", "-9", "a.b:c_d-e", "x" * 256, "x" * 257)),
    *(
        f"{BASE}{each}/recommendations/offers"
        for each in ("%63%31", "c%31", "c%2f1", "c%00", "c1%0a", "", ".")
    ),
    *(
        f"{BASE}{each}/recommendations/content"
        for each in ("٣", "%d9%a3", "客户", "%ff", "c1;x", "c 1", "c%201")
    ),
    *(CONTENT + tail for tail in ("/", "//", "%2f", "%0a", ".", "s", "/x", "%20", ";x=1", "\u2028")),
    *("/" + CONTENT, CONTENT.replace("/c1", "//c1"), CONTENT.upper(), CONTENT[1:], BASE, "", "*", "/"),
    "/v1/customers/c1/recommendations",
    "/v1/customers/c1/recommendations/%63ontent",
    "/v1/trending",
    "/v1/items/a7/similar",
    "/healthz",
]
QUERIES = [
    *(
        "",
        "limit=5",
        "limit=100",
        "limit=101",
        "limit=0",
        "limit=",
        "limit",
        "limit=05",
        "limit=+5",
        "limit=%35",
    ),
    *("limit=٣", "limit=%d9%a3", "limit=1_0", "limit=1e1", "limit=5&limit=5", "limit=5&limit=6", "limit=5;x"),
    *("&", "&&limit=5&", "=", "=5", "limit=5&&", "?limit=5", "limit=5#x", "limit==5", "LIMIT=5", "limit%3d5"),
    *("limi%74=5", "%6cimit=5", "limit=%zz", "%", "limit=%", "limit=%ff", "limit=5%00", "limit=5%0a"),
    *("channel=web", "channel=Web", "channel=pigeon", "channel=call_centre", "channel=web&channel=web"),
    *(
        "placement=home",
        "placement=home:top",
        "placement=a b",
        "placement=a+b",
        "placement=",
        "placement=%E2%82%AC",
    ),
    *("locale=en", "locale=zh-Hans-CN", "locale=e", "locale=en_GB", "locale=", f"locale={'a-' * 20}"),
    *(
        "category=saving",
        "category=a&category=b",
        "category=a&category=a",
        "category=",
        "category=r%C3%A9sum%C3%A9",
    ),
    *("category=a%20b", "category=a+b", "category=%00", "&".join(f"category={n}" for n in range(21))),
    *("exclude=a1", "exclude=a1,a2,a1", "exclude=", "exclude=,", "exclude=a1&exclude=a2", "exclude=a%2Cb"),
    *(f"exclude={','.join(f'a{n}' for n in range(each))}" for each in (60, 200, 201)),
    *(
        "diversity=0",
        "diversity=0.25",
        "diversity=.5",
        "diversity=1.0",
        "diversity=1.1",
        "diversity=-0",
        "diversity=nan",
    ),
    *("explain=true", "explain=false", "explain=1", "explain=True", "explain=true&limit=3"),
    *(
        "unknown=1",
        "limit=5&unknown",
        "as_of=2026-01-01",
        "api_key=rs_reader",
        "客户=1",
        "x" * 600,
        "a=" + "x" * 9_000,
    ),
]
HEADERS: list[list[tuple[str, str]]] = [
    [],
    *([("X-Request-ID", each)] for each in ("r-1", "", "a b", "x" * 64, "x" * 65, "é", "r-1\n")),
    *(
        [("If-None-Match", each)]
        for each in (
            '"9d2f61"',
            'W/"9d2f61"',
            '"x", "9d2f61"',
            "*",
            "",
            '"x"',
            "9d2f61",
            " * ",
            ",",
            '""',
            'w/"9d2f61"',
        )
    ),
    *(
        [(name, "bytes=0-1")]
        for name in ("Range", "Accept", "Accept-Encoding", "Cookie", "Expect", "Upgrade")
    ),
    *([("Content-Length", each)] for each in ("0", "", "5", "-1", "x", "2000000")),
    [("Content-Type", "application/json")],
    [("Transfer-Encoding", "chunked")],
    [("Content-Length", "0"), ("Transfer-Encoding", "chunked")],
    [("X-HTTP-Method-Override", "DELETE"), ("X-Forwarded-Host", "x"), ("Connection", "close")],
    [(f"X-{number}", "x") for number in range(70)],
    [("X-Long", "x" * 40_000)],
    [("X-Long", "x" * 20_000), ("X-Longer", "x" * 12_000)],
]
CALLERS: list[list[tuple[str, str]]] = [
    [("Authorization", f"Bearer {READER}")],
    [("X-API-Key", READER)],
    [("Authorization", f"bearer  {READER} ")],
    [("Authorization", f"Bearer {READER}"), ("X-API-Key", READER)],
    [("Authorization", f"Bearer {READER}"), ("X-API-Key", "rs_admin")],
    [],
    *(
        [("Authorization", each)]
        for each in ("", "Bearer", "Bearer ", f"Basic {READER}", READER, "Bearer ٣", "Bearer x y")
    ),
    *([("Authorization", f"Bearer {each}")] for each in ("rs_ingest", "rs_nothing", "unknown", "k" * 300)),
    *([("X-API-Key", each)] for each in ("", "unknown", "\xff")),
]
NOT_OF_GRANIAN = ("SCRIPT_NAME", "SERVER_SOFTWARE", "wsgi.version", "wsgi.errors")  # But for WSGI.
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "GET ", ""]


@dataclass
class BothWays:
    """One service, asked over the fast path and around it."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    n_whole_way: int = 0

    def __post_init__(self) -> None:
        services = fake_services()
        assert isinstance(services.engine, FakeEngine) and isinstance(services.keys, FakeKeys)
        self.services, self.engine, self.keys = services, services.engine, services.keys
        fast = create_app(services).wsgi_app
        assert isinstance(fast, FastPath)
        self.fast, self.whole = fast, fast.application
        fast._monotonic = lambda: 1_000.0  # Whoever passes does so for as long as the test takes.
        fast.application = self._counted

    def _counted(self, environ: Any, start_response: Any) -> Any:
        self.n_whole_way += 1
        return self.whole(environ, start_response)

    def ask(self, target: str, **how: Any) -> tuple[Reply, bool]:
        """The answer, which is the same both ways; and whether the fast path gave it."""
        before, n_asked = self.n_whole_way, len(self.engine.asked)
        fast = send(self.fast, target, **how)
        was_fast = self.n_whole_way == before
        asked_fast, n_asked = self.engine.asked[n_asked:], len(self.engine.asked)
        whole = send(self.whole, target, **how)
        assert asked_fast == self.engine.asked[n_asked:]
        assert told(fast) == told(whole)
        for self.engine.is_at_hand in (False, True):
            self._ask_soon(target, whole, was_fast, how)
        return fast, was_fast

    def _ask_soon(self, target: str, whole: Reply, was_fast: bool, how: Mapping[str, Any]) -> None:
        """What the fast path answers it answers without waiting from then on, and nothing else."""
        found: list[fast_path.Reply | None] = []

        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            plain = {name: environ[name] for name in environ if name not in NOT_OF_GRANIAN}
            assert answer_soon(self.fast, plain, found.append) == was_fast
            start_response("200 OK", [])
            return []

        send(application, target, **how)
        assert len(found) == was_fast
        assert [told(Reply(*each)) for each in found if each] == [told(whole)] * was_fast


def answer_soon(
    fast: FastPath, environ: dict[str, Any], heard: Callable[[fast_path.Reply | None], object]
) -> bool:
    """What a thread that takes requests does before it goes the whole way; whether `heard` will be told."""
    reply = fast.at_hand(environ)
    if reply is None:
        return fast.ask(environ, heard)
    heard(reply)
    return True


def told(reply: Reply) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer but for what differs from one request to the next."""
    headers = [
        (name, re.sub(r"dur=[0-9.]+", "dur=", re.sub(r"^[0-9a-f]{32}$", "id", value)))
        for name, value in reply.headers
    ]
    return reply.status, headers, re.sub(rb'"request_id": "[0-9a-f]{32}"', b"", reply.body)


@pytest.fixture(scope="module")
def ways() -> BothWays:
    return BothWays()


@pytest.fixture(autouse=True)
def unharmed(ways: BothWays) -> Iterator[None]:
    yield
    ways.engine.failure, ways.keys.down = None, False
    ways.engine.asked.clear()


def corpus() -> Iterator[tuple[str, str, list[tuple[str, str]], list[tuple[str, str]], str]]:
    """Every odd part in an otherwise plain request, and odd parts together."""
    plain = CALLERS[0]
    for path, query in itertools.product(PATHS, ("", "limit=5", "unknown=1")):
        yield path, query, [], plain, "GET"
    for path, query in itertools.product((CONTENT, OFFERS), QUERIES):
        yield path, query, [], plain, "GET"
    for headers, caller, method in itertools.product(HEADERS, CALLERS, ("GET", "HEAD")):
        yield CONTENT, "limit=5", headers, caller, method
    for method, caller, path in itertools.product(METHODS, CALLERS[:6], (CONTENT, PATHS[-3])):
        yield path, "", [], caller, method


def test_over_a_corpus_of_odd_requests_both_ways_answer_alike(ways: BothWays) -> None:
    n = n_fast = 0
    for path, query, headers, caller, method in corpus():
        target = f"{path}?{query}" if query else path
        reply, was_fast = ways.ask(target, headers=[*caller, *headers], key=None, method=method)
        n += 1
        n_fast += was_fast
        assert not was_fast or reply.status in (200, 304)
        assert reply.status < 500
    assert n > 1_500
    assert n_fast >= 200


names = st.sampled_from(
    ["limit", "channel", "placement", "locale", "category", "exclude", "diversity", "explain", "x"]
)
values = st.one_of(
    st.sampled_from(["5", "web", "home", "en", "true", "0.5", "a1,a2", "", "%20", "%zz", "+", "٣"]),
    st.text(max_size=6).map(lambda text: text.replace("#", "").replace("?", "")),
)
queries = st.lists(st.tuples(names, values), max_size=4).map(lambda pairs: "&".join(map("=".join, pairs)))
ids = st.one_of(st.just("c1"), st.from_regex(r"[A-Za-z0-9_.:%-]{1,12}", fullmatch=True), st.text(max_size=5))


@given(
    customer_id=ids.map(lambda text: text.replace("?", "")),
    kind=st.sampled_from(["content", "offers", "content/", "Offers"]),
    query=queries,
    headers=st.sampled_from(HEADERS[:-3]),
    caller=st.sampled_from(CALLERS),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_asked_both_ways_answer_alike(
    ways: BothWays, customer_id: str, kind: str, query: str, headers: Any, caller: Any
) -> None:
    path = f"{BASE}{customer_id}/recommendations/{kind}"
    if "\ud800" <= max(path + query, default="") <= "\udfff":
        return
    ways.ask(f"{path}?{query}", headers=[*caller, *headers], key=None)


@pytest.mark.parametrize("software", ["Granian", "other"])
@pytest.mark.parametrize("headers", HEADERS[-4:])
def test_what_is_over_the_limits_is_refused_whatever_the_server(
    ways: BothWays, software: str, headers: list[tuple[str, str]]
) -> None:
    reply, was_fast = ways.ask(CONTENT, headers=headers, environ={"SERVER_SOFTWARE": software})
    is_over = len(headers) > 64 or sum(len(value) for _, value in headers) > 32_000
    assert reply.status == (431 if is_over else 200)
    assert was_fast is not is_over


def test_a_plain_request_never_reaches_flask(ways: BothWays) -> None:
    for path in (CONTENT, OFFERS, f"{CONTENT}?limit=5&category=a&explain=true"):
        assert ways.ask(path)[1]
        assert ways.ask(path, headers=[("If-None-Match", '"9d2f61"')])[1]
    assert not ways.ask("/v1/trending")[1]


def test_all_ways_leave_the_same_line_in_the_log(ways: BothWays, log: LogLines) -> None:
    ways.ask(CONTENT, headers=[("X-Request-ID", "r-1")])
    fast, whole, asked, at_hand = ({**line, "timestamp": "", "duration_ms": 0} for line in log())
    assert fast == whole == asked == at_hand
    assert (fast["request_id"], fast["cache"]) == ("r-1", CacheStatus.HIT.value)


def test_an_engine_that_fails_is_told_the_whole_way(ways: BothWays) -> None:
    for failure, status in ((StoreError("away"), 503), (ZeroDivisionError(), 500)):
        ways.engine.failure = failure
        replies = [send(way, CONTENT) for way in (ways.fast, ways.whole)]
        assert told(replies[0]) == told(replies[1])
        assert replies[0].status == status


def test_a_revoked_key_passes_for_no_longer_than_a_second_more(
    ways: BothWays, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(1_000.0, 0.6)
    fast = FastPath(ways.whole, ways.services, monotonic=lambda: next(seconds))
    monkeypatch.setitem(KEYS, "rs_brief", KEYS[READER])
    assert send(fast, CONTENT, key="rs_brief").status == 200
    monkeypatch.delitem(KEYS, "rs_brief")
    assert [send(fast, CONTENT, key="rs_brief").status for _ in range(3)] == [200, 401, 401]


def test_nobody_who_has_to_be_looked_up_is_answered_without_waiting(ways: BothWays) -> None:
    seconds = iter((1_000.0, 1_000.9, 1_001.1, 1_001.1))
    fast = FastPath(ways.whole, ways.services, monotonic=lambda: next(seconds))
    found: list[list[object]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        found.append([])
        assert answer_soon(fast, environ, found[-1].append) == bool(found[-1])
        start_response("200 OK", [])
        return []

    send(application, CONTENT)
    send(fast, CONTENT)
    for _ in range(2):
        send(application, CONTENT)
    assert [len(each) for each in found] == [0, 1, 0]


def test_what_only_the_whole_way_can_say_is_left_to_it(ways: BothWays) -> None:
    class Engine(FakeEngine):
        failure_of_asking: Exception | None = None

        def ask(self, request: SlateRequest, heard: Callable[[ServedSlate | None], object]) -> bool:
            if self.failure_of_asking is not None:
                raise self.failure_of_asking
            heard(None)
            return True

    engine = Engine(is_at_hand=False)
    fast = FastPath(ways.whole, replace(ways.services, engine=engine))
    found: list[object] = []
    will_hear: list[bool] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        will_hear.append(answer_soon(fast, environ, found.append))
        start_response("200 OK", [])
        return []

    send(fast, CONTENT)
    send(application, CONTENT)
    engine.failure_of_asking = ZeroDivisionError()
    send(application, CONTENT)
    assert (will_hear, found) == ([True, False], [None])


def test_a_refused_caller_is_let_pass_as_soon_as_the_key_is_known(
    ways: BothWays, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(ways.fast, CONTENT, key="rs_new").status == 401
    monkeypatch.setitem(KEYS, "rs_new", KEYS[READER])
    assert send(ways.fast, CONTENT, key="rs_new").status == 200


def test_what_is_known_of_callers_and_calls_stays_bounded(ways: BothWays) -> None:
    for number in range(fast_path.MAX_KNOWN + 10):
        ways.fast._learn((f"{BASE}c{number}/recommendations/content", "", f"Bearer {READER}", None))
    assert len(ways.fast._known) <= fast_path.MAX_KNOWN
    assert ways.fast._learn((CONTENT, "limit=5&" * 100, None, READER)) is None
    assert json.loads(ways.ask(CONTENT)[0].body)["customer_id"] == "c1"


def test_what_is_remembered_of_a_call_holds_nothing_of_the_list_that_it_got(ways: BothWays) -> None:
    made: list[weakref.ref[ServedSlate]] = []

    class Watched(ServedSlate, frozen=True, weakref=True):
        pass

    class Engine(FakeEngine):
        def recommend(self, request: SlateRequest) -> ServedSlate:
            served = super().recommend(request)
            watched = Watched(*(getattr(served, name) for name in ServedSlate.__struct_fields__))
            made.append(weakref.ref(watched))
            return watched

    fast = FastPath(ways.whole, replace(ways.services, engine=Engine()))
    assert send(fast, CONTENT).status == 200
    assert [each() for each in made] == [None]


def test_a_query_that_was_understood_is_not_parsed_anew_for_every_customer(ways: BothWays) -> None:
    before = len(ways.fast._queries)
    for number in range(5):
        reply, _ = ways.ask(f"{BASE}c{number}/recommendations/content?limit=6&exclude=a1,a2")
        assert reply.json["customer_id"] == f"c{number}"
    assert len(ways.fast._queries) == before + 1
    for number in range(fast_path.MAX_QUERIES + 10):
        ways.fast._learn((CONTENT, f"placement=p{number}", None, READER))
    assert len(ways.fast._queries) <= fast_path.MAX_QUERIES
