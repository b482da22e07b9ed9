"""What an event on the wire may hold: one source for the limits. In: nothing. Out: numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

MAX_EVENTS = 1_000  # in one request
MAX_EVENT_BYTES = 10 * 1024
MAX_TEXT_CHARS = 256
MAX_VALUE = Decimal(10) ** 12
MAX_QUANTITY = 1_000_000
MAX_POSITION = 10_000
MAX_SCORE = 1_000
MAX_PROPERTIES = 50
MAX_PROPERTIES_DEPTH = 4

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
FUTURE_TOLERANCE = timedelta(minutes=5)

MONEY_PATTERN = r"-?[0-9]{1,13}(\.[0-9]{1,9})?"
CURRENCY_PATTERN = r"[A-Z]{3}"
