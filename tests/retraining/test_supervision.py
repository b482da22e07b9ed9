"""What becomes of a run whose training ends, is cancelled, or whose worker stops or dies."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.training_runs import Beat, Outcome, Pulse, RunState
from recsvc.errors import RedisError, StoreError
from recsvc.policy_training import TrainingPolicy
from recsvc.stores.memory_training_runs import MemoryTrainingRuns
from tests.retraining.conftest import START, Workshop
from tests.serving.made_bundles import bundle_of


def nothing() -> None: ...


def test_a_run_ends_as_its_training_says(workshop: Workshop) -> None:
    workshop.ask()
    workshop.steps = [lambda: workshop.later(1)]
    workshop.supervisor.perform("r1")
    run = workshop.run()
    assert (run.state, run.version, run.progress) == (RunState.SUCCEEDED, "v1", 1.0)
    assert (run.started_at, run.finished_at) == (START, START + timedelta(seconds=1))
    assert run.log == ("a line", "a line")
    assert workshop.children[0].is_killed


def test_what_another_worker_took_up_is_left_alone(workshop: Workshop) -> None:
    workshop.ask()
    workshop.runs.claim("r1", now=START)
    workshop.supervisor.perform("r1")
    workshop.supervisor.perform("unknown")
    assert workshop.children == []


def test_a_cancelled_run_is_killed_wherever_it_is(workshop: Workshop) -> None:
    workshop.ask()
    goes_on: list[bool] = []
    cancel = lambda: workshop.runs.cancel("r1", now=START)  # noqa: E731
    workshop.steps = [nothing, cancel, lambda: goes_on.append(True)]
    workshop.supervisor.perform("r1")
    assert workshop.run().state is RunState.CANCELLED
    assert (workshop.children[0].is_killed, goes_on) == (True, [])


def test_a_worker_that_stops_leaves_its_run_to_the_next(workshop: Workshop) -> None:
    workshop.ask()
    workshop.steps = [workshop.supervisor.stopping.set, nothing]
    workshop.supervisor.perform("r1")
    assert workshop.children[0].is_killed
    assert (workshop.run().state, workshop.run().retried_as) == (RunState.INTERRUPTED, "n1")
    assert workshop.run("n1").attempt == 2
    workshop.supervisor.perform("n1")
    assert workshop.run("n1").state is RunState.QUEUED


def test_a_run_that_was_marked_meanwhile_says_nothing_more(workshop: Workshop) -> None:
    workshop.ask()
    workshop.steps = [lambda: workshop.runs.interrupt("r1", now=START), nothing]
    workshop.supervisor.perform("r1")
    assert workshop.run().state is RunState.INTERRUPTED
    assert workshop.children[0].is_killed


class DeafRuns(MemoryTrainingRuns):
    """A store that is down whenever somebody gives a sign of life."""

    def beat(self, run_id: str, beat: Beat, *, now: datetime) -> Pulse:
        raise StoreError("the store does not answer")


def test_a_store_that_is_down_for_a_while_ends_no_run(workshop: Workshop) -> None:
    workshop.runs = workshop.supervisor.runs = DeafRuns()
    workshop.ask()
    workshop.steps = [nothing] * 3
    workshop.supervisor.perform("r1")
    assert workshop.run().state is RunState.SUCCEEDED


def test_a_queued_run_that_redis_forgot_is_carried_again(workshop: Workshop) -> None:
    workshop.ask()
    workshop.supervisor.sweep()
    workshop.supervisor.sweep()
    assert workshop.jobs.carried == ["r1"]
    workshop.jobs.carried.clear()
    workshop.supervisor.sweep()
    assert workshop.jobs.carried == ["r1"]


def test_a_queued_run_waits_while_redis_is_down(workshop: Workshop) -> None:
    workshop.ask()
    workshop.jobs.failure = RedisError("Redis does not answer")
    workshop.supervisor.sweep()
    assert workshop.run().state is RunState.QUEUED
    workshop.jobs.failure = None
    workshop.supervisor.sweep()
    assert workshop.jobs.carried == ["r1"]


def test_a_silent_run_is_interrupted_and_tried_again_as_often_as_the_policy_says(workshop: Workshop) -> None:
    workshop.ask()
    workshop.runs.claim("r1", now=START)
    workshop.later(7.9)
    workshop.supervisor.sweep()
    assert workshop.run().state is RunState.RUNNING
    workshop.later(0.1)
    workshop.supervisor.sweep()
    assert workshop.run().state is RunState.INTERRUPTED
    assert workshop.run("n1").state is RunState.QUEUED
    workshop.supervisor.sweep()
    assert workshop.jobs.carried == ["n1"]
    workshop.runs.claim("n1", now=workshop.now)
    workshop.later(8)
    workshop.supervisor.sweep()
    assert workshop.run("n1").state is RunState.INTERRUPTED
    assert workshop.runs.open() is None


@pytest.mark.parametrize("policy", [TrainingPolicy(retries=0)])
def test_where_the_policy_allows_no_retry_there_is_none(workshop: Workshop) -> None:
    workshop.ask()
    workshop.runs.claim("r1", now=START)
    workshop.later(8)
    workshop.supervisor.sweep()
    assert (workshop.run().state, workshop.run().retried_as) == (RunState.INTERRUPTED, None)


def publish(registry: Registry, created_at: datetime) -> str:
    arrays = {"popularity": np.ones(2, dtype=np.float32)}
    manifest = replace(bundle_of((), arrays).manifest, created_at=created_at)
    return registry.publish(manifest, arrays).version


def test_nothing_is_left_of_a_run_that_came_to_nothing(workshop: Workshop) -> None:
    before = publish(workshop.registry, START - timedelta(days=1))
    workshop.registry.promote(before)
    workshop.ask()
    workshop.runs.claim("r1", now=START)
    publish(workshop.registry, START)
    (workshop.registry.folder / ".staging-1234").mkdir()
    workshop.later(8)
    workshop.supervisor.sweep()
    assert workshop.run().state is RunState.INTERRUPTED
    found = {path.name for path in workshop.registry.folder.iterdir()}
    assert found == {before, "aliases.json", ".lock"}
    assert workshop.registry.aliases().champion == before


@pytest.mark.parametrize(("promotes", "state"), [(True, RunState.SUCCEEDED), (False, RunState.HELD)])
def test_what_a_dead_worker_had_decided_is_carried_out(
    workshop: Workshop, promotes: bool, state: RunState
) -> None:
    workshop.ask()
    workshop.runs.claim("r1", now=START)
    version = publish(workshop.registry, START)
    decided = Outcome(state, version, ("why",), promotes=promotes)
    assert workshop.runs.settle("r1", decided, now=START)
    workshop.later(8)
    workshop.supervisor.sweep()
    run = workshop.run()
    assert (run.state, run.version, run.reasons) == (state, version, ("why",))
    assert workshop.registry.aliases().champion == (version if promotes else None)


@pytest.mark.parametrize("stops", [False, True])
def test_what_was_decided_is_carried_out_where_only_the_training_dies(
    workshop: Workshop, stops: bool
) -> None:
    workshop.ask()
    version = publish(workshop.registry, START)
    decided = Outcome(RunState.SUCCEEDED, version, ("why",), promotes=True)
    workshop.steps = [lambda: workshop.runs.settle("r1", decided, now=START)]
    if stops:
        workshop.steps += [workshop.supervisor.stopping.set, nothing]
    workshop.outcome = Outcome(RunState.FAILED, error="the training process ended with code -9")
    workshop.supervisor.perform("r1")
    run = workshop.run()
    assert (run.state, run.version, run.reasons) == (RunState.SUCCEEDED, version, ("why",))
    assert workshop.registry.aliases().champion == version


def test_a_decided_bundle_that_is_gone_keeps_no_run_open(workshop: Workshop) -> None:
    workshop.ask()
    workshop.runs.claim("r1", now=START)
    decided = Outcome(RunState.SUCCEEDED, "20260101T000000Z-00000000", promotes=True)
    assert workshop.runs.settle("r1", decided, now=START)
    workshop.later(8)
    workshop.supervisor.sweep()
    assert workshop.run().state is RunState.FAILED
    assert workshop.registry.aliases().champion is None


@pytest.mark.parametrize("policy", [TrainingPolicy(every_hours=2, promote="never")])
def test_runs_come_by_schedule_and_never_two_at_a_time(workshop: Workshop) -> None:
    workshop.supervisor.sweep()
    run = workshop.run("n1")
    assert (run.asked_by, run.request.promote) == ("schedule", "never")
    workshop.later(3 * 3600)
    workshop.supervisor.sweep()
    assert len(workshop.runs.listed()) == 1
    workshop.runs.cancel("n1", now=workshop.now)
    workshop.supervisor.sweep()
    assert len(workshop.runs.listed()) == 2
    workshop.runs.cancel("n2", now=workshop.now)
    workshop.later(2 * 3600 - 1)
    workshop.supervisor.sweep()
    assert len(workshop.runs.listed()) == 2


def test_without_a_schedule_nobody_asks(workshop: Workshop) -> None:
    workshop.later(10**6)
    workshop.supervisor.sweep()
    assert workshop.runs.listed() == ()
