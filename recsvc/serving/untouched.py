"""Whether a bundle's files are what was checked. In: a bundle. Out: yes, as it was a moment ago, or no.

A bundle is a file for each of its arrays, and to ask after all of them costs a good part of a list that is
made. So a worker that makes many lists asks once for all of them that come in a twentieth of a second. But
whether a file was cut short is asked for each: to read what is gone ends the whole process.
"""

from __future__ import annotations

from collections.abc import Callable

from recsvc.bundles.bundle import Bundle

LOOK_SECONDS = 0.05
"""For so long the files count as untouched once they were looked at."""
_MOST_KEPT = 64


class LatelyUntouched:
    """Asks a bundle, and remembers for a moment that nobody wrote to its files. Safe from several threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: dict[str, float] = {}

    def __call__(self, bundle: Bundle) -> bool:
        """Whether the files are whole, and were untouched at most `LOOK_SECONDS` ago."""
        now = self._monotonic()
        was_looked_at = now < self._until.get(bundle.version, 0.0)
        if not (bundle.is_whole() if was_looked_at else bundle.is_untouched()):
            self._until.pop(bundle.version, None)
            return False
        if not was_looked_at:
            if len(self._until) >= _MOST_KEPT:
                self._until = {}  # Of versions that serve no more.
            self._until[bundle.version] = now + LOOK_SECONDS
        return True
