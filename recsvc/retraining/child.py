"""The process that trains. In: a run's id, settings from the environment. Out: messages, one JSON a line.

It is a process of its own so that its end is the end of everything in it: whoever supervises it can kill it
at any stage, and when the supervisor itself dies, the pipe that is its standard input ends, and so does it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

import msgspec

from recsvc.bundles.registry import Registry
from recsvc.domain.training_runs import Outcome, RunState
from recsvc.errors import RecsvcError
from recsvc.policy import load_policy
from recsvc.retraining.child_process import Message
from recsvc.retraining.job import Workplace, carry_out
from recsvc.retraining.stages import share_of_run
from recsvc.settings import load_settings
from recsvc.stores.database import open_database
from recsvc.stores.training_runs import SqlTrainingRuns

_TELL_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1


def main(run_id: str, clock: Callable[[], datetime]) -> None:
    """Carry out the run, telling of it on standard output."""
    supervisor = os.getppid()
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    _die_with(supervisor)
    # What libraries print must not stand between the messages.
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def tell(message: Message) -> None:
        told.write(msgspec.json.encode(message) + b"\n")
        told.flush()

    tell(Message(outcome=_outcome(run_id, clock, _Progress(tell))))


class _Progress:
    """Tells of the progress, and not more often than anybody could read."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        self._tell = tell
        self._stage, self._told_at = "", 0.0

    def __call__(self, stage: str, share: float) -> None:
        if stage != self._stage or time.monotonic() - self._told_at >= _TELL_SECONDS:
            self._stage, self._told_at = stage, time.monotonic()
            self._tell(Message(stage, share_of_run(stage, share)))


def _outcome(run_id: str, clock: Callable[[], datetime], progress: _Progress) -> Outcome:
    try:
        settings = load_settings()
        with closing(open_database(settings.store_url)) as database:
            runs = SqlTrainingRuns(database)
            run = runs.get(run_id)
            if run is None or not run.is_running:
                return Outcome(RunState.FAILED, error=f"training run {run_id} is not running")
            workplace = Workplace(database, load_policy(settings.policy_file), Registry(settings.models_dir))

            def commit(outcome: Outcome) -> bool:
                return runs.settle(run_id, outcome, now=clock())

            return carry_out(run, workplace, progress=progress, commit=commit)
    except RecsvcError as error:
        return Outcome(RunState.FAILED, error=str(error))


def _end_with_supervisor() -> None:
    """Nobody writes to standard input: it ends when the supervisor does."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _die_with(supervisor: int) -> None:
    """The same by the kernel, which need not wait for whatever holds the interpreter; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # It died in between.
            os.kill(os.getpid(), signal.SIGKILL)
