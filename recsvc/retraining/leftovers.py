"""Clear away what a run that came to nothing left. In: the shelf of bundles, a run. Out: a clean shelf."""

from __future__ import annotations

from recsvc.bundles.registry import Registry
from recsvc.domain.training_runs import TrainingRun


def clear_leftovers(registry: Registry, run: TrainingRun) -> None:
    """Remove what a run that came to nothing has left on the shelf, but for what an alias points at.

    A bundle is known by its moment of creation, which is that at which its run was claimed.
    """
    registry.sweep()
    aliases = registry.aliases()
    kept = {aliases.champion, aliases.challenger, *aliases.former_champions}
    for shelved in registry.shelved():
        if shelved.manifest and shelved.manifest.created_at == run.started_at and shelved.version not in kept:
            registry.withdraw(shelved.version)
