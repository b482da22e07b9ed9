"""Tell once of a part that fails, not at every request. In: how it went. Out: a line when that changes."""

from __future__ import annotations

import structlog

log = structlog.get_logger()


class Outage:
    """Whether a part fails. Of several who find that out at once, more than one may say so."""

    def __init__(self, event: str) -> None:
        """`event` names the outage in the log; its end is named after it."""
        self._event = event
        self._is_on = False

    def begin(self, reason: Exception) -> None:
        """It failed, for this reason."""
        if not self._is_on:
            self._is_on = True
            log.warning(self._event, reason=str(reason))

    def end(self) -> None:
        """It works."""
        if self._is_on:
            self._is_on = False
            log.info(f"{self._event}_no_more")
