"""Run a command and say what it took. In: a command. Out: one JSON object as the last line of standard error.

In a process of its own and small: what a process ever had in memory counts, to Linux, as the least that those
it starts will have had at their peak.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


def main() -> None:
    """Exits as the command does."""
    child = subprocess.Popen(sys.argv[1:])
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    peak = used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024
    print(json.dumps({"cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": peak}), file=sys.stderr)
    sys.exit(child.returncode)


if __name__ == "__main__":
    main()
