"""What it takes to register an experiment. In: one, and the others. Out: nothing, or why it may not be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from recsvc.domain.experiments import HOLDOUT_KEY, Experiment
from recsvc.domain.records import Versioned
from recsvc.errors import ConflictError


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registration did: the experiment as it is kept now, and whether there was none before."""

    experiment: Versioned[Experiment]
    created: bool


def check_registrable(key: str) -> None:
    """Raises ConflictError for the key that the service keeps for itself."""
    if key == HOLDOUT_KEY:
        raise ConflictError(
            f"{HOLDOUT_KEY} is the hold-out's own key, which [experiments] of the policy makes: take another"
        )


def check_room(experiment: Experiment, others: Iterable[Experiment], *, now: datetime) -> None:
    """Hold apart the experiments of one layer, of those whose phases go on and have not ended.

    Raises:
        ConflictError: another one has buckets of its range.
    """
    if not _holds_range(experiment, now):
        return
    low, high = experiment.layer_range
    for other in others:
        if other.key == experiment.key or other.layer != experiment.layer or not _holds_range(other, now):
            continue
        if low < other.layer_range[1] and other.layer_range[0] < high:
            raise ConflictError(
                f"layer_range overlaps with that of experiment {other.key}, which has "
                f"{other.layer_range[0]} to {other.layer_range[1]} of layer {experiment.layer} "
                f"and is {other.status}: take another range, or stop that one first"
            )


def _holds_range(experiment: Experiment, now: datetime) -> bool:
    is_over = experiment.end is not None and experiment.end <= now
    return experiment.layer is not None and experiment.is_open and not is_over
