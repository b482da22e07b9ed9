"""The process that checks a bundle: `python -m recsvc.serving.checking_child FOLDER`. Out: a verdict."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from threadpoolctl import threadpool_limits

from recsvc.apart import become_child
from recsvc.serving.checking import verdict_on


def main(folder: Path) -> None:
    """Check the bundle in the folder, and say what came of it on standard output."""
    become_child()
    threadpool_limits(1, user_api="blas")
    sys.stdout.buffer.write(msgspec.json.encode(verdict_on(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
