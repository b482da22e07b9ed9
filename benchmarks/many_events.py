"""Fill a store with what many customers did. In: how many events and customers. Out: the store holds them.

Everybody met a variant of one experiment within the last three weeks, did as much as anybody else within the
last eight, and one event in fifty answers a survey: what reports on experiments and on surveys have to read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.stores.database import Database
from recsvc.stores.events import SqlEvents
from recsvc.stores.exposures import SqlExposures

T = TypeVar("T")

_AT_ONCE = 10_000
_DAYS, _DAYS_EXPOSED = 56, 21
_TYPES = ("view", "click", "impression", "view", "impression")
_SURVEYS = (("nps", 10), ("csat", 5), ("ces", 7))
_EVERY = 50
_PRIME = 7_919  # Spreads moments without chance.
_CHANNELS = tuple(Channel)


def fill(
    database: Database,
    n_events: int,
    n_customers: int,
    *,
    experiment: str,
    arms: tuple[str, ...],
    now: datetime,
) -> None:
    """Store the events, and an exposure of each customer to one of the arms. Raises StoreError."""
    events, exposures = SqlEvents(database), SqlExposures(database)
    for some in _batches(_event(number, n_customers, now) for number in range(n_events)):
        events.append(some, received_at=now)
    met = (_exposure(number, experiment, arms, now) for number in range(n_customers))
    for others in _batches(met):
        exposures.record(others)


def _batches(all_of_them: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(all_of_them, _AT_ONCE)):
        yield some


def _event(number: int, n_customers: int, now: datetime) -> Interaction:
    at = now - timedelta(days=_DAYS) * _spread(number)
    name, channel = f"m{number % n_customers:07}", _CHANNELS[number // 7 % len(_CHANNELS)]
    turn = number + number // n_customers  # Else a customer would do the same each time.
    if turn % _EVERY:
        kind = _TYPES[turn % len(_TYPES)]
        return Interaction(f"many-{number}", kind, name, f"a{number % 400 + 1:04}", at, channel)
    survey, scale = _SURVEYS[turn // _EVERY % len(_SURVEYS)]
    score = number * _PRIME % scale + 1
    return Interaction(f"many-{number}", survey, name, None, at, channel, score=score, scale=scale)


def _exposure(number: int, experiment: str, arms: tuple[str, ...], now: datetime) -> Exposure:
    at = now - timedelta(days=_DAYS_EXPOSED) * _spread(number)
    arm, channel = arms[number * _PRIME % 1_000_003 % len(arms)], _CHANNELS[number % len(_CHANNELS)]
    return Exposure(experiment, 1, f"m{number:07}", arm, at, channel, None, latency_micros=900)


def _spread(number: int) -> float:
    """Above 0 and up to 1, evenly and in no order."""
    return (number * _PRIME % 1_000_003 + 1) / 1_000_003
