"""Training runs in memory: for tests and trials. Same behaviour as the real store, nothing kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from recsvc.domain.training_runs import Beat, Outcome, Pulse, RunState, TrainingRun, check_quota
from recsvc.errors import NotFoundError, RunOpenError
from recsvc.stores.documents import encode_document
from recsvc.stores.training_runs import MAX_LISTED


class MemoryTrainingRuns:
    """The runs, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._runs: dict[str, TrainingRun] = {}
        self._keys: dict[str, str] = {}
        self._lock = threading.RLock()

    def ask(
        self, run: TrainingRun, *, idempotency_key: str | None = None, runs_per_hour: int | None = None
    ) -> TrainingRun:
        """Queue a run, or find it by its key. Raises as `SqlTrainingRuns.ask` does."""
        with self._lock:
            if idempotency_key is not None and idempotency_key in self._keys:
                return self._runs[self._keys[idempotency_key]].check_same(run)
            if open_run := self.open():
                raise RunOpenError(open_run.run_id)
            if runs_per_hour is not None:
                check_quota(self._runs.values(), run.asked_at, runs_per_hour)
            self._put(run)
            if idempotency_key is not None:
                self._keys[idempotency_key] = run.run_id
        return run

    def get(self, run_id: str) -> TrainingRun | None:
        """The run; None when there is none."""
        return self._runs.get(run_id)

    def listed(self, limit: int = MAX_LISTED) -> tuple[TrainingRun, ...]:
        """The runs that were asked for last, newest first."""
        with self._lock:
            newest = sorted(self._runs.values(), key=lambda run: (run.asked_at, run.run_id), reverse=True)
        return tuple(newest[:limit])

    def open(self) -> TrainingRun | None:
        """The run that is queued or running."""
        with self._lock:
            return next((run for run in self._runs.values() if run.state.is_open), None)

    def claim(self, run_id: str, *, now: datetime) -> TrainingRun | None:
        """Take up a queued run; None where it is not queued any more."""
        return self._change(run_id, lambda run: run.claimed(now) if run.state is RunState.QUEUED else None)

    def beat(self, run_id: str, beat: Beat, *, now: datetime) -> Pulse:
        """Give a sign of life; what it is answered with."""
        run = self._change(run_id, lambda run: run.beaten(beat, now) if run.is_running else None)
        return Pulse.LOST if run is None else run.pulse

    def settle(self, run_id: str, outcome: Outcome, *, now: datetime) -> bool:
        """Note how the run ends, as `SqlTrainingRuns.settle` does."""

        def settled(run: TrainingRun) -> TrainingRun | None:
            return run.settled(outcome, now) if run.is_running and not run.is_cancelling else None

        return self._change(run_id, settled) is not None

    def finish(self, run_id: str, outcome: Outcome, *, now: datetime) -> TrainingRun | None:
        """End a running run; None where it is not running any more."""
        return self._change(run_id, lambda run: run.ended(outcome, now) if run.is_running else None)

    def cancel(self, run_id: str, *, now: datetime) -> TrainingRun:
        """End a queued run, or ask for a running one's end. Raises as `SqlTrainingRuns.cancel` does."""
        run = self._change(run_id, lambda run: run.cancelled(now))
        if run is None:
            raise NotFoundError("there is no such training run")
        return run

    def interrupt(
        self, run_id: str, *, now: datetime, silent_since: datetime | None = None, retry_as: str | None = None
    ) -> TrainingRun | None:
        """Mark a run whose worker is gone, as `SqlTrainingRuns.interrupt` does."""
        with self._lock:
            run = self._change(run_id, lambda run: run.interrupted(now, silent_since, retry_as))
            if run is not None and run.retried_as is not None:
                self._put(run.again(run.retried_as, now))
        return run

    def _change(self, run_id: str, change: Callable[[TrainingRun], TrainingRun | None]) -> TrainingRun | None:
        with self._lock:
            run = self._runs.get(run_id)
            changed = None if run is None else change(run)
            if changed is not None:
                self._put(changed)
        return changed

    def _put(self, run: TrainingRun) -> None:
        encode_document(run, f"training run {run.run_id}")
        self._runs[run.run_id] = run
