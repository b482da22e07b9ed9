"""A figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric's mean over customers with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
