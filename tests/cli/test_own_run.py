"""`recsvc train` from the store is a run of the store: alone while it lasts, ended by anybody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recsvc.cli.own_run import own_run
from recsvc.cli.terminal import settings_with
from recsvc.clock_and_ids import now
from recsvc.domain.training_runs import RunState, TrainingRequest, TrainingRun
from recsvc.stores.database import open_database
from recsvc.stores.training_runs import SqlTrainingRuns
from tests.cli.examples import Run


@pytest.fixture
def runs(home: Path) -> Iterator[SqlTrainingRuns]:
    with closing(open_database(f"sqlite:///{home / 'data' / 'recsvc.sqlite3'}")) as database:
        yield SqlTrainingRuns(database)


def test_a_training_from_the_store_is_a_run_that_ends_as_the_gate_says(
    events: Path, recsvc: Run, runs: SqlTrainingRuns
) -> None:
    assert recsvc("import", "--events", events).code == 0
    report = recsvc("train", "--name", "by hand", "--json").report
    (run,) = runs.listed()
    assert (run.state, run.version, run.promotes) == (RunState.SUCCEEDED, report["version"], True)
    assert (run.asked_by, run.request.name) == ("command line", "by hand")
    assert recsvc("train", "--events", events, "--json").code == 0
    assert len(runs.listed()) == 1


def test_a_training_that_fails_is_a_run_that_says_why(recsvc: Run, runs: SqlTrainingRuns) -> None:
    refused = recsvc("train")
    assert (refused.code, "the store holds no events" in refused.err) == (1, True)
    (run,) = runs.listed()
    assert (run.state, run.error) == (RunState.FAILED, refused.err.removeprefix("recsvc: ").strip())


def test_while_a_run_is_open_nobody_trains_from_the_store(
    events: Path, recsvc: Run, runs: SqlTrainingRuns
) -> None:
    recsvc("import", "--events", events)
    runs.ask(TrainingRun("r1", TrainingRequest(), "somebody", now()))
    refused = recsvc("train")
    assert (refused.code, "training run r1 is open" in refused.err) == (1, True)
    assert [run.run_id for run in runs.listed()] == ["r1"]


def test_a_training_by_hand_ends_when_somebody_cancels_it(runs: SqlTrainingRuns) -> None:
    with pytest.raises(KeyboardInterrupt), own_run(settings_with(), TrainingRequest(), now()) as own:
        (run,) = runs.listed()
        assert run.state is RunState.RUNNING
        runs.cancel(run.run_id, now=now())
        own.beat()
        time.sleep(30)
    assert runs.listed()[0].state is RunState.CANCELLED
