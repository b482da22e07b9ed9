"""Make the preview of a version. In: what is asked, a moment. Out: a preview, or why the version is refused.

What is asked and what is answered can be sent from one process to another as JSON, and comes out the same.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
import structlog

from recsvc.bundles.gate_report import GateReport
from recsvc.bundles.registry import Registry
from recsvc.errors import BundleError, BundleRefusedError, BundleUncheckedError, RegistryError
from recsvc.serving.checking import Checker
from recsvc.serving.preview import Preview, Previewer

log = structlog.get_logger()


class PreviewAsk(msgspec.Struct, frozen=True):
    """Which version is to be seen beside which champion."""

    version: str
    champion: str | None


class PreviewAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found: one of these is there."""

    preview: Preview | None = None
    refused: str | None = None

    def or_refusal(self) -> Preview:
        """The preview. Raises BundleRefusedError where the version failed its check."""
        if self.preview is None:
            raise BundleRefusedError(self.refused or "it failed its check")
        return self.preview


class PreviewMaker:
    """Makes previews of bundles on a shelf."""

    def __init__(
        self, registry: Registry, checker: Checker, previewer: Previewer, policy_version: str
    ) -> None:
        self._registry = registry
        self._checker = checker
        self._previewer = previewer
        self.policy_version = policy_version

    def answer(self, ask: PreviewAsk, *, now: datetime) -> PreviewAnswer:
        """The preview, or the refusal.

        Raises:
            BundleError: the champion fails its check, or the version could not be checked: neither says
                anything of the version.
            StoreError: it cannot be told.
        """
        champion = None
        if ask.champion is not None:
            champion = self._checker.load(self._registry.path_of(ask.champion))
        try:
            candidate = self._checker.load(self._registry.path_of(ask.version))
        except (BundleUncheckedError, RegistryError):
            raise
        except BundleError as error:
            return PreviewAnswer(refused=str(error))
        gate = report_or_none(self._registry, ask.version)
        return PreviewAnswer(self._previewer.preview(candidate, champion, gate, now=now))


def report_or_none(registry: Registry, version: str) -> GateReport | None:
    """A report that cannot be read must not hide the version that it is on."""
    try:
        return registry.report_of(version)
    except BundleError as error:
        log.warning("gate_report_unreadable", version=version, reason=str(error))
        return None
