"""The model that serves now. In: the registry's aliases. Out: the champion, or the last good bundle.

A new champion is checked whole before one reference moves to it. A bundle that is refused never takes
the place of one that serves; a bundle whose files change under a running server is checked again.
"""

from __future__ import annotations

import structlog

from recsvc.bundles.registry import Aliases, Registry
from recsvc.errors import BundleError
from recsvc.serving.answers import RefusedBundle
from recsvc.serving.verification import Model, load_model

_Fingerprint = tuple[tuple[str, int, int, int], ...]

log = structlog.get_logger()


class LiveBundles:
    """Holds the one model that answers. `refresh` moves it; everything else only reads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._model: Model | None = None
        self._fingerprint: _Fingerprint = ()
        self._refused: dict[str, tuple[_Fingerprint, str]] = {}
        self.is_stale = False

    @property
    def model(self) -> Model | None:
        """The model that serves now; None while there is none fit to serve."""
        return self._model

    @property
    def refused(self) -> tuple[RefusedBundle, ...]:
        """The bundles that were wanted and failed their checks."""
        return tuple(RefusedBundle(version, reason) for version, (_, reason) in self._refused.items())

    def rows_of(self, customer_id: str) -> int:
        """How many rows of the model that serves are the customer's."""
        return int(self._model is not None and self._model.bundle.customers.row_of(customer_id) is not None)

    def refresh(self) -> None:
        """Look where `champion` points and follow it, if what is there passes its checks.

        While nobody can tell where it points, what serves goes on, and `is_stale` says so.
        """
        try:
            aliases = self._registry.aliases()
        except BundleError as error:
            self.is_stale = True
            log.warning("registry_unreadable", reason=str(error))
            return
        self.is_stale = False
        wanted = _wanted(aliases, self._model)
        self._refused = {v: kept for v, kept in self._refused.items() if v in wanted}
        for version in wanted:
            if self._is_serving(version) or self._take(version):
                return
        self._model = None

    def _is_serving(self, version: str) -> bool:
        if self._model is None or self._model.version != version:
            return False
        return self._fingerprint == _fingerprint(self._registry, version)

    def _take(self, version: str) -> bool:
        fingerprint = _fingerprint(self._registry, version)
        if version in self._refused and self._refused[version][0] == fingerprint:
            return False
        try:
            model = load_model(self._registry.path_of(version))
        except Exception as error:  # Whatever is wrong with it, what served before must go on.
            self._refused[version] = (fingerprint, str(error))
            log.error("bundle_refused", version=version, reason=str(error))
            return False
        self._refused.pop(version, None)
        self._model, self._fingerprint = model, fingerprint
        log.info("model_live", version=version)
        return True


def _wanted(aliases: Aliases, serving: Model | None) -> tuple[str, ...]:
    """The champion, then what serves already, then what served before: the first sound one is taken."""
    champion = (aliases.champion,) if aliases.champion else ()
    standing = (serving.version,) if serving else ()
    return tuple(dict.fromkeys((*champion, *standing, *aliases.former_champions)))


def _fingerprint(registry: Registry, version: str) -> _Fingerprint:
    """Names, sizes and times of a bundle's files: what changes when anybody touches them."""
    try:
        facts = [(entry.name, entry.stat()) for entry in registry.path_of(version).iterdir()]
    except (OSError, BundleError):
        return ()
    # The time of the last change of the file's record, too: nobody can set that one back.
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in facts))
