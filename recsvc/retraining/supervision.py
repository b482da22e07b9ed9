"""What a worker does with training runs. In: the store of runs. Out: runs carried out, watched, swept up.

A run belongs to the worker that claimed it for as long as it gives signs of life. Whoever finds one silent
marks it, queues its next attempt where the policy says so, and clears away what it left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from recsvc.bundles.registry import Registry
from recsvc.domain.training_runs import (
    Beat,
    Outcome,
    Pulse,
    RunState,
    TrainingRequest,
    TrainingRun,
)
from recsvc.errors import BundleError, RunOpenError, StoreError
from recsvc.policy_training import TrainingPolicy
from recsvc.retraining.child_process import Message
from recsvc.retraining.leftovers import clear_leftovers
from recsvc.serving.training_desk import Jobs, RunStore, carry, interrupt_silent, next_attempt

log = structlog.get_logger()

BEAT_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_RECENT = 20
SCHEDULE = "schedule"


class Runs(RunStore, Protocol):
    """What of the store of runs only a worker needs."""

    def claim(self, run_id: str, *, now: datetime) -> TrainingRun | None:
        """Take up a queued run; None where it is not queued any more. Raises StoreError."""
        ...

    def beat(self, run_id: str, beat: Beat, *, now: datetime) -> Pulse:
        """Give a sign of life; what it is answered with. Raises StoreError."""
        ...

    def finish(self, run_id: str, outcome: Outcome, *, now: datetime) -> TrainingRun | None:
        """End a running run; None where it is not running any more. Raises StoreError."""
        ...


class Child(Protocol):
    """A training in a process of its own."""

    @property
    def last(self) -> Message: ...
    def lines(self) -> tuple[str, ...]: ...
    def ended(self, seconds: float) -> bool: ...
    def outcome(self) -> Outcome: ...
    def kill(self) -> None: ...


@dataclass
class Supervisor:
    """One worker's part. `start` begins the training of a claimed run; `stopping` ends everything."""

    runs: Runs
    jobs: Jobs
    registry: Registry
    policy: TrainingPolicy
    start: Callable[[str], Child]
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    beat_seconds: float = BEAT_SECONDS
    stopping: threading.Event = field(default_factory=threading.Event)
    _cleared: set[str] = field(default_factory=set)

    def perform(self, run_id: str) -> None:
        """Carry out a queued run, until it ends, is cancelled, or the worker has to stop.

        Nothing happens where another worker was quicker. Raises StoreError.
        """
        if self.stopping.is_set() or (run := self.runs.claim(run_id, now=self.clock())) is None:
            return
        log.info("training_run_started", run_id=run_id, attempt=run.attempt)
        child = self.start(run_id)
        try:
            outcome = self._watch(run_id, child)
        finally:
            child.kill()
        run = self.runs.get(run_id) or run
        if run.settled_as is not None and (outcome is None or outcome.state is not run.settled_as):
            self._carry_out_decided(run)
        elif outcome is None:
            retry_as = next_attempt(run, self.policy, self.new_id)
            self.runs.interrupt(run_id, now=self.clock(), retry_as=retry_as)
        else:
            self._finish(run_id, outcome)
        self._clear()

    def sweep(self) -> None:
        """Look after the open run: one that nobody carries, one that has gone silent; and see what is due.

        Raises StoreError, RegistryError.
        """
        run = self.runs.open()
        if run is None:
            self._ask_when_due()
        elif run.state is RunState.QUEUED:
            carry(self.jobs, run.run_id)
        else:
            self._end_silent(run)
        self._clear()

    def _finish(self, run_id: str, outcome: Outcome) -> None:
        ended = self.runs.finish(run_id, outcome, now=self.clock())
        if ended is not None:
            log.info("training_run_ended", run_id=run_id, state=ended.state, version=ended.version)

    def _watch(self, run_id: str, child: Child) -> Outcome | None:
        """How the run ended; None where it could not, because the worker stops."""
        beaten_at = time.monotonic() - self.beat_seconds
        while not child.ended(_LOOK_SECONDS):
            if self.stopping.is_set():
                return None
            if time.monotonic() - beaten_at >= self.beat_seconds:
                beaten_at = time.monotonic()
                if self._beat(run_id, child) is not Pulse.GO_ON:
                    return Outcome(RunState.CANCELLED)
        self._beat(run_id, child)
        return child.outcome()

    def _beat(self, run_id: str, child: Child) -> Pulse:
        last = child.last
        beat = Beat(last.stage or "end", last.progress, child.lines())
        try:
            return self.runs.beat(run_id, beat, now=self.clock())
        except StoreError as error:
            # While the store cannot answer, nobody can mark the run either.
            log.warning("training_run_not_heard", run_id=run_id, reason=str(error))
            return Pulse.GO_ON

    def _end_silent(self, run: TrainingRun) -> None:
        if not run.is_silent(self.clock()):
            return
        if run.settled_as is not None:
            self._carry_out_decided(run)
        else:
            interrupt_silent(self.runs, run, self.policy, now=self.clock(), new_id=self.new_id)

    def _carry_out_decided(self, run: TrainingRun) -> None:
        """End a run whose training died before the alias moved, or before it could say so.

        Nobody can interrupt it any more: without an end it would be the open run for ever.
        """
        if not run.is_running or run.settled_as is None or run.version is None:
            return
        outcome = Outcome(run.settled_as, run.version, run.reasons)
        try:
            if run.promotes:
                self.registry.promote(run.version)
        except BundleError as error:
            outcome = Outcome(RunState.FAILED, error=str(error))
        self._finish(run.run_id, outcome)

    def _ask_when_due(self) -> None:
        if not self.policy.every_hours:
            return
        now, newest = self.clock(), self.runs.listed(1)
        if newest and newest[0].asked_at + timedelta(hours=self.policy.every_hours) > now:
            return
        request = TrainingRequest(name="scheduled", promote=self.policy.promote)
        with suppress(RunOpenError):  # Another worker saw it too.
            self.runs.ask(TrainingRun(self.new_id(), request, SCHEDULE, now))

    def _clear(self) -> None:
        """Remove what runs that came to nothing have left; at first also those of workers before this one."""
        for run in self.runs.listed(_RECENT):
            came_to_nothing = run.state in (RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED)
            if came_to_nothing and run.started_at is not None and run.run_id not in self._cleared:
                clear_leftovers(self.registry, run)
                self._cleared.add(run.run_id)
