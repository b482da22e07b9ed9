"""What an answer costs, tier by tier, beside other servers. In: a demo's folder. Out: findings.

Servers take turns in rounds, and figures are ratios of medians, so that whatever else the machine does meets
all alike. The first rounds find what each can do; the open loop then asks at half of what our quickest tier
did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.bench import Finding
from benchmarks.contestants import CUSTOMERS, Contestant, bare_wsgi, naive, nginx_static, ours
from benchmarks.load import Loaded, closed_loop, get, open_loop, saturated
from benchmarks.serving_costs import costs_in_process
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary

LOCAL, REDIS, ENGINE = "ours, in process", "ours, Redis", "ours, engine"
_CONNECTIONS = 8
_OPEN_CONNECTIONS = 32
_WARM_SECONDS = 1.0


@dataclass(slots=True)
class Measured:
    """What was found of one server, a value for each round."""

    cpu_seconds: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def serving(folder: Path, work: Path, *, rounds: int, seconds: float) -> Iterator[Finding]:
    """Every figure of the servers, and the ratios that were promised."""
    with ExitStack() as stack:
        # One for all, so that what it costs is in nobody's CPU.
        redis = stack.enter_context(EmbeddedRedis(find_server_binary(), max_memory_mb=64))
        there = {"REDIS_URL": redis.url}
        local = stack.enter_context(ours(LOCAL, folder, there, _one_page))
        maybe = [
            stack.enter_context(bare_wsgi(work, local)),
            stack.enter_context(nginx_static(work, local)),
            stack.enter_context(naive(work, redis.url, local)),
            local,
            stack.enter_context(ours(REDIS, folder, there | {"RECSVC_LOCAL_SLATES_MB": "0"}, _one_page)),
            stack.enter_context(ours(ENGINE, folder, there, _never_twice)),
        ]
        contestants = [one for one in maybe if one is not None]
        found = _rounds(contestants, rounds, seconds)
        costs = [*costs_in_process(folder, redis.url)]
    yield from _figures(found)
    yield from costs
    yield from _promises({name: measured for name, measured in found.items()})


def _rounds(contestants: Sequence[Contestant], rounds: int, seconds: float) -> dict[str, Measured]:
    found: dict[str, Measured] = defaultdict(Measured)
    for one in contestants:
        closed_loop(one.port, one.request, n_connections=_CONNECTIONS, seconds=_WARM_SECONDS)
    for number in range(rounds):
        for one in _in_turn(contestants, number):
            before = one.cpu_seconds()
            loaded = _asked(one, seconds)
            _check(one, loaded)
            found[one.name].cpu_seconds.append((one.cpu_seconds() - before) / loaded.n_answers)
            found[one.name].per_second.append(loaded.per_second)
    rate = median(found[LOCAL].per_second) / 2
    paced = [one for one in contestants if median(found[one.name].per_second) > rate]
    for number in range(rounds):
        for one in _in_turn(paced, number):
            loaded = open_loop(
                one.port, one.request, n_connections=_OPEN_CONNECTIONS, seconds=seconds, per_second=rate
            )
            _check(one, loaded)
            found[one.name].p50.append(loaded.latency(0.5))
            found[one.name].p99.append(loaded.latency(0.99))
    return found


def _asked(one: Contestant, seconds: float) -> Loaded:
    """As many answers as it can give. What may never be asked for twice has a request for each."""
    if one.name == ENGINE:
        return closed_loop(one.port, one.request, n_connections=_CONNECTIONS, seconds=seconds)
    requests = [one.request(number) for number in range(len(CUSTOMERS))]
    return saturated(one.port, requests, n_connections=_CONNECTIONS, seconds=seconds)


def _in_turn(contestants: Sequence[Contestant], number: int) -> Sequence[Contestant]:
    """Another one goes first in each round."""
    start = number % len(contestants)
    return (*contestants[start:], *contestants[:start])


def _check(one: Contestant, loaded: Loaded) -> None:
    if set(loaded.statuses) != {200}:
        raise RuntimeError(f"{one.name} answered {dict(loaded.statuses)}")


def _figures(found: Mapping[str, Measured]) -> Iterator[Finding]:
    for name, measured in found.items():
        yield Finding(f"{name}: CPU", median(measured.cpu_seconds) * 1e6, "µs")
        yield Finding(f"{name}: answers", median(measured.per_second), "a second")
        if measured.p99:
            yield Finding(f"{name}: p50, open loop", median(measured.p50) * 1e3, "ms")
            yield Finding(f"{name}: p99, open loop", median(measured.p99) * 1e3, "ms")


def _promises(found: Mapping[str, Measured]) -> Iterator[Finding]:
    cpu = {name: median(measured.cpu_seconds) for name, measured in found.items()}
    yield Finding("in process: naive's CPU over ours", cpu["naive"] / cpu[LOCAL], "x", least=20)
    yield Finding("in process: bare WSGI's CPU over ours", cpu["bare WSGI"] / cpu[LOCAL], "x", least=0.8)
    if "nginx static" in cpu:
        yield Finding("in process: nginx's CPU over ours", cpu["nginx static"] / cpu[LOCAL], "x", least=0.55)
    yield Finding("Redis tier: naive's CPU over ours", cpu["naive"] / cpu[REDIS], "x", least=5)
    p99 = {name: median(measured.p99) for name, measured in found.items() if measured.p99}
    if LOCAL in p99 and "bare WSGI" in p99:
        yield Finding(
            "in process: p99 at half load over bare WSGI's", p99[LOCAL] / p99["bare WSGI"], "x", most=1.3
        )


def _one_page(key: str, number: int) -> bytes:
    """Lists of a few hundred customers, asked for again and again."""
    customer_id = CUSTOMERS[number % len(CUSTOMERS)]
    path = f"/v1/customers/{customer_id}/recommendations/content"
    return get(path, Authorization=f"Bearer {key}")


def _never_twice(key: str, number: int) -> bytes:
    """Lists that nobody asked for before: each leaves another item out."""
    customer_id = CUSTOMERS[number % len(CUSTOMERS)]
    path = f"/v1/customers/{customer_id}/recommendations/content?exclude=never-{number}"
    return get(path, Authorization=f"Bearer {key}")
