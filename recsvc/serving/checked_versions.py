"""Which model versions may be named. In: a version. Out: why it may not be, by the check that serving makes.

The check reads a whole bundle, so its outcome is kept for as long as the bundle's files stay as they are.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from recsvc.bundles.registry import Registry
from recsvc.errors import BundleError
from recsvc.serving.checking import Checker, CheckerHere
from recsvc.serving.verification import Fingerprint, fingerprint_of

_MAX_KEPT = 200

log = structlog.get_logger()


class CheckedVersions:
    """What is known of the versions in the registry that were asked about."""

    def __init__(self, registry: Registry, *, checker: Checker | None = None) -> None:
        self._registry = registry
        self._checker = checker or CheckerHere()
        self._kept: dict[str, tuple[Fingerprint, str | None]] = {}
        self._lock = threading.Lock()

    def fault_of(self, version: str) -> str | None:
        """Why the version may not be named, as one sentence; None where it is sound."""
        try:
            path = self._registry.path_of(version)
        except BundleError as error:
            return str(error)
        fingerprint = fingerprint_of(path)
        if not fingerprint:
            return f"there is no model version {version}; see recsvc models list"
        with self._lock:  # Of several who ask at once one reads the bundle.
            kept = self._kept.get(version)
            if kept is None or kept[0] != fingerprint:
                kept = (fingerprint, self._fault(path))
                self._kept.pop(version, None)
                while len(self._kept) >= _MAX_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[version] = kept
        return kept[1]

    def _fault(self, path: Path) -> str | None:
        try:
            self._checker.load(path)
        except Exception as error:  # Whatever is wrong with it, it may not be named.
            log.warning("version_refused", version=path.name, reason=str(error))
            return str(error)
        return None
