"""What is little to read is told the same by every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.domain.outcomes import Reading
from recsvc.stores.database import Database
from recsvc.stores.events import SqlEvents
from recsvc.stores.exposures import SqlExposures
from recsvc.stores.reading_sizes import SqlReadingSizes

START = datetime(2026, 11, 1, tzinfo=UTC)
A_DAY = timedelta(days=1)
ALL = Reading(START, START + 10 * A_DAY)


@pytest.fixture
def store(database: Database | None) -> Database:
    """Ten events, a day apart, and three customers who met an experiment from the eighth day on."""
    if database is None:
        pytest.skip("in memory everything is read where it is asked for")
    events = [
        Interaction(f"e{day}", "view", f"c{day}", "a1", START + day * A_DAY, properties={"text": "x" * 100})
        for day in range(10)
    ]
    SqlEvents(database).append(events, received_at=START)
    SqlExposures(database).record(
        [Exposure("home", 1, f"c{day}", "a", START + day * A_DAY, Channel.WEB, None) for day in (7, 8, 9)]
    )
    return database


@pytest.mark.parametrize(
    ("reading", "n_rows"),
    [
        (ALL, 10),
        (replace(ALL, until=START + 9 * A_DAY), 9),
        (replace(ALL, since=START + 4 * A_DAY), 6),
        (replace(ALL, since=START + 4 * A_DAY, before=2 * A_DAY), 8),
        (replace(ALL, since=None, exposed=("home", 1)), 3 + 3),
        (replace(ALL, since=None, before=4 * A_DAY, exposed=("home", 1)), 3 + 7),
        (replace(ALL, since=START + 8 * A_DAY, exposed=("home", 1), n_times=4), 12 + 2),
        (replace(ALL, since=None, exposed=("home", 2)), 0),
    ],
)
def test_events_in_the_window_and_exposures_are_counted(
    store: Database, reading: Reading, n_rows: int
) -> None:
    assert SqlReadingSizes(store, most_rows=n_rows).is_small(reading)
    if n_rows:
        assert not SqlReadingSizes(store, most_rows=n_rows - 1).is_small(reading)


def test_few_events_that_hold_much_are_not_little(store: Database) -> None:
    assert SqlReadingSizes(store, most_characters=2_000).is_small(ALL)
    assert not SqlReadingSizes(store, most_characters=1_000).is_small(ALL)
