"""The command line: one module per command, and the same manners for all of them."""

from __future__ import annotations

from recsvc.cli.terminal import main

__all__ = ["main"]
