"""What a hit costs in process, beside what a server takes. In: a demo's folder. Out: microseconds.

The service runs in a process of its own, `python -m benchmarks.serving_costs TIER KEY`, as a worker builds
it: keys, limits, headers, log lines and metrics are in the cost. Requests come as granian hands them over,
each with texts of its own, and only the thread that answers is counted.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench import ROOT, Finding
from benchmarks.contestants import CUSTOMERS, environment_of, key_for, of_demo
from recsvc.api.fast_path import FastPath
from recsvc.api.wsgi import create

MEMORY, REDIS = "memory", "redis"
_SETTINGS = {MEMORY: {}, REDIS: {"RECSVC_LOCAL_SLATES_MB": "0"}}
_MOST_US = {MEMORY: 2.0, REDIS: 30.0}
_RUNS = 100


def costs_in_process(folder: Path, redis_url: str) -> Iterator[Finding]:
    """CPU of a hit in the worker's memory, and of one in Redis."""
    for tier, settings in _SETTINGS.items():
        environment = of_demo(folder) | {"REDIS_URL": redis_url} | settings
        command = [sys.executable, "-m", "benchmarks.serving_costs", tier, key_for(environment, folder)]
        told = subprocess.run(
            command,
            env=environment_of(environment),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            stderr=subprocess.DEVNULL,
        )
        yield Finding(
            f"{tier}: CPU of a hit in process", float(told.stdout.splitlines()[-1]), "µs", most=_MOST_US[tier]
        )


def _cost(tier: str, key: str) -> float:
    """Microseconds of CPU of the thread that answers: the median of runs over all customers."""
    fast = create()
    answer = _ANSWERING[tier](fast)
    took = []
    for _ in range(_RUNS):
        for scope in _scopes(key):  # What counts for a while only is looked up anew.
            fast(_OF_WSGI | scope, _start_response)
        scopes = [*_scopes(key)]
        began = time.thread_time()
        answers = [answer(scope) for scope in scopes]
        took.append((time.thread_time() - began) / len(scopes))
        if None in answers:
            raise RuntimeError(f"a list was not answered with from {tier}")
    return median(took) * 1e6


def _from_memory(fast: FastPath) -> Callable[[dict[str, Any]], object]:
    return fast.at_hand


def _from_redis(fast: FastPath) -> Callable[[dict[str, Any]], object]:
    def answer(scope: dict[str, Any]) -> object:
        told: list[Mapping[str, str]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *given: object) -> Any:
            told.append(dict(headers))

        fast(_OF_WSGI | scope, start_response)
        return told[0] if told[0]["Server-Timing"].startswith("cache;desc=hit") else None

    return answer


_ANSWERING = {MEMORY: _from_memory, REDIS: _from_redis}
_OF_WSGI = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "Granian",
    "wsgi.errors": sys.stderr,
    "wsgi.version": (1, 0),
}


def _scopes(key: str) -> Iterator[dict[str, Any]]:
    for customer_id in CUSTOMERS:
        yield {
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "REMOTE_ADDR": "127.0.0.1:40000",
            "REQUEST_METHOD": "GET",
            "PATH_INFO": f"/v1/customers/{customer_id}/recommendations/content",
            "QUERY_STRING": "",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_AUTHORIZATION": f"Bearer {key}",
        }


def _start_response(*given: object) -> Any:
    return None


if __name__ == "__main__":
    print(_cost(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)
