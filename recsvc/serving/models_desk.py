"""Where models are looked at, promoted and rolled back. In: a version. Out: its facts, or the aliases.

A bundle is checked whole before it goes live, and asked again for customers who were erased since its
training: what fails is refused with the reason, and whatever served goes on. Every worker follows the aliases
by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from recsvc.bundles.erased import ErasedAmong, check_none_erased
from recsvc.bundles.gate_report import Decision, GateReport
from recsvc.bundles.manifest import Manifest, Measured
from recsvc.bundles.opening import read_manifest
from recsvc.bundles.registry import Aliases, Registry
from recsvc.errors import (
    BundleError,
    BundleNotFoundError,
    BundleRefusedError,
    NotFoundError,
    NothingToRollBackError,
    RegistryError,
)
from recsvc.kept_answers import Place
from recsvc.serving.checking import Checker, CheckerHere
from recsvc.serving.kept_previews import Previews
from recsvc.serving.live_catalogue import LiveCatalogue
from recsvc.serving.preview import Preview
from recsvc.serving.preview_making import PreviewAsk, report_or_none

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ShelvedModel:
    """One version in a list.

    `metrics` are those of the model that was chosen; `problem` says why the version cannot be read.
    """

    version: str
    alias: str | None
    family: str | None
    name: str | None
    created_at: datetime | None
    metrics: Mapping[str, Measured]
    decision: Decision | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ModelShelf:
    """Every version, newest first, and where the aliases point."""

    champion: str | None
    challenger: str | None
    models: tuple[ShelvedModel, ...]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What there is to know of a version; `gate` is None of one that was never judged."""

    alias: str | None
    manifest: Manifest
    gate: GateReport | None


class ModelsDesk:
    """Shows the shelf and moves the champion."""

    def __init__(
        self,
        registry: Registry,
        erased_among: ErasedAmong,
        previews: Previews,
        live: LiveCatalogue,
        *,
        checker: Checker | None = None,
    ) -> None:
        self._checker = checker or CheckerHere()
        self._registry = registry
        self._erased_among = erased_among
        self._previews = previews
        self._live = live

    def shelf(self) -> ModelShelf:
        """Every version and the aliases. Raises RegistryError."""
        aliases = self._registry.aliases()
        shelved = []
        for one in self._registry.shelved():
            facts, gate = one.manifest, report_or_none(self._registry, one.version)
            shelved.append(
                ShelvedModel(
                    version=one.version,
                    alias=alias_of(one.version, aliases),
                    family=facts.family if facts else None,
                    name=facts.name if facts else None,
                    created_at=facts.created_at if facts else None,
                    metrics=facts.metrics.get(facts.family, {}) if facts else {},
                    decision=gate.decision if gate else None,
                    problem=one.problem,
                )
            )
        return ModelShelf(aliases.champion, aliases.challenger, tuple(shelved))

    def facts(self, version: str) -> ModelFacts:
        """What there is to know of a version, or of an alias.

        Raises:
            NotFoundError: there is no such one.
            BundleRefusedError: its manifest cannot be read.
            RegistryError: the folder cannot be read.
        """
        aliases = self._registry.aliases()
        version = self._named(version, aliases)
        manifest = self._manifest_of(version)
        return ModelFacts(alias_of(version, aliases), manifest, report_or_none(self._registry, version))

    def preview(self, version: str, place: Place) -> Preview:
        """What would change if a version, or the challenger, went live.

        Raises:
            NotFoundError: there is no such one.
            BundleRefusedError: it fails the full check.
            ReportNotReadyError, RegistryError, StoreError: as `Previews.preview` does.
        """
        version = self._named(version, self._registry.aliases())
        self._manifest_of(version)  # What is none needs no process to be told.
        champion, _ = self._live.model_and_view()
        ask = PreviewAsk(version, champion.version if champion else None)
        return self._previews.preview(ask, place)

    def promote(self, version: str) -> Aliases:
        """Point `champion` at a version, or at the challenger.

        Raises:
            NotFoundError: there is no such one.
            BundleRefusedError: it fails the full check, or knows somebody who was erased.
            RegistryError, StoreError: nothing was changed.
        """
        version = self._named(version, self._registry.aliases())
        try:
            check_none_erased(self._checker.load(self._registry.path_of(version)).bundle, self._erased_among)
            aliases = self._registry.promote(version)
        except BundleError as error:
            raise _refusal(error) from error
        log.info("model_promoted", version=version)
        return aliases

    def roll_back(self) -> Aliases:
        """Point `champion` at the last one before it that is fit to serve.

        It served before, and whoever was erased since has no row in it for whom it would be asked: erasures
        never leave a service without a way back.

        Raises:
            NothingToRollBackError: there is none.
            RegistryError, StoreError: nothing was changed.
        """
        passed_over: list[str] = []

        def is_fit(version: str) -> bool:
            try:
                self._checker.load(self._registry.path_of(version))
            except BundleError as error:
                passed_over.append(str(error))
                log.warning("roll_back_passed_over", version=version, reason=str(error))
                return False
            return True

        try:
            aliases = self._registry.roll_back(is_fit)
        except BundleNotFoundError as error:
            raise NothingToRollBackError(passed_over) from error
        log.info("model_rolled_back", version=aliases.champion)
        return aliases

    def _manifest_of(self, version: str) -> Manifest:
        try:
            return read_manifest(self._registry.path_of(version))
        except BundleError as error:
            raise _refusal(error) from error

    def _named(self, version: str, aliases: Aliases) -> str:
        named = {"champion": aliases.champion, "challenger": aliases.challenger}
        return named.get(version) or version


def alias_of(version: str, aliases: Aliases) -> str | None:
    """The alias that points at the version."""
    return {aliases.challenger: "challenger", aliases.champion: "champion"}.get(version)


def _refusal(error: BundleError) -> Exception:
    """What a caller is told of it."""
    if isinstance(error, BundleNotFoundError):
        return NotFoundError("there is no such model version; GET /v1/models lists them")
    return error if isinstance(error, RegistryError) else BundleRefusedError(str(error))
