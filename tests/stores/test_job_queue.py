"""Ids of training runs by RQ: they arrive, nothing of them stays, and a Redis that fails is tried again."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Iterator

import pytest

from recsvc.errors import RedisError
from recsvc.stores.job_queue import JobQueue, JobWorker
from recsvc.stores.redis_client import RestingRedis
from recsvc.stores.redis_server import EmbeddedRedis, find_server_binary


@pytest.fixture
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(find_server_binary()) as server:
        yield server


class Working:
    """A worker in a thread, and the ids that it was handed."""

    def __init__(self, url: str) -> None:
        self.is_over = threading.Event()
        self.handed: list[str] = []
        self.came = threading.Semaphore(0)
        self._worker = JobWorker(url, self._perform)
        self._thread = threading.Thread(target=self._worker.work, args=(self.is_over,))

    def _perform(self, run_id: str) -> None:
        self.handed.append(run_id)
        self.came.release()
        if run_id == "bad":
            raise RuntimeError("not this one")

    def __enter__(self) -> Working:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.is_over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


def test_an_id_waits_until_a_worker_comes_and_leaves_nothing(server: EmbeddedRedis) -> None:
    jobs = JobQueue(server.url)
    assert not jobs.holds("r1")
    jobs.put("r1")
    assert jobs.holds("r1")
    with Working(server.url) as working:
        assert working.came.acquire(timeout=30)
        jobs.put("r2")
        assert working.came.acquire(timeout=30)
    assert working.handed == ["r1", "r2"]
    assert not jobs.holds("r1")
    client = RestingRedis(server.url, 2.0, monotonic=time.monotonic)
    assert [key for key in client.command("KEYS", "*") if b"job:" in key or b"queue:" in key] == []
    client.close()
    jobs.close()


def test_what_travels_is_json(server: EmbeddedRedis) -> None:
    jobs = JobQueue(server.url)
    jobs.put("r1")
    client = RestingRedis(server.url, 2.0, monotonic=time.monotonic)
    (data,) = client.command("HMGET", "rq:job:r1", "data")
    assert json.loads(zlib.decompress(data))[2] == ["r1"]
    client.close()
    jobs.close()


def test_a_run_that_raises_ends_no_worker(server: EmbeddedRedis) -> None:
    jobs = JobQueue(server.url)
    with Working(server.url) as working:
        for run_id in ("bad", "good"):
            jobs.put(run_id)
            assert working.came.acquire(timeout=30)
    assert working.handed == ["bad", "good"]
    jobs.close()


def test_a_worker_outlives_its_redis(server: EmbeddedRedis) -> None:
    url = server.url
    with Working(url) as working:
        jobs = JobQueue(url)
        jobs.put("before")
        assert working.came.acquire(timeout=30)
        client = RestingRedis(url, 2.0, monotonic=time.monotonic)
        with pytest.raises(RedisError):
            client.command("SHUTDOWN", "NOSAVE")
        deadline = time.monotonic() + 30
        while not server.ensure_running() and time.monotonic() < deadline:
            time.sleep(0.05)
        jobs.put("after")
        assert working.came.acquire(timeout=60)
        jobs.close()
        client.close()
    assert working.handed == ["before", "after"]


def test_a_queue_without_redis_says_so() -> None:
    jobs = JobQueue("unix:///nowhere/redis.sock")
    with pytest.raises(RedisError, match="does not answer"):
        jobs.put("r1")
    with pytest.raises(RedisError, match="does not answer"):
        jobs.holds("r1")
    with pytest.raises(RedisError, match="REDIS_URL cannot be used"):
        JobQueue("http://example.org")
