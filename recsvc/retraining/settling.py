"""What becomes of a bundle that was just published. In: a training's report. Out: promoted, or held."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from recsvc.bundles.erased import ErasedAmong, check_none_erased
from recsvc.bundles.gate_report import GateReport
from recsvc.bundles.registry import Registry
from recsvc.errors import BundleError, RecsvcError, TrainingError
from recsvc.policy import Policy
from recsvc.serving.verification import load_model
from recsvc.training.gate.deciding import Vacancy, decide
from recsvc.training.gate.standing import Champion
from recsvc.training.pipeline import TrainingReport


class Wish(StrEnum):
    """When the bundle shall become the champion."""

    IF_BETTER = "if_better"
    NEVER = "never"
    ANYWAY = "anyway"


Commit = Callable[[GateReport, bool], bool]
"""Notes durably what was decided, and whether to promote; False when that may not be any more."""


def settle_freely(gate: GateReport, promotes: bool) -> bool:
    """The commit of a training that is no run of the store: nobody can end it but its own process."""
    return True


@dataclass(frozen=True, slots=True)
class Settled:
    """What the gate found, whether the bundle is the champion now, and which old ones went."""

    gate: GateReport
    is_promoted: bool
    withdrawn: tuple[str, ...]


def settle(
    report: TrainingReport,
    registry: Registry,
    policy: Policy,
    *,
    wish: Wish,
    seed: int,
    erased_among: ErasedAmong,
    pinned: Callable[[], Collection[str]] = tuple,
    commit: Commit = settle_freely,
) -> Settled:
    """Check the bundle, judge it against the champion, keep the report, and promote or hold it.

    One that is not promoted becomes the challenger. Then the oldest bundles go, as the policy says; what is
    `pinned` then stays, whatever its age. The decision is noted by `commit` before an alias moves: whoever
    is killed before leaves the champion as it was, and for whoever is killed between the note says what is
    still to be done.

    Raises:
        RecsvcError: the bundle cannot serve, or knows somebody who was erased meanwhile, or it may not be
            settled any more; it is withdrawn.
    """
    version = report.manifest.version
    check_bundle(registry, version, erased_among)
    gate = decide(report.candidate, standing_champion(registry), policy, seed=seed)
    registry.keep_report(gate)
    is_promoted = wish is Wish.ANYWAY or (wish is Wish.IF_BETTER and gate.promotes)
    if not commit(gate, is_promoted):
        registry.withdraw(version)
        raise TrainingError("the run was ended before its bundle could be settled, and that is withdrawn")
    if is_promoted:
        registry.promote(version)
    else:
        registry.challenge(version)
    return Settled(gate, is_promoted, registry.keep_last(policy.training.keep_bundles, pinned()))


def standing_champion(registry: Registry) -> Champion | Vacancy:
    """What a candidate is judged against. Raises RegistryError."""
    version = registry.aliases().champion
    if version is None:
        return Vacancy()
    try:
        return load_model(registry.path_of(version))
    except BundleError as error:
        return Vacancy(version, str(error))


def check_bundle(registry: Registry, version: str, erased_among: ErasedAmong) -> None:
    """Withdraw a bundle that cannot serve, or knows somebody who was erased meanwhile. Raises its error."""
    try:
        check_none_erased(load_model(registry.path_of(version)).bundle, erased_among)
    except RecsvcError:
        registry.withdraw(version)
        raise
