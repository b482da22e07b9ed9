"""Training runs on every backend: one is open, it is claimed once, and it ends once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recsvc.domain.training_runs import Beat, Outcome, Pulse, RunState, TrainingRequest, TrainingRun
from recsvc.errors import (
    NotFoundError,
    RunEndedError,
    RunOpenError,
    RunRepeatedError,
    StoreError,
    TooManyRunsError,
)
from recsvc.stores.database import Database
from recsvc.stores.memory_training_runs import MemoryTrainingRuns
from recsvc.stores.training_runs import SqlTrainingRuns

Runs = MemoryTrainingRuns | SqlTrainingRuns

START = datetime(2026, 11, 20, 10, tzinfo=UTC)
SUCCEEDED = Outcome(RunState.SUCCEEDED, "v1", ("better",), promotes=True)
ENDED = [state for state in RunState if not state.is_open]


@pytest.fixture
def runs(database: Database | None) -> Runs:
    return SqlTrainingRuns(database) if database else MemoryTrainingRuns()


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def a_run(run_id: str = "r1", at: float = 0, **request: object) -> TrainingRun:
    return TrainingRun(run_id, TrainingRequest(**request), "marketer", after(at))  # type: ignore[arg-type]


def running(runs: Runs, run_id: str = "r1", at: float = 0) -> TrainingRun:
    runs.ask(a_run(run_id, at))
    claimed = runs.claim(run_id, now=after(at))
    assert claimed is not None
    return claimed


def test_a_run_is_kept_as_it_was_asked_for(runs: Runs) -> None:
    run = a_run(model="als", factors=64, since=START - timedelta(days=30), name="Herbst")
    assert runs.ask(run) == run
    assert (runs.get("r1"), runs.open(), runs.listed()) == (run, run, (run,))
    assert runs.get("r2") is None


def test_while_one_is_open_no_second_one_is_queued(runs: Runs) -> None:
    for prepare in (lambda: runs.ask(a_run()), lambda: runs.claim("r1", now=START)):
        prepare()
        with pytest.raises(RunOpenError) as refused:
            runs.ask(a_run("r2"))
        assert refused.value.run_id == "r1"
    runs.finish("r1", SUCCEEDED, now=START)
    assert runs.ask(a_run("r2")).run_id == "r2"
    assert runs.get("r1") != runs.get("r2")


def test_of_twenty_who_ask_at_once_one_gets_a_run(runs: Runs) -> None:
    def ask(number: int) -> str:
        try:
            return runs.ask(a_run(f"r{number}")).run_id
        except RunOpenError as error:
            return error.run_id

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(ask, range(20)))) == 1
    assert len(runs.listed()) == 1


def test_of_several_workers_one_claims_the_run(runs: Runs) -> None:
    runs.ask(a_run())
    with ThreadPoolExecutor(8) as pool:
        claims = [one for one in pool.map(lambda _: runs.claim("r1", now=after(1)), range(8)) if one]
    assert [(one.state, one.started_at) for one in claims] == [(RunState.RUNNING, after(1))]
    assert runs.claim("r2", now=START) is None


def test_the_same_key_with_the_same_request_is_the_same_run(runs: Runs) -> None:
    first = runs.ask(a_run(), idempotency_key="k")
    assert runs.ask(a_run("r2", 5), idempotency_key="k") == first
    runs.cancel("r1", now=START)
    again = runs.ask(a_run("r3", 9), idempotency_key="k")
    assert (again.run_id, again.state) == ("r1", RunState.CANCELLED)
    with pytest.raises(RunRepeatedError, match="r1"):
        runs.ask(a_run("r4", model="als"), idempotency_key="k")
    assert len(runs.listed()) == 1


def test_a_sign_of_life_moves_the_run_on_and_never_back(runs: Runs) -> None:
    running(runs)
    assert runs.beat("r1", Beat("select", 0.5, ("one", "two")), now=after(2)) is Pulse.GO_ON
    assert runs.beat("r1", Beat("fit", 0.25, ("three",)), now=after(3)) is Pulse.GO_ON
    run = runs.get("r1")
    assert run is not None
    assert (run.stage, run.progress, run.heartbeat_at) == ("fit", 0.5, after(3))
    assert run.log == ("one", "two", "three")


def test_only_the_end_of_a_log_is_kept(runs: Runs) -> None:
    running(runs)
    runs.beat("r1", Beat("fit", 0.1, tuple(f"{n:03d}" + "x" * 999 for n in range(70))), now=START)
    run = runs.get("r1")
    assert run is not None
    assert [line[:3] for line in run.log] == [f"{n:03d}" for n in range(20, 70)]
    assert max(map(len, run.log)) == 500


@pytest.mark.parametrize("state", ENDED)
def test_an_ended_run_never_changes_again(runs: Runs, state: RunState) -> None:
    running(runs)
    ended = runs.finish("r1", Outcome(state, "v1", ("why",), "sentence"), now=after(4))
    assert ended == runs.get("r1")
    assert ended is not None
    assert (ended.state, ended.finished_at) == (state, after(4))
    assert runs.beat("r1", Beat("fit", 1.0), now=after(5)) is Pulse.LOST
    assert runs.finish("r1", SUCCEEDED, now=after(5)) is None
    assert runs.settle("r1", SUCCEEDED, now=after(5)) is False
    assert runs.interrupt("r1", now=after(50)) is None
    assert runs.claim("r1", now=after(5)) is None
    with pytest.raises(RunEndedError, match=state.value):
        runs.cancel("r1", now=after(5))
    assert runs.get("r1") == ended
    assert runs.open() is None


def test_a_queued_run_is_cancelled_at_once(runs: Runs) -> None:
    runs.ask(a_run())
    assert runs.cancel("r1", now=after(1)).state is RunState.CANCELLED
    assert (runs.open(), runs.claim("r1", now=after(2))) == (None, None)
    with pytest.raises(NotFoundError):
        runs.cancel("r2", now=START)


def test_a_running_run_hears_of_its_cancelling_and_cannot_end_otherwise(runs: Runs) -> None:
    running(runs)
    assert runs.cancel("r1", now=after(1)).is_cancelling
    assert runs.cancel("r1", now=after(2)).state is RunState.RUNNING
    assert runs.beat("r1", Beat("fit", 0.5), now=after(2)) is Pulse.CANCEL
    assert runs.settle("r1", SUCCEEDED, now=after(3)) is False
    ended = runs.finish("r1", SUCCEEDED, now=after(3))
    assert ended is not None
    assert (ended.state, ended.version) == (RunState.CANCELLED, None)


def test_once_it_is_settled_a_run_can_only_end_so(runs: Runs) -> None:
    running(runs)
    assert runs.settle("r1", SUCCEEDED, now=after(3)) is True
    with pytest.raises(RunEndedError, match="about to end"):
        runs.cancel("r1", now=after(4))
    assert runs.interrupt("r1", now=after(60)) is None
    assert runs.beat("r1", Beat("settle", 1.0), now=after(4)) is Pulse.GO_ON
    run = runs.get("r1")
    assert run is not None
    assert (run.settled_as, run.version, run.promotes) == (RunState.SUCCEEDED, "v1", True)
    assert runs.finish("r1", SUCCEEDED, now=after(5)) is not None


def test_a_run_without_a_sign_of_life_is_interrupted_and_tried_again(runs: Runs) -> None:
    running(runs)
    runs.beat("r1", Beat("fit", 0.5), now=after(10))
    assert runs.interrupt("r1", now=after(17), silent_since=after(9), retry_as="r2") is None
    ended = runs.interrupt("r1", now=after(20), silent_since=after(12), retry_as="r2")
    assert ended == runs.get("r1")
    assert ended is not None
    assert (ended.state, ended.retried_as) == (RunState.INTERRUPTED, "r2")
    again = runs.open()
    assert again == replace(a_run("r2", 20), attempt=2)
    assert runs.interrupt("r1", now=after(21), retry_as="r3") is None
    assert len(runs.listed()) == 2


def test_of_two_who_find_the_worker_gone_one_queues_the_next_attempt(runs: Runs) -> None:
    running(runs)

    def interrupt(number: int) -> bool:
        return runs.interrupt("r1", now=after(20), retry_as=f"next{number}") is not None

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(interrupt, range(6))) == 1
    assert len(runs.listed()) == 2


def test_a_run_that_was_to_be_cancelled_is_not_tried_again(runs: Runs) -> None:
    running(runs)
    runs.cancel("r1", now=after(1))
    ended = runs.interrupt("r1", now=after(20), retry_as="r2")
    assert ended is not None
    assert (ended.state, ended.retried_as) == (RunState.CANCELLED, None)
    assert runs.open() is None


def ended_run(runs: Runs, run_id: str, at: float) -> None:
    runs.ask(a_run(run_id, at))
    runs.cancel(run_id, now=after(at))


def test_an_hour_sees_so_many_runs_and_no_more(runs: Runs) -> None:
    for number, at in enumerate((0, 600, 1200)):
        ended_run(runs, f"r{number}", at)
    with pytest.raises(TooManyRunsError) as refused:
        runs.ask(a_run("r3", 1800.5), runs_per_hour=3)
    assert refused.value.retry_after_seconds == 1800
    assert runs.ask(a_run("r3", 1800.5), runs_per_hour=4)
    runs.cancel("r3", now=START)
    assert runs.ask(a_run("r4", 4200), runs_per_hour=3)


def test_the_next_attempt_is_nobodys_asking(runs: Runs) -> None:
    running(runs)
    runs.interrupt("r1", now=after(20), retry_as="r2")
    runs.cancel("r2", now=after(21))
    assert runs.ask(a_run("r3", 22), runs_per_hour=2)


def test_who_asks_again_by_key_is_never_too_often(runs: Runs) -> None:
    runs.ask(a_run(), idempotency_key="k", runs_per_hour=1)
    assert runs.ask(a_run("r2"), idempotency_key="k", runs_per_hour=1).run_id == "r1"


def test_runs_are_listed_newest_first(runs: Runs) -> None:
    for number in range(5):
        ended_run(runs, f"r{number}", number * 10)
    assert [run.run_id for run in runs.listed(3)] == ["r4", "r3", "r2"]


def test_what_json_cannot_hold_is_refused(runs: Runs) -> None:
    with pytest.raises(StoreError, match="training run r1 cannot be stored"):
        runs.ask(replace(a_run(), asked_by="\ud800"))
    assert runs.open() is None
