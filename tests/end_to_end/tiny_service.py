"""A small application behind our workers, to see how they come and go. In: a port, a folder. Out: their pids.

The folder says what befalls: while `broken` stands there no worker comes to answer, while `slow` does, late.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from granian.constants import HTTPModes, Interfaces

from recsvc.cli import workers
from recsvc.cli.workers import Workers

FOLDER = Path(sys.argv[-1])
LEAVE_SECONDS = 0.5


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Who answers."""
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def create() -> WSGIApplication:
    """What each worker runs."""
    if (FOLDER / "broken").exists():
        raise RuntimeError("broken")
    while (FOLDER / "slow").exists():
        time.sleep(0.01)
    return answer


if __name__ == "__main__":
    workers.LEAVE_SECONDS = LEAVE_SECONDS
    Workers(
        "tests.end_to_end.tiny_service:create",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        workers=int(sys.argv[2]),
        blocking_threads=1,
        http=HTTPModes.http1,
        factory=True,
        respawn_failed_workers=True,
        workers_kill_timeout=5,
    ).serve()
