"""Watch what runs. In: experiments, their results. Out: one that does harm is paused, and alarm lines.

A guardrail is looked at again and again, so only the bound counts that is right at any look. Arms of a wrong
size and answers of a wrong model are told and pause nothing: they harm nobody but the experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from recsvc.domain.experiments import Direction, Experiment
from recsvc.errors import RecsvcError
from recsvc.experimentation.reports import Checks, GuardrailFinding
from recsvc.experimentation.results import ResultsReader
from recsvc.experimentation.verdicts import GuardrailState

LOOK_SECONDS = 300.0
"""How often experiments are looked at: each time reads all their customers' events."""

log = structlog.get_logger()


class WatchedExperiments(Protocol):
    """Keeps experiments, and can pause them. Both may raise StoreError."""

    def experiments(self) -> Sequence[Experiment]:
        """Every experiment."""
        ...

    def pause(self, key: str, *, phase: int, because: str, now: datetime) -> bool:
        """Pause the experiment if it runs in that phase; whether it did."""
        ...


class ExperimentWatch:
    """Looks at the experiments that run, every so many seconds at most."""

    def __init__(
        self,
        experiments: WatchedExperiments,
        reader: ResultsReader,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._experiments = experiments
        self._reader = reader
        self._clock = clock
        self._monotonic = monotonic
        self._look_seconds = look_seconds
        self._next_look = 0.0

    def look(self) -> None:
        """Look, if it is time: pause what does harm, tell what is broken. Raises StoreError."""
        if self._monotonic() < self._next_look:
            return
        self._next_look = self._monotonic() + self._look_seconds
        now = self._clock()
        for experiment in self._experiments.experiments():
            if not experiment.is_on(now):
                continue
            try:
                self._look_at(experiment, now)
            except RecsvcError as error:  # One that cannot be read must not hide the others.
                log.warning("experiment_not_watched", experiment=experiment.key, reason=str(error))

    def _look_at(self, experiment: Experiment, now: datetime) -> None:
        checks, guardrails = self._reader.watch(experiment, now=now)
        _tell(experiment, checks)
        broken = [one for one in guardrails if one.state is GuardrailState.BROKEN]
        if not broken:
            return
        because = "; ".join(map(_told, broken))
        if self._experiments.pause(experiment.key, phase=experiment.phase, because=because, now=now):
            log.error("experiment_paused", experiment=experiment.key, phase=experiment.phase, because=because)


def _tell(experiment: Experiment, checks: Checks) -> None:
    told = {"experiment": experiment.key, "phase": experiment.phase}
    if checks.sample_ratio is not None and checks.sample_ratio.is_mismatch:
        log.error("sample_ratio_mismatch", **told, p_value=checks.sample_ratio.p_value)
    if checks.n_mismatched:
        log.error("model_mismatch", **told, n_answers=checks.n_mismatched)


def _told(found: GuardrailFinding) -> str:
    """A broken guardrail in one clause; its figures are those of the moment."""
    word = "falls" if found.better is Direction.HIGHER else "rises"
    return (
        f"guardrail {found.metric} {word} by more than its margin of {found.margin:g} in {found.variant}, "
        f"beyond chance (difference {found.difference:+.4g})"
    )
