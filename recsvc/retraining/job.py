"""One training from the store to a settled bundle. In: a run, an open store. Out: how the run ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recsvc.bundles.gate_report import GateReport
from recsvc.bundles.registry import Registry
from recsvc.domain.experiments import versions_in_use
from recsvc.domain.training_runs import AUTO, Outcome, RunState, TrainingRequest, TrainingRun
from recsvc.errors import RecsvcError
from recsvc.policy import Policy
from recsvc.retraining.reading import read_source, within_window
from recsvc.retraining.settling import Wish, settle
from recsvc.stores.customers import SqlCustomers
from recsvc.stores.database import Database
from recsvc.stores.experiments import SqlExperiments
from recsvc.training.erased import without_erased
from recsvc.training.families import FAMILIES, families_named
from recsvc.training.families.base import Family
from recsvc.training.families.pinned import pinned
from recsvc.training.pipeline import train
from recsvc.training.trials import Progress


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a training works: what it reads from, decides by, and publishes to."""

    database: Database
    policy: Policy
    registry: Registry


def carry_out(
    run: TrainingRun, workplace: Workplace, *, progress: Progress, commit: Callable[[Outcome], bool]
) -> Outcome:
    """Train as the run asks, and settle the bundle.

    What goes wrong in a way that somebody can mend becomes the run's error; of a run that failed no bundle
    is left.

    Args:
        commit: notes durably how the run ends; False when it may not end so any more.
    """
    try:
        return _trained(run, workplace, progress, commit)
    except RecsvcError as error:
        return Outcome(RunState.FAILED, error=str(error))


def _trained(
    run: TrainingRun, workplace: Workplace, progress: Progress, commit: Callable[[Outcome], bool]
) -> Outcome:
    if run.started_at is None:
        raise ValueError(f"training run {run.run_id} was not claimed")
    database, request = workplace.database, run.request
    erased_among = SqlCustomers(database).erased_among
    progress("read", 0.0)
    report = train(
        without_erased(within_window(read_source(database), request), erased_among),
        workplace.policy,
        workplace.registry,
        families=families_for(request),
        seed=request.seed,
        created_at=run.started_at,
        name=request.name,
        time_budget_seconds=request.time_budget_seconds,
        progress=progress,
    )
    progress("judge", 0.0)
    settled = settle(
        report,
        workplace.registry,
        workplace.policy,
        wish=Wish(request.promote),
        seed=request.seed,
        erased_among=erased_among,
        pinned=lambda: versions_in_use(SqlExperiments(database).experiments()),
        commit=lambda gate, promotes: commit(outcome_of(request, gate, promotes)),
    )
    return outcome_of(request, settled.gate, settled.is_promoted)


def outcome_of(request: TrainingRequest, gate: GateReport, promotes: bool) -> Outcome:
    """How a run ends. A bundle that nobody wanted promoted is not held back, whatever the gate says of it."""
    is_held = request.promote == "if_better" and not promotes
    reasons = tuple(reason.text for reason in gate.reasons)
    return Outcome(RunState.HELD if is_held else RunState.SUCCEEDED, gate.version, reasons, promotes=promotes)


def families_for(request: TrainingRequest) -> tuple[Family, ...]:
    """What the search may choose from: all families, or the one that was named, with what was fixed of it."""
    if request.model == AUTO:
        return FAMILIES
    return tuple(pinned(family, request.fixed) for family in families_named((request.model,)))
