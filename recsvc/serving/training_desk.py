"""Training runs as the web service sees them. In: requests of marketers. Out: runs as they stand.

Nothing is trained here: a worker finds the run in the store. Redis only makes it quick.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from recsvc.domain.training_runs import SILENT_AFTER, TrainingRequest, TrainingRun
from recsvc.errors import NotFoundError, RedisError
from recsvc.policy_training import TrainingPolicy

log = structlog.get_logger()

SILENT_LOOK_SECONDS = 2.0


class RunStore(Protocol):
    """Keeps training runs: the truth about them."""

    def ask(
        self, run: TrainingRun, *, idempotency_key: str | None = None, runs_per_hour: int | None = None
    ) -> TrainingRun:
        """Queue a run, or find it by its key.

        Raises RunRepeatedError, RunOpenError, TooManyRunsError, StoreError.
        """
        ...

    def get(self, run_id: str) -> TrainingRun | None:
        """The run; None when there is none. Raises StoreError."""
        ...

    def listed(self, limit: int = ...) -> tuple[TrainingRun, ...]:
        """The runs that were asked for last, newest first. Raises StoreError."""
        ...

    def open(self) -> TrainingRun | None:
        """The run that is queued or running. Raises StoreError."""
        ...

    def cancel(self, run_id: str, *, now: datetime) -> TrainingRun:
        """End the run, or ask its worker to. Raises NotFoundError, RunEndedError, StoreError."""
        ...

    def interrupt(
        self, run_id: str, *, now: datetime, silent_since: datetime | None = None, retry_as: str | None = None
    ) -> TrainingRun | None:
        """Mark a run whose worker is gone; None where that may not be said. Raises StoreError."""
        ...


class Jobs(Protocol):
    """Carries the ids of queued runs to workers; it may forget them."""

    def put(self, run_id: str) -> None:
        """Carry the id. Raises RedisError."""
        ...

    def holds(self, run_id: str) -> bool:
        """Whether the id is on its way. Raises RedisError."""
        ...


class TrainingDesk:
    """Takes requests for training runs, and tells how they stand."""

    def __init__(
        self,
        runs: RunStore,
        jobs: Jobs,
        policy: TrainingPolicy,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._runs, self._jobs, self._policy = runs, jobs, policy
        self._clock, self._new_id = clock, new_id

    def ask(
        self, request: TrainingRequest, *, asked_by: str, idempotency_key: str | None = None
    ) -> TrainingRun:
        """Queue a run; the same key with the same request finds the run that was queued before.

        Raises:
            RunRepeatedError: the key came before with another request.
            RunOpenError: a run is open.
            TooManyRunsError: more than the policy's `runs_per_hour` were asked for.
            StoreError: nothing was queued.
        """
        key = None if idempotency_key is None else f"{asked_by} {idempotency_key}"
        asked = TrainingRun(self._new_id(), request, asked_by, self._clock())
        run = self._runs.ask(asked, idempotency_key=key, runs_per_hour=self._policy.runs_per_hour)
        if run is asked:
            carry(self._jobs, run.run_id)
        return run

    def get(self, run_id: str) -> TrainingRun:
        """The run. Raises NotFoundError, StoreError."""
        run = self._runs.get(run_id)
        if run is None:
            raise NotFoundError("there is no such training run")
        return run

    def listed(self, limit: int) -> tuple[TrainingRun, ...]:
        """The runs that were asked for last, newest first. Raises StoreError."""
        return self._runs.listed(limit)

    def cancel(self, run_id: str) -> TrainingRun:
        """End the run at whatever stage it is. Raises NotFoundError, RunEndedError, StoreError."""
        return self._runs.cancel(run_id, now=self._clock())

    def mark_silent(self) -> None:
        """Mark the open run where its worker has died: there may be no other worker to do it.

        Raises StoreError.
        """
        run = self._runs.open()
        if run is not None and run.is_silent(self._clock()):
            interrupt_silent(self._runs, run, self._policy, now=self._clock(), new_id=self._new_id)


def carry(jobs: Jobs, run_id: str) -> None:
    """Hand the run's id to a worker, unless it is on its way. Without Redis it waits in the store."""
    try:
        if not jobs.holds(run_id):
            jobs.put(run_id)
    except RedisError as error:
        log.warning("training_run_waits", run_id=run_id, reason=str(error))


def interrupt_silent(
    runs: RunStore, run: TrainingRun, policy: TrainingPolicy, *, now: datetime, new_id: Callable[[], str]
) -> None:
    """Mark a run whose worker has died, and queue its next attempt if there is one. Raises StoreError."""
    retry_as = next_attempt(run, policy, new_id)
    ended = runs.interrupt(run.run_id, now=now, silent_since=now - SILENT_AFTER, retry_as=retry_as)
    if ended is not None:
        log.warning("training_run_interrupted", run_id=run.run_id, retried_as=ended.retried_as)


def next_attempt(run: TrainingRun, policy: TrainingPolicy, new_id: Callable[[], str]) -> str | None:
    """The id of the run's next attempt; None where the policy allows none."""
    return new_id() if run.attempt <= policy.retries else None
