"""The process that checks a bundle: `python -m recsvc.serving.checking_child FOLDER`. Out: one JSON verdict.

It gives way to whoever answers requests, and ends when its standard input does: with whoever started it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import msgspec
from threadpoolctl import threadpool_limits

from recsvc.serving.checking import verdict_on

_NICE = 10


def main(folder: Path) -> None:
    """Check the bundle in the folder, and say what came of it on standard output."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    os.nice(_NICE)
    threadpool_limits(1, user_api="blas")
    sys.stdout.buffer.write(msgspec.json.encode(verdict_on(folder)))


def _end_with_starter() -> None:
    """Nobody writes to standard input: it ends when the starter does."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
