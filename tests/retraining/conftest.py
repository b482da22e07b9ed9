"""A supervisor over stores in memory, whose trainings do what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from recsvc.bundles.registry import Registry
from recsvc.domain.training_runs import Outcome, RunState, TrainingRequest, TrainingRun
from recsvc.policy_training import TrainingPolicy
from recsvc.retraining.child_process import Message
from recsvc.retraining.supervision import Supervisor
from recsvc.stores.memory_training_runs import MemoryTrainingRuns
from tests.fake_jobs import FakeJobs

START = datetime(2026, 11, 20, 10, tzinfo=UTC)


class FakeChild:
    """Lives for as many looks as there are steps, takes each of them, and then tells its outcome."""

    def __init__(self, steps: Iterator[Callable[[], object]], outcome: Outcome) -> None:
        self._steps, self._outcome = steps, outcome
        self.last = Message("fit", 0.5)
        self.is_killed = False

    def lines(self) -> tuple[str, ...]:
        return ("a line",)

    def ended(self, seconds: float) -> bool:
        step = next(self._steps, None)
        if step is not None:
            step()
        return step is None

    def outcome(self) -> Outcome:
        return self._outcome

    def kill(self) -> None:
        self.is_killed = True


class Workshop:
    """A worker's supervisor, its clock, and the trainings that it has started."""

    def __init__(self, folder: Path, policy: TrainingPolicy) -> None:
        self.now = START
        self.runs, self.jobs, self.registry = MemoryTrainingRuns(), FakeJobs(), Registry(folder)
        self.children: list[FakeChild] = []
        self.steps: list[Callable[[], object]] = []
        self.outcome = Outcome(RunState.SUCCEEDED, "v1", ("better",))
        ids = count(1)
        self.supervisor = Supervisor(
            self.runs,
            self.jobs,
            self.registry,
            policy,
            start=self._start,
            clock=lambda: self.now,
            new_id=lambda: f"n{next(ids)}",
            beat_seconds=0.0,
        )

    def _start(self, run_id: str) -> FakeChild:
        self.children.append(FakeChild(iter(self.steps), self.outcome))
        return self.children[-1]

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def ask(self) -> None:
        self.runs.ask(TrainingRun("r1", TrainingRequest(), "somebody", self.now))

    def run(self, run_id: str = "r1") -> TrainingRun:
        run = self.runs.get(run_id)
        assert run is not None
        return run


@pytest.fixture
def policy() -> TrainingPolicy:
    return TrainingPolicy()


@pytest.fixture
def workshop(tmp_path: Path, policy: TrainingPolicy) -> Workshop:
    return Workshop(tmp_path / "models", policy)
