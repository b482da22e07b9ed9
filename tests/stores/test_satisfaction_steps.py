"""To count whom an experiment has asked must not cost so many events for each so many customers."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.many_events import fill
from recsvc.domain.surveys import Scope, StudiedExperiment
from recsvc.stores.database import Database, open_database
from recsvc.stores.satisfaction import SqlSatisfaction

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SCOPE = Scope(NOW - timedelta(days=100), NOW, None, StudiedExperiment("most", 1, ("a", "b")))
MANY = 20


def steps_of(database: Database, n_customers: int) -> int:
    """How many twenties of steps SQLite takes to read all that a report by variant reads."""
    fill(database, 10 * n_customers, n_customers, experiment="most", arms=("a", "b"), now=NOW)
    taken = []
    with database.reading() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(lambda: taken.append(1), MANY)
    reader = SqlSatisfaction(database)
    answers = list(reader.answers(SCOPE))
    assert {one.variant for one in answers} == {"a", "b"}
    assert reader.n_customers(SCOPE) == sum(reader.n_by_variant(SCOPE).values()) == n_customers
    return len(taken)


def test_twice_the_customers_with_twice_the_events_take_twice_the_steps(tmp_path: Path) -> None:
    steps = []
    for n_customers in (100, 200):
        path = tmp_path / f"{n_customers}.sqlite3"
        with closing(open_database(f"sqlite:///{path}")) as database:
            steps.append(steps_of(database, n_customers))
    assert steps[1] < 2.6 * steps[0]
