"""A worker knows that no other machine is there, or knows that it does not know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from recsvc.stores.machine_watch import START_SECONDS, MachineWatch
from recsvc.stores.redis_client import make_client
from recsvc.stores.redis_server import EmbeddedRedis

Start = Callable[..., MachineWatch]


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds()


def is_alone(watch: MachineWatch) -> bool:
    return watch.known_until() > time.monotonic()


@pytest.fixture
def start(server: EmbeddedRedis) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(machine: str, tell: Any = lambda: None) -> MachineWatch:
            watch = MachineWatch(server.url, machine, monotonic=time.monotonic)
            stack.callback(watch.stop)
            watch.start(tell)
            return watch

        yield begin


def test_workers_of_one_machine_know_that_they_are_all(start: Start) -> None:
    watches = [start("m1"), start("m1")]
    assert all(wait_until(lambda watch=watch: is_alone(watch)) for watch in watches)


def test_when_another_machine_has_started_everybody_knows_of_it(start: Start) -> None:
    here = start("m1")
    assert wait_until(lambda: is_alone(here))
    there = start("m2")  # Serves from here on.
    assert not is_alone(here)
    assert not wait_until(lambda: is_alone(there) or is_alone(here), 1.5 * START_SECONDS)


def test_a_dropped_connection_is_told_at_once(server: EmbeddedRedis, start: Start) -> None:
    told: list[str] = []
    here = start("m1", lambda: told.append("told"))
    assert wait_until(lambda: is_alone(here))
    told.clear()
    with closing(make_client(server.url, 1.0)) as other:
        other.client_kill_filter(_type="pubsub")
    assert wait_until(lambda: not is_alone(here), 1.0)
    assert wait_until(lambda: is_alone(here))
    assert told


def test_without_redis_nothing_is_known(server: EmbeddedRedis, start: Start) -> None:
    watch = start("m1")
    assert wait_until(lambda: is_alone(watch))
    server.stop()
    assert wait_until(lambda: not is_alone(watch), 2.0)
