"""The models that serve now. In: the registry's aliases, versions wanted beside it. Out: checked models.

A new champion is checked whole before one reference moves to it; what serves goes on meanwhile. A bundle
that is refused never takes the place of one that serves; a bundle whose files change under a running server
is checked again. So it is with the versions that are wanted beside the champion, but that nothing takes the
place of one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import structlog

from recsvc.bundles.registry import Aliases, Registry
from recsvc.errors import BundleError, BundleUncheckedError
from recsvc.serving.answers import RefusedBundle
from recsvc.serving.checking import Checker, CheckerHere
from recsvc.serving.verification import Fingerprint, Model, fingerprint_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Checked:
    """A model, and what its files were when it passed its checks."""

    model: Model
    fingerprint: Fingerprint


class LiveBundles:
    """Holds the models that answer. `refresh` moves them; everything else only reads."""

    def __init__(
        self,
        registry: Registry,
        *,
        wanted_versions: Callable[[], Collection[str]] = tuple,
        checker: Checker | None = None,
    ) -> None:
        """`wanted_versions` are those to hold beside the champion: none by default."""
        self._registry = registry
        self._checker = checker or CheckerHere()
        self._wanted_versions = wanted_versions
        self._model: Model | None = None
        self._checked: Mapping[str, _Checked] = {}
        self._beside: tuple[Model, ...] = ()
        self._refused: dict[str, tuple[Fingerprint, str]] = {}
        self.is_stale = False

    @property
    def model(self) -> Model | None:
        """The champion that serves now; None while there is none fit to serve."""
        return self._model

    @property
    def beside(self) -> tuple[Model, ...]:
        """Every other model that serves now, by version."""
        return self._beside

    @property
    def refused(self) -> tuple[RefusedBundle, ...]:
        """The bundles that were wanted and failed their checks."""
        return tuple(RefusedBundle(version, reason) for version, (_, reason) in self._refused.items())

    def rows_of(self, customer_id: str) -> int:
        """How many rows of the models that serve are the customer's."""
        models = [one.model for one in self._checked.values()]
        return sum(model.bundle.customers.row_of(customer_id) is not None for model in models)

    def refresh(self) -> None:
        """Look where `champion` points and follow it, if what is there passes its checks.

        While nobody can tell where it points, what serves goes on, and `is_stale` says so. What is wanted
        beside it is held as long as it is wanted and passes its checks.
        """
        try:
            aliases = self._registry.aliases()
        except BundleError as error:
            self.is_stale = True
            log.warning("registry_unreadable", reason=str(error))
            return
        self.is_stale = False
        champions, beside = _wanted(aliases, self._model), sorted(self._wanted_versions())
        self._refused = {v: kept for v, kept in self._refused.items() if v in {*champions, *beside}}
        # What is new may take its time where something serves; what takes the place of that is awaited.
        load, load_new = self._checker.load, self._checker.poll if self._model else self._checker.load
        turns = zip(champions, chain([load_new], repeat(load)), strict=False)
        champion = next(filter(None, (self._check(*turn) for turn in turns)), None)
        model = champion.model if champion else None
        others = [self._check(one, load_new) for one in beside if model is None or one != model.version]
        held = {one.model.version: one for one in (champion, *others) if one}
        self._checked = held
        self._beside = tuple(one.model for one in held.values() if one is not champion)
        self._model = model

    def _check(self, version: str, load: Callable[[Path], Model | None]) -> _Checked | None:
        """The model of the version as it stands, if it serves already or has passed its checks."""
        fingerprint = _fingerprint(self._registry, version)
        serving = self._checked.get(version)
        if serving is not None and serving.fingerprint == fingerprint:
            return serving
        if version in self._refused and self._refused[version][0] == fingerprint:
            return None
        try:
            # One whose files were touched cannot go on serving until it is checked.
            model = (self._checker.load if serving else load)(self._registry.path_of(version))
        except Exception as error:  # Whatever is wrong with it, what served before must go on.
            self._refuse(version, fingerprint, error)
            return None
        if model is None:
            return None
        self._refused.pop(version, None)
        log.info("model_live", version=version)
        return _Checked(model, fingerprint)

    def _refuse(self, version: str, fingerprint: Fingerprint, error: Exception) -> None:
        """For as long as its files stay as they are; what could not be checked is tried again."""
        is_known = self._refused.get(version, ((), ""))[1] == str(error)
        kept = () if isinstance(error, BundleUncheckedError) else fingerprint
        self._refused[version] = (kept, str(error))
        if not is_known:
            log.error("bundle_refused", version=version, reason=str(error))


def _wanted(aliases: Aliases, serving: Model | None) -> tuple[str, ...]:
    """The champion, then what serves already, then what served before: the first sound one is taken."""
    champion = (aliases.champion,) if aliases.champion else ()
    standing = (serving.version,) if serving else ()
    return tuple(dict.fromkeys((*champion, *standing, *aliases.former_champions)))


def _fingerprint(registry: Registry, version: str) -> Fingerprint:
    """Nothing for what cannot be a version."""
    try:
        return fingerprint_of(registry.path_of(version))
    except BundleError:
        return ()
