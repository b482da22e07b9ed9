#!/usr/bin/env python3
"""The offline training script: `recsvc train` under another name, with the same options."""

import sys

try:
    from recsvc.cli import main
except ModuleNotFoundError as error:
    sys.exit(
        f"{error}: run scripts/setup once, then .venv/bin/python scripts/train.py in the repository root"
    )

if __name__ == "__main__":
    main(["train", *sys.argv[1:]], prog_name="recsvc")
