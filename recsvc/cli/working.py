"""`recsvc worker`: carries out training runs, one at a time, and looks after those that nobody carries.

It also watches the experiments that run, and pauses one that does harm.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from types import FrameType

import click

from recsvc.bundles.registry import Registry
from recsvc.cli.serving import kept_running
from recsvc.cli.terminal import models_option, say, settings_with
from recsvc.clock_and_ids import new_id, now
from recsvc.experimentation.results import ResultsReader
from recsvc.experimentation.watching import ExperimentWatch
from recsvc.observability import configure_logging
from recsvc.policy import load_policy
from recsvc.retraining.child_process import ChildProcess
from recsvc.retraining.supervision import Supervisor
from recsvc.serving.refreshing import Refresher
from recsvc.stores.database import open_database
from recsvc.stores.experiments import SqlExperiments
from recsvc.stores.job_queue import JobQueue, JobWorker
from recsvc.stores.outcomes import SqlOutcomes
from recsvc.stores.redis_server import open_redis
from recsvc.stores.training_runs import SqlTrainingRuns

CHORES_SECONDS = 2.0

Chore = Callable[[], None]


@click.command(epilog="\b\nExample:\n  recsvc worker --models models\n")
@models_option
def worker(models: Path | None) -> None:
    """Carry out training runs until interrupted.

    Runs come from POST /v1/training-runs and, where the policy has one, by schedule. A run that is under way
    when the worker is told to stop is marked as interrupted and, if the policy allows, queued again.
    """
    settings = settings_with(models=models)
    policy = load_policy(settings.policy_file)
    configure_logging(settings.log_level)
    redis_url, server = open_redis(settings)
    with ExitStack() as stack:
        if server:
            stack.callback(server.stop)
            stack.enter_context(kept_running(server))
        database = stack.enter_context(closing(open_database(settings.store_url)))
        jobs = stack.enter_context(closing(JobQueue(redis_url)))
        supervisor = Supervisor(
            SqlTrainingRuns(database),
            jobs,
            Registry(settings.models_dir),
            policy.training,
            start=_start_child,
            clock=now,
            new_id=new_id,
        )
        _heed_signals(supervisor)
        chores: tuple[Chore, ...] = (supervisor.sweep,)
        watch = ExperimentWatch(
            SqlExperiments(database),
            ResultsReader(SqlOutcomes(database), policy),
            clock=now,
            monotonic=time.monotonic,
        )
        # To watch experiments is to read all that their customers did: a run must not wait for that.
        for tasks in (chores, (watch.look,)):
            housekeeping = Refresher(tasks, CHORES_SECONDS)
            stack.callback(housekeeping.stop)
            housekeeping.start()
        say(f"recsvc worker on {database.where}, bundles in {settings.models_dir}")
        JobWorker(redis_url, supervisor.perform).work(supervisor.stopping)


def _start_child(run_id: str) -> ChildProcess:
    return ChildProcess([sys.executable, "-m", "recsvc.cli.training_child", run_id])


def _heed_signals(supervisor: Supervisor) -> None:
    """Told to end, the worker ends its run first: it looks ten times a second."""

    def stop(number: int, frame: FrameType | None) -> None:
        supervisor.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
