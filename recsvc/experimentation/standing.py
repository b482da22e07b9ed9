"""How an experiment stands. In: what was registered, the time. Out: what may be said of it now, and how."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from recsvc.domain.experiments import Analysis, Experiment, ExperimentStatus
from recsvc.experimentation.reports import Method


@dataclass(frozen=True, slots=True)
class Standing:
    """What may be said of an experiment at a moment.

    Events count that occurred before `counted_until`. `not_judged` says why there may be no verdict.
    """

    counted_until: datetime
    method: Method
    has_ended: bool
    not_judged: str | None = None


def standing_of(experiment: Experiment, now: datetime) -> Standing:
    """How the experiment stands now.

    A fixed test is judged once, at the end that was registered: not before, and not at all where somebody
    stopped it before. Whatever is looked at before that is told by the sequence. While it is paused everybody
    is served the champion, so nothing counts from the pause on: harm that was found does not thin out.
    """
    bounds = (now, experiment.end, experiment.paused_at, experiment.stopped_at)
    until = min(moment for moment in bounds if moment is not None)
    is_over = experiment.end is not None and experiment.end <= now
    has_ended = is_over or experiment.status is ExperimentStatus.STOPPED
    if experiment.analysis is Analysis.SEQUENTIAL:
        return Standing(until, Method.SEQUENCE, has_ended)
    if experiment.end is not None and until >= experiment.end:
        return Standing(until, Method.FIXED, has_ended=True)
    end = "its end" if experiment.end is None else f"its end, {_told(experiment.end)}"
    if experiment.stopped_at is not None:
        reason = (
            f"It was registered to be judged once, at {end}, and was stopped before, on "
            f"{_told(experiment.stopped_at)}: what it shows may be chance, so begin it anew."
        )
    elif experiment.paused_at is not None:
        reason = (
            f"It is registered to be judged once, at {end}, and is paused since "
            f"{_told(experiment.paused_at)}: nothing counts from then on; let it run again or begin it anew."
        )
    else:
        reason = f"It is registered to be judged once, at {end}: what it shows before may be chance."
    return Standing(until, Method.SEQUENCE, has_ended, reason)


def _told(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
