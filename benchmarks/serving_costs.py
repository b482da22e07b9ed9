"""What one hit costs in process, tier by tier. In: nothing. Out: microseconds, each the best of several runs.

Each function measures one thing over parts as the service builds them, in one thread, without a server; so
what it says is the cost that comes on top of what the server takes for any request.
"""

from __future__ import annotations

import io
import random
import time
import timeit
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from wsgiref.types import WSGIApplication

from recsvc.api.app import create_app
from recsvc.bundles.registry import Registry
from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.slates import Slate, SlateItem, SlateRequest, Source
from recsvc.observability import collect_access_lines, configure_logging
from recsvc.serving.caching import CachedEngine
from recsvc.serving.epochs import OutdatingCache
from recsvc.serving.live_bundles import LiveBundles
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.local_copies import LocalCopies
from recsvc.stores.epoch_table import EpochTable
from recsvc.stores.memory import MemoryCatalogue
from recsvc.stores.redis_client import RestingRedis
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary
from recsvc.stores.slate_cache import RedisSlateCache

TARGET = ("/v1/customers/c0001/recommendations/content", "limit=10")
WANTED = SlateRequest(ItemKind.CONTENT, "c0001")


class TwentyItems:
    """An engine that answers with the same slate of about 1.4 KB for ten items, at no cost."""

    def recommend(self, request: SlateRequest) -> Slate:
        """The slate."""
        now = datetime.now(UTC)
        items = tuple(
            SlateItem(f"a{n:04}", n, 1 / n, "Three months of reserves", "saving", None, None, 1.0)
            for n in range(1, request.limit + 1)
        )
        return Slate(
            slate_id="s_1",
            customer_id=request.customer_id,
            kind=request.kind,
            channel=Channel.WEB,
            placement=request.placement,
            locale="en",
            items=items,
            source=Source.PERSONALISED,
            model_version=None,
            policy_version="1",
            generated_at=now,
            expires_at=now + timedelta(hours=1),
        )


def microseconds(what: Callable[[], object], *, number: int = 500, repeat: int = 100) -> float:
    """CPU time of one call, the best of several runs: all that disturbs a run makes it dearer."""
    return min(timeit.repeat(what, timer=time.thread_time, number=number, repeat=repeat)) / number * 1e6


def an_environ(key: str = "") -> dict[str, Any]:
    """A plain request as granian hands it over."""
    path, query = TARGET
    return {
        **{f"VARIABLE_{number}": "of the process" for number in range(30)},
        "SCRIPT_NAME": "",
        "SERVER_SOFTWARE": "Granian",
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "127.0.0.1",
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_USER_AGENT": "a front end",
        "HTTP_ACCEPT": "*/*",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
    }


def measure(services: Any) -> dict[str, float]:
    """What a hit costs in each tier and on each way, in microseconds. `services` are made of fakes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(EmbeddedRedis(find_server_binary()))
        redis = RestingRedis(server.url, 1.0, monotonic=time.monotonic)
        stack.callback(redis.close)
        stamps = EpochTable(folder / "epochs", rng=random.SystemRandom())
        stack.callback(stamps.close)
        cache = OutdatingCache(
            RedisSlateCache(redis, rng=random.SystemRandom()),
            monotonic=time.monotonic,
            settling_seconds=1.0,
            stamps=stamps,
        )
        catalogue = LiveCatalogue(MemoryCatalogue(), LiveBundles(Registry(folder)))
        return _measure(services, cache, stamps, catalogue)


def _measure(
    services: Any, cache: OutdatingCache, stamps: EpochTable, catalogue: LiveCatalogue
) -> dict[str, float]:
    def now() -> datetime:
        return datetime.now(UTC)

    copies = LocalCopies(stamps, 64_000_000, clock=time.time, monotonic=time.monotonic)
    copies.refresh()
    inner: Any = TwentyItems()
    local = CachedEngine(inner, cache, catalogue, "1", clock=now, copies=copies)
    shared = CachedEngine(inner, cache, catalogue, "1", clock=now)
    for engine in (local, shared):
        engine.recommend(WANTED)
    configure_logging("info", io.StringIO())
    collect_access_lines()
    found = {
        "engine: local copy": microseconds(lambda: local.recommend(WANTED)),
        "engine: Redis": microseconds(lambda: shared.recommend(WANTED), number=200),
    }
    for name, engine in (("local copy", local), ("Redis", shared)):
        app = create_app(services(engine))
        number = 500 if engine is local else 200
        found[f"fast path: {name}"] = microseconds(_asking(app.wsgi_app), number=number)
        whole: Any = app.wsgi_app
        found[f"Flask: {name}"] = microseconds(_asking(whole.application), number=50)
    return found


def _asking(app: WSGIApplication) -> Callable[[], object]:
    environ = an_environ("rs_reader")

    def start_response(*given: object) -> Any:
        return None

    return lambda: app(environ, start_response)
