"""Carry training runs to workers by RQ. In: ids of runs. Out: the same, in a worker.

Only the id travels, as JSON; what a run is, and whether it may start, stands in the store. So nothing is
lost when Redis forgets, and nothing happens twice when an id comes twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis
import structlog
from rq import Queue
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from recsvc.errors import RedisError
from recsvc.stores.redis_client import make_client, place_of

log = structlog.get_logger()

QUEUE = "recsvc-training"
_FUNCTION = "recsvc.training_run"  # A name for those who look into the queue; a worker goes by the id.
_TIMEOUT_SECONDS = 1.0
_WORKER_TTL_SECONDS = 20
_REST_SECONDS = 1.0


class JobQueue:
    """The ids that are on their way."""

    def __init__(self, url: str, name: str = QUEUE) -> None:
        """Connects to nothing yet. Raises RedisError where the URL cannot be used."""
        self._place = place_of(url)
        self._client = make_client(url, _TIMEOUT_SECONDS)
        self._queue = Queue(name, connection=self._client, serializer=JSONSerializer)

    def put(self, run_id: str) -> None:
        """Carry a run's id to a worker. Raises RedisError."""
        self._ask(lambda: self._queue.enqueue_call(_FUNCTION, (run_id,), job_id=run_id, timeout=-1))

    def holds(self, run_id: str) -> bool:
        """Whether the id waits for a worker. Raises RedisError."""
        return bool(self._ask(lambda: run_id in self._queue.job_ids))

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (redis.RedisError, OSError) as error:
            raise RedisError(
                f"Redis at {self._place} does not answer ({type(error).__name__}): "
                "check that it runs and that REDIS_URL is right"
            ) from error


class JobWorker:
    """Takes ids off the queue, one after the other, until it is told to end."""

    def __init__(self, url: str, perform: Callable[[str], None], name: str = QUEUE) -> None:
        """Connects to nothing yet. Raises RedisError where the URL cannot be used."""
        self._url, self._perform, self._name = url, perform, name
        make_client(url, _TIMEOUT_SECONDS).close()

    def work(self, is_over: threading.Event) -> None:
        """Work until `is_over`. A Redis that fails is tried again, a second later."""
        while not is_over.is_set():
            client = make_client(self._url, _WORKER_TTL_SECONDS)
            try:
                worker = _RunWorker(client, self._name, self._perform, is_over)
                worker.work(logging_level="WARNING")
            except (redis.RedisError, OSError) as error:
                log.warning("training_queue_does_not_answer", reason=type(error).__name__)
            finally:
                with suppress(redis.RedisError, OSError):
                    client.close()
            is_over.wait(_REST_SECONDS)


class _RunWorker(BaseWorker):
    """RQ's worker without its forks and signals: a run is watched over from this very process."""

    max_connection_wait_time = _REST_SECONDS

    def __init__(
        self, client: Any, queue: str, perform: Callable[[str], None], is_over: threading.Event
    ) -> None:
        super().__init__(
            [queue], connection=client, serializer=JSONSerializer, worker_ttl=_WORKER_TTL_SECONDS
        )
        self._perform_run, self._is_over = perform, is_over

    @property
    def dequeue_timeout(self) -> int:
        """Seconds between two signs of life in Redis."""
        return 1

    def heartbeat(self, *arguments: Any, **options: Any) -> None:
        """Between two waits, and before and after a job: the moment to end."""
        if self._is_over.is_set():
            raise StopRequested
        super().heartbeat(*arguments, **options)

    def _install_signal_handlers(self) -> None:
        """The command's own handlers stay."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Perform the run, and leave nothing of the job in Redis."""
        try:
            self._perform_run(str(job.id))
        finally:
            with suppress(redis.RedisError, OSError):
                self.connection.lrem(queue.intermediate_queue_key, 1, job.id)
                job.delete()
