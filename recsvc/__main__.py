"""`python -m recsvc` is the `recsvc` command."""

from recsvc.cli import main

if __name__ == "__main__":
    main()
