"""Which experiment decides on a customer. In: experiments as registered. Out: an arm, or none; models wanted.

Held in memory, and followed by the store's revision: no answer waits for the store, and while that fails what
is known goes on. An experiment opens in a process once every model that it names serves there or was refused,
so nobody is put into an arm whose model is still being read. Once open it stays so: a model that goes missing
later is a mismatch, which is counted, and never a customer who quietly changes sides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from recsvc.domain.experiments import Experiment, ExperimentVariant, serving_order, versions_in_use
from recsvc.domain.slates import Arm
from recsvc.errors import StoreError
from recsvc.experimentation.allocations import HELD_OUT, allocation_of
from recsvc.experimentation.assignment import Allocation
from recsvc.policy_lists import ListsPolicy, with_levers

log = structlog.get_logger()

EXPERIMENTS_SECONDS = 0.5
"""How often a process looks what is registered: whoever pauses an experiment waits no longer."""


class Experiments(Protocol):
    """What is registered. Everything raises StoreError."""

    def revision(self) -> int:
        """A number that moves with every change."""
        ...

    def experiments(self) -> tuple[Experiment, ...]:
        """Every experiment by key."""
        ...


@dataclass(frozen=True, slots=True)
class Dealt:
    """An experiment that deals customers now: how, until when, and the arm of each variant."""

    allocation: Allocation
    arms: Mapping[str, Arm]
    end: datetime | None

    def arm_of(self, unit: str) -> Arm | None:
        """The arm of the unit; None for one outside its layer's range or its coverage."""
        variant = self.allocation.assign(unit).variant
        return None if variant is None else self.arms[variant]


@dataclass(frozen=True, slots=True)
class Dealing:
    """Everything that deals customers now. `deciding` are in the order in which they decide.

    `until` is when the first of them ends; None where none does.
    """

    holdout: Dealt | None
    deciding: tuple[Dealt, ...]
    until: datetime | None = None

    def arms_of(self, unit: str, now: datetime) -> tuple[Arm | None, Arm | None]:
        """The arm of the hold-out, and the arm that decides what the unit is served."""
        held = None if self.holdout is None else self.holdout.arm_of(unit)
        if held is not None and held.variant == HELD_OUT:
            return held, None
        for dealt in self.deciding:
            if dealt.end is None or now < dealt.end:
                arm = dealt.arm_of(unit)
                if arm is not None:
                    return held, arm
        return held, None


class RunningExperiments:
    """The experiments that run, as far as this process is ready for them."""

    def __init__(
        self,
        experiments: Experiments,
        lists: ListsPolicy,
        *,
        holdout: Experiment | None = None,
        clock: Callable[[], datetime],
    ) -> None:
        """`lists` is what levers are laid over."""
        self._experiments = experiments
        self._lists = lists
        self._holdout = None if holdout is None else _dealt(holdout)
        self._clock = clock
        self._revision: int | None = None
        self._registered: tuple[Experiment, ...] = ()
        self._opened: frozenset[tuple[str, int]] = frozenset()
        self._told: dict[tuple[str, int], str] = {}  # What is wrong with those that cannot be used.
        self._dealing = _dealing_of(self._holdout, ())
        self._lock = threading.Lock()  # Held while `_opened` and what follows from it are changed.

    @property
    def dealing(self) -> Dealing | None:
        """What deals customers now; None where nothing does."""
        return self._dealing

    def wanted_versions(self) -> frozenset[str]:
        """The model versions that experiments name which run, will soon, or are paused."""
        return versions_in_use(self._open())

    def refresh(self) -> None:
        """Look what is registered now. A process does this again and again, at least once a second."""
        try:
            revision = self._experiments.revision()
            if revision != self._revision:
                self._registered = self._experiments.experiments()
                self._revision = revision
        except StoreError as error:
            log.warning("experiments_unreachable", reason=str(error))
        self._deal()

    def open_for(self, served: Collection[str], refused: Collection[str]) -> None:
        """Open the experiments whose models all serve here or were refused."""
        settled = {*served, *refused}
        with self._lock:
            ready = {_phase_of(one) for one in self._open() if one.model_versions <= settled}
            self._opened |= frozenset(one for one in ready if one not in self._opened)
        self._deal()

    def _open(self) -> list[Experiment]:
        """Those whose phase goes on, whether they run or are paused."""
        now = self._clock()
        return [one for one in self._registered if one.is_open and (one.end is None or now < one.end)]

    def _deal(self) -> None:
        with self._lock:
            self._opened &= {_phase_of(one) for one in self._open()}
            on = serving_order(self._registered, now=self._clock())
            ready = [one for one in on if _phase_of(one) in self._opened and self._is_usable(one)]
            dealing = _dealing_of(self._holdout, ready)
            if dealing != self._dealing:  # Else it stays the very same, and what is remembered of it holds.
                self._dealing = dealing

    def _is_usable(self, experiment: Experiment) -> bool:
        """Whether its levers are such as this release knows: half of an experiment is none."""
        try:
            for variant in experiment.variants:
                with_levers(self._lists, _levers_of(variant))
        except ValueError as error:
            if self._told.get(_phase_of(experiment)) != str(error):  # Once, though it is met twice a second.
                self._told[_phase_of(experiment)] = str(error)
                log.error("experiment_unusable", experiment=experiment.key, reason=str(error))
            return False
        return True


def _dealing_of(holdout: Dealt | None, experiments: Iterable[Experiment]) -> Dealing | None:
    deciding = tuple(map(_dealt, experiments))
    until = min((one.end for one in deciding if one.end is not None), default=None)
    return Dealing(holdout, deciding, until) if holdout is not None or deciding else None


def _dealt(experiment: Experiment) -> Dealt:
    arms = {
        one.key: Arm(experiment.key, experiment.phase, one.key, one.model_version, _levers_of(one))
        for one in experiment.variants
    }
    return Dealt(allocation_of(experiment), arms, experiment.end)


def _levers_of(variant: ExperimentVariant) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(variant.policy.items()))


def _phase_of(experiment: Experiment) -> tuple[str, int]:
    return experiment.key, experiment.phase
