"""What `recsvc worker` starts for each training run: `python -m recsvc.cli.training_child RUN_ID`."""

from __future__ import annotations

import sys

from recsvc.clock_and_ids import now
from recsvc.retraining.child import main

if __name__ == "__main__":
    main(sys.argv[1], now)
