"""An embedded Redis to try things on, and a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary


@dataclass
class HandClock:
    """A monotonic clock that stands still until it is moved."""

    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(find_server_binary()) as started:
        yield started
