"""Training runs: what was asked for, and how far it has come. In: facts, moments. Out: values that check.

A run goes from queued to running and ends once: succeeded, held, failed, cancelled or interrupted. An ended
run never changes again; what is tried again is a run of its own, which the ended one names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil, isfinite
from typing import Literal

from recsvc.errors import RunEndedError, RunRepeatedError, TooManyRunsError

AUTO = "auto"
Promotion = Literal["if_better", "never"]

FAMILY_SETTINGS: dict[str, tuple[str, ...]] = {
    "popularity": (),
    "neighbours": (),
    "cooccurrence": (),
    "als": ("factors", "iterations", "regularization", "alpha"),
    "spectral": ("factors",),
    "ease": ("regularization",),
    "bpr": ("factors", "iterations", "regularization", "alpha"),
    "lmf": ("factors", "iterations", "regularization", "alpha"),
}
"""What a run may fix of each model family; of `auto`, which tries many settings of several, nothing."""

RANGES: dict[str, tuple[float, float]] = {
    "factors": (1, 1024),
    "iterations": (1, 500),
    "regularization": (0.000001, 1_000_000),
    "alpha": (0.000001, 10_000),
    "seed": (0, 2**31 - 1),
    "time_budget_seconds": (1, 86_400),
}
MAX_NAME_CHARS = 100
MAX_LOG_LINES = 50
MAX_LINE_CHARS = 500
QUOTA_WINDOW = timedelta(hours=1)
SILENT_AFTER = timedelta(seconds=8)
"""A running run that gave no sign of life for so long has lost its worker."""

_INTERRUPTED = "its worker stopped or died before the run had ended"


class RunState(StrEnum):
    """Where a run stands. `held` is trained, and not better; `interrupted`, that its worker died."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    HELD = "held"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_open(self) -> bool:
        """Whether the run has yet to end. At most one run is open."""
        return self in (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What to train. `since` counts, `until` does not; None leaves a setting to the search."""

    model: str = AUTO
    factors: int | None = None
    iterations: int | None = None
    regularization: float | None = None
    alpha: float | None = None
    seed: int = 1
    since: datetime | None = None
    until: datetime | None = None
    name: str = ""
    time_budget_seconds: float | None = None
    promote: Promotion = "if_better"

    def __post_init__(self) -> None:
        if self.model != AUTO and self.model not in FAMILY_SETTINGS:
            raise ValueError(f"one of {AUTO}, {', '.join(FAMILY_SETTINGS)} must be the model")
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and least <= value <= most):
                raise ValueError(f"{name} must be from {least:g} to {most:.10g}")
        for name in self.fixed:
            if name not in FAMILY_SETTINGS.get(self.model, ()):
                raise ValueError(f"{_taken_by(self.model)}, and no {name}")
        if self.since and self.until and self.since >= self.until:
            raise ValueError("until must be after since")
        if len(self.name) > MAX_NAME_CHARS:
            raise ValueError(f"name must be at most {MAX_NAME_CHARS} characters")

    @property
    def fixed(self) -> dict[str, float]:
        """The settings of the family that were given."""
        named = ("factors", "iterations", "regularization", "alpha")
        return {name: value for name in named if (value := getattr(self, name)) is not None}


def _taken_by(model: str) -> str:
    if model == AUTO:
        return f"{AUTO} finds settings by itself and takes none"
    return f"{model} takes {', '.join(FAMILY_SETTINGS[model]) or 'none'}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ends. `version` is of the bundle that it published, `error` one sentence.

    `promotes` says that the bundle becomes the champion.
    """

    state: RunState
    version: str | None = None
    reasons: tuple[str, ...] = ()
    error: str | None = None
    promotes: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life: where the run is, and what it said since the one before. `progress` is 0 to 1."""

    stage: str
    progress: float
    lines: tuple[str, ...] = ()


class Pulse(StrEnum):
    """What a sign of life is answered with."""

    GO_ON = "go_on"
    CANCEL = "cancel"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One run. `attempt` counts from 1; `retried_as` is the run that tries again what this one could not.

    `settled_as` is set once it is decided what becomes of its bundle: from then on it can end in that alone.
    """

    run_id: str
    request: TrainingRequest
    asked_by: str
    asked_at: datetime
    state: RunState = RunState.QUEUED
    attempt: int = 1
    retried_as: str | None = None
    stage: str | None = None
    progress: float = 0.0
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None
    finished_at: datetime | None = None
    is_cancelling: bool = False
    settled_as: RunState | None = None
    promotes: bool = False
    version: str | None = None
    reasons: tuple[str, ...] = ()
    error: str | None = None
    log: tuple[str, ...] = ()

    def claimed(self, now: datetime) -> TrainingRun:
        """The run as a worker takes it up."""
        return replace(self, state=RunState.RUNNING, stage="start", started_at=now, heartbeat_at=now)

    def beaten(self, beat: Beat, now: datetime) -> TrainingRun:
        """The run after a sign of life. Its progress never falls."""
        lines = tuple(line[:MAX_LINE_CHARS] for line in beat.lines)
        return replace(
            self,
            stage=beat.stage,
            progress=max(self.progress, min(beat.progress, 1.0)),
            heartbeat_at=now,
            log=(self.log + lines)[-MAX_LOG_LINES:],
        )

    def settled(self, outcome: Outcome, now: datetime) -> TrainingRun:
        """The run once it is decided how it ends."""
        return replace(
            self,
            settled_as=outcome.state,
            promotes=outcome.promotes,
            stage="settle",
            version=outcome.version,
            reasons=outcome.reasons,
            heartbeat_at=now,
        )

    def ended(self, outcome: Outcome, now: datetime) -> TrainingRun:
        """The run at its end. One that was to be cancelled is, unless it was settled before."""
        if self.is_cancelling and self.settled_as is None:
            outcome = Outcome(RunState.CANCELLED)
        is_whole = outcome.state in (RunState.SUCCEEDED, RunState.HELD)
        return replace(
            self,
            state=outcome.state,
            version=outcome.version,
            reasons=outcome.reasons,
            error=outcome.error,
            progress=1.0 if is_whole else self.progress,
            finished_at=now,
        )

    def cancelled(self, now: datetime) -> TrainingRun:
        """The run once somebody wants it cancelled: a queued one ends at once.

        Raises:
            RunEndedError: it has ended, or it is settled how it ends.
        """
        if not self.state.is_open or self.settled_as is not None:
            state = "about to end" if self.state.is_open else self.state.value
            raise RunEndedError(f"training run {self.run_id} cannot be cancelled any more: it is {state}")
        if self.state is RunState.QUEUED:
            return self.ended(Outcome(RunState.CANCELLED), now)
        return replace(self, is_cancelling=True)

    def interrupted(
        self, now: datetime, silent_since: datetime | None, retry_as: str | None
    ) -> TrainingRun | None:
        """The run once its worker is gone; None where that may not be said of it.

        It may not of one that is not running, that is settled, or that gave a sign of life after
        `silent_since`.
        """
        is_alive = silent_since and self.heartbeat_at and self.heartbeat_at > silent_since
        if not self.is_running or self.settled_as is not None or is_alive:
            return None
        ended = self.ended(Outcome(RunState.INTERRUPTED, error=_INTERRUPTED), now)
        return ended if self.is_cancelling else replace(ended, retried_as=retry_as)

    def again(self, run_id: str, now: datetime) -> TrainingRun:
        """The run that tries the same once more."""
        return TrainingRun(run_id, self.request, self.asked_by, now, attempt=self.attempt + 1)

    def check_same(self, asked: TrainingRun) -> TrainingRun:
        """This run, where the other asks for the same. Raises RunRepeatedError."""
        if self.request != asked.request:
            raise RunRepeatedError(
                f"the Idempotency-Key is that of training run {self.run_id}, which asks for other things"
            )
        return self

    @property
    def is_running(self) -> bool:
        """Whether a worker may still say something of the run."""
        return self.state is RunState.RUNNING

    def is_silent(self, now: datetime) -> bool:
        """Whether the run's worker is to be taken for dead."""
        return self.is_running and self.heartbeat_at is not None and now - self.heartbeat_at >= SILENT_AFTER

    @property
    def pulse(self) -> Pulse:
        """What a sign of life is answered with."""
        return Pulse.CANCEL if self.is_cancelling and self.settled_as is None else Pulse.GO_ON


def check_quota(recent: Iterable[TrainingRun], now: datetime, runs_per_hour: int) -> None:
    """Raise TooManyRunsError where so many first attempts were asked for within the last hour."""
    asked = sorted(run.asked_at for run in recent if run.attempt == 1 and run.asked_at > now - QUOTA_WINDOW)
    if len(asked) >= runs_per_hour:
        seconds = (asked[-runs_per_hour] + QUOTA_WINDOW - now).total_seconds()
        raise TooManyRunsError(runs_per_hour, max(1, ceil(seconds)))
