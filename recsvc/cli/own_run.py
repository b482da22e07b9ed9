"""A training from the store by hand: a run as any other, so that no second one is open beside it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime

from recsvc.bundles.gate_report import GateReport
from recsvc.bundles.registry import Registry
from recsvc.clock_and_ids import new_id, now
from recsvc.domain.training_runs import Beat, Outcome, Pulse, RunState, TrainingRequest, TrainingRun
from recsvc.errors import StoreError
from recsvc.retraining.job import outcome_of
from recsvc.retraining.leftovers import clear_leftovers
from recsvc.retraining.stages import share_of_run
from recsvc.retraining.supervision import BEAT_SECONDS
from recsvc.serving.refreshing import Refresher
from recsvc.settings import Settings
from recsvc.stores.database import open_database
from recsvc.stores.training_runs import SqlTrainingRuns
from recsvc.training.trials import Progress

ASKED_BY = "command line"
_CANCELLED = signal.SIGUSR1


class OwnRun:
    """The run of this very process, which gives its signs of life."""

    def __init__(self, run: TrainingRun, runs: SqlTrainingRuns) -> None:
        self._run, self._runs = run, runs
        self._at = Beat("start", 0.0)
        self._is_to_end = False
        self.outcome: Outcome | None = None

    def shown_by(self, progress: Progress) -> Progress:
        """The progress that is shown, and told with each sign of life too."""

        def note(stage: str, share: float) -> None:
            self._at = Beat(stage, share_of_run(stage, share))
            progress(stage, share)

        return note

    def commit(self, gate: GateReport, promotes: bool) -> bool:
        """Note what was decided; False when the run may not end so any more. Raises StoreError."""
        self.outcome = outcome_of(self._run.request, gate, promotes)
        return self._runs.settle(self._run.run_id, self.outcome, now=now())

    def beat(self) -> None:
        """Give a sign of life. Where somebody wants the run ended, it ends as by Ctrl-C."""
        with suppress(StoreError):  # The next one may be heard.
            pulse = self._runs.beat(self._run.run_id, self._at, now=now())
            if pulse is not Pulse.GO_ON and not self._is_to_end:  # Once: to clear up must not be ended.
                self._is_to_end = True
                os.kill(os.getpid(), _CANCELLED)


@contextmanager
def _ended_from_outside() -> Iterator[None]:
    """Let a cancellation end this process as Ctrl-C does, which a shell's background jobs do not hear."""
    before = signal.signal(_CANCELLED, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(_CANCELLED, before)


@contextmanager
def own_run(settings: Settings, request: TrainingRequest, started: datetime) -> Iterator[OwnRun]:
    """Keep a run open for as long as this lasts. Raises RunOpenError, StoreError."""
    with closing(open_database(settings.store_url)) as database, _ended_from_outside():
        runs = SqlTrainingRuns(database)
        run = runs.ask(TrainingRun(new_id(), request, ASKED_BY, started).claimed(started))
        own = OwnRun(run, runs)
        beats = Refresher((own.beat,), BEAT_SECONDS)
        beats.start()
        try:
            yield own
        except BaseException as error:
            beats.stop()
            is_cancelled = isinstance(error, KeyboardInterrupt)
            failed = Outcome(RunState.FAILED, error=str(error) or type(error).__name__)
            runs.finish(run.run_id, Outcome(RunState.CANCELLED) if is_cancelled else failed, now=now())
            clear_leftovers(Registry(settings.models_dir), run)
            raise
        beats.stop()
        runs.finish(run.run_id, own.outcome or Outcome(RunState.SUCCEEDED), now=now())
