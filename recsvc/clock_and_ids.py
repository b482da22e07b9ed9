"""The clock and ids, for what starts things: `bootstrap` and `cli`. To all others they are arguments."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """An id that nobody had before: 32 hexadecimal digits."""
    return uuid.uuid4().hex
