"""Keep a worker current. In: what can be refreshed. Out: a thread that does it, again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

log = structlog.get_logger()


class Refresher:
    """Runs refreshes in order, every `seconds`, until it is stopped. A failure never ends it."""

    def __init__(self, refreshes: Sequence[Callable[[], None]], seconds: float) -> None:
        self._refreshes = tuple(refreshes)
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refresher", daemon=True)

    def start(self) -> None:
        """Refresh once now, so that the first request finds everything, then in the background."""
        self._refresh()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._refresh()

    def _refresh(self) -> None:
        for refresh in self._refreshes:
            try:
                refresh()
            except Exception:  # Whatever it was, the next round may do better; serving goes on.
                log.exception("refresh_failed")
