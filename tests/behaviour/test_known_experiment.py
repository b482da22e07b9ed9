"""A well-known experiment through the service's own events and results: where the gate of a game stands.

90,189 players were assigned a first gate at level 30 or at level 40; whether they came back after one day and
after seven is known, and so are the p-values: .074 and .0016.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from recsvc.domain.experiments import Analysis, Experiment, ExperimentStatus, ExperimentVariant
from recsvc.domain.exposures import Exposure
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import Channel
from recsvc.experimentation.results import ResultsReader
from recsvc.experimentation.verdicts import Verdict
from recsvc.policy import Policy, load_policy
from recsvc.policy_experiments import ExperimentsPolicy, MetricKind, MetricPolicy
from recsvc.stores.database import open_database
from recsvc.stores.events import SqlEvents
from recsvc.stores.exposures import SqlExposures
from recsvc.stores.outcomes import SqlOutcomes

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=9)
GATES = Experiment(
    "gates",
    (ExperimentVariant("gate_30", "m", 50), ExperimentVariant("gate_40", "m", 50)),
    status=ExperimentStatus.RUNNING,
    start=START,
    end=END,
    primary_metric="ret_7",
    secondary=("ret_1",),
    analysis=Analysis.FIXED,
    phase=1,
)


@pytest.fixture(scope="module")
def players() -> pl.DataFrame:
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("RECSVC_TEST_DATA_DIR", beside))
    path = folder / "cookie-cats" / "cookie_cats.parquet"
    if not path.exists():
        pytest.skip("no public data sets: set RECSVC_TEST_DATA_DIR to their folder")
    return pl.read_parquet(path)


@pytest.fixture(scope="module")
def policy() -> Policy:
    """With a metric for who is back after a day, and one for after seven."""
    metrics = {
        f"ret_{days}": MetricPolicy(MetricKind.SHARE, of=("view",), from_days=days, until_days=days + 1)
        for days in (1, 7)
    }
    return replace(load_policy(), experiments=ExperimentsPolicy(metrics=metrics))


@pytest.fixture(scope="module")
def reader(
    players: pl.DataFrame, policy: Policy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ResultsReader]:
    """Results over a store that took in every exposure and every return as the service does."""
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('gates')}/store.sqlite3")
    rows = players.select("userid", "version", "retention_1", "retention_7").rows()
    exposures, events = SqlExposures(database), SqlEvents(database)
    for some in range(0, len(rows), 20_000):
        met = [
            Exposure("gates", 1, f"p{player}", gate, START, Channel.MOBILE, "m")
            for player, gate, *_ in rows[some : some + 20_000]
        ]
        exposures.record(met)
        returned = [
            Interaction(f"{player}-{day}", "view", f"p{player}", "level", START + timedelta(days=day + 0.5))
            for (player, _, *came), (place, day) in product(rows[some : some + 20_000], ((0, 1), (1, 7)))
            if came[place]
        ]
        events.append(returned, received_at=END)
    yield ResultsReader(SqlOutcomes(database), policy)
    database.close()


def test_the_later_gate_loses_players_after_seven_days(reader: ResultsReader) -> None:
    report = reader.report(GATES, now=END)
    (found,) = report.arms
    assert [one.n_customers for one in report.checks.variants] == [44_700, 45_489]
    assert report.checks.is_sound
    assert found.verdict is Verdict.LOSS
    assert found.primary.difference is not None and found.secondary[0].difference is not None
    assert found.primary.difference.estimate == pytest.approx(0.18200 - 0.19020, abs=2e-5)
    assert found.primary.difference.p_value == pytest.approx(0.0016, abs=5e-5)
    assert found.secondary[0].difference.p_value == pytest.approx(0.074, abs=5e-4)


def test_after_one_day_the_gates_cannot_be_told_apart(reader: ResultsReader) -> None:
    by_day_one = replace(GATES, primary_metric="ret_1", secondary=())
    (found,) = reader.report(by_day_one, now=END).arms
    assert found.verdict is Verdict.INCONCLUSIVE and "chance alone" in found.sentence
