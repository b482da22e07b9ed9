"""Experiments as analysts register them: who may be in, what each variant gets, and what decides.

An experiment that runs is held to what was registered: its variants and their weights do not move, nor does
what it is judged by. Whoever wants that changed stops it and begins a new phase.

A customer may fall in several experiments that run, for only those of one layer exclude one another. One of
them decides an answer: the one that was begun first (`serving_order`). Who is left out of a later experiment
for that is left out by another salt than the one that deals its variants, so its arms stay comparable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from recsvc.domain.identifiers import check_identifier
from recsvc.errors import ConflictError

MAX_VARIANTS = 20
N_LAYER_BUCKETS = 10_000
LEAST_ALPHA, MOST_ALPHA = 0.000001, 0.4
"""Beyond these a test has no quantile, or a one-sided sequence no bound."""
HOLDOUT_KEY = "holdout"
"""The key of the hold-out, which the policy makes and nobody registers."""


class ExperimentStatus(StrEnum):
    """Where an experiment stands."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


_MOVES = {
    ExperimentStatus.DRAFT: {ExperimentStatus.DRAFT, ExperimentStatus.RUNNING},
    ExperimentStatus.RUNNING: {ExperimentStatus.RUNNING, ExperimentStatus.PAUSED, ExperimentStatus.STOPPED},
    ExperimentStatus.PAUSED: {ExperimentStatus.PAUSED, ExperimentStatus.RUNNING, ExperimentStatus.STOPPED},
    ExperimentStatus.STOPPED: {ExperimentStatus.STOPPED, ExperimentStatus.DRAFT, ExperimentStatus.RUNNING},
}
_IS_OPEN = {ExperimentStatus.RUNNING, ExperimentStatus.PAUSED}
_HELD = (
    "variants",
    "layer",
    "layer_range",
    "primary_metric",
    "secondary",
    "guardrails",
    "alpha",
    "power",
    "minimum_effect",
    "analysis",
)


class Analysis(StrEnum):
    """Whether a test is judged once, at its registered end, or at any time."""

    FIXED = "fixed"
    SEQUENTIAL = "sequential"


class Direction(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class ExperimentVariant:
    """One arm: a model version, its share of the customers in whole percent, and levers of the policy.

    `model_version` None, whatever the champion is, is for the hold-out: who registers a variant names one.
    """

    key: str
    model_version: str | None
    weight: int
    policy: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_identifier(self.key, "key")
        if not 0 <= self.weight <= 100:
            raise ValueError("weight must be a whole number of percent, 0 to 100")


@dataclass(frozen=True, slots=True)
class GuardrailMetric:
    """A metric that may not suffer by more than `margin`, in the metric's own unit."""

    metric: str
    margin: float
    direction: Direction = Direction.HIGHER

    def __post_init__(self) -> None:
        if self.margin <= 0:
            raise ValueError("margin must be above 0")


@dataclass(frozen=True, slots=True)
class Experiment:
    """What was registered.

    `layer_range` are the layer's buckets from the first (inclusive) to the second (exclusive), of 10,000.
    `phase` counts how often it was begun: 0 for a draft. Exposures and results belong to one phase, which
    began at `begun_at` and, once the experiment is stopped, ended at `stopped_at`: at the pause, where it was
    paused then. `paused_at` is there while it is paused, `paused_because` while that is for a reason that
    the service found.
    """

    key: str
    variants: tuple[ExperimentVariant, ...]
    coverage: float = 1.0
    layer: str | None = None
    layer_range: tuple[int, int] = (0, N_LAYER_BUCKETS)
    status: ExperimentStatus = ExperimentStatus.DRAFT
    start: datetime | None = None
    end: datetime | None = None
    hypothesis: str | None = None
    primary_metric: str = "click_through"
    secondary: tuple[str, ...] = ()
    guardrails: tuple[GuardrailMetric, ...] = ()
    alpha: float = 0.05
    power: float = 0.8
    minimum_effect: float = 0.0
    analysis: Analysis = Analysis.SEQUENTIAL
    phase: int = 0
    begun_at: datetime | None = None
    paused_at: datetime | None = None
    stopped_at: datetime | None = None
    paused_because: str | None = None

    def __post_init__(self) -> None:
        check_identifier(self.key, "key")
        self._check_variants()
        if self.layer is not None:
            check_identifier(self.layer, "layer")
        if not 0 <= self.coverage <= 1:
            raise ValueError("coverage must be 0 to 1")
        low, high = self.layer_range
        if not 0 <= low < high <= N_LAYER_BUCKETS:
            raise ValueError(
                f"layer_range must be two whole numbers, 0 <= first < second <= {N_LAYER_BUCKETS}"
            )
        if not LEAST_ALPHA <= self.alpha <= MOST_ALPHA:
            raise ValueError(f"alpha must be {LEAST_ALPHA:f} to {MOST_ALPHA:g}")
        if not 0 < self.power < 1:
            raise ValueError("power must be between 0 and 1")
        if self.minimum_effect < 0:
            raise ValueError("minimum_effect must be 0 or above")
        self._check_time()

    def _check_variants(self) -> None:
        if not 1 <= len(self.variants) <= MAX_VARIANTS:
            raise ValueError(f"variants must be 1 to {MAX_VARIANTS}")
        keys = [variant.key for variant in self.variants]
        if len(set(keys)) < len(keys):
            raise ValueError("variants must have different keys")
        total = sum(variant.weight for variant in self.variants)
        if total != 100:
            raise ValueError(f"the weights of variants must sum to 100, these sum to {total}")

    def _check_time(self) -> None:
        for name in ("start", "end"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name} must carry an offset from UTC, for example 2026-01-31T09:00:00Z")
        if self.start and self.end and self.start >= self.end:
            raise ValueError("end must be after start")
        if self.analysis is Analysis.FIXED and self.status is ExperimentStatus.RUNNING and self.end is None:
            raise ValueError(
                "end must be given where the analysis is fixed: the test is judged then, and once"
            )

    @property
    def salt(self) -> str:
        """What customers are dealt to variants by: another one in every phase, but of the hold-out."""
        return HOLDOUT_KEY if self.key == HOLDOUT_KEY else f"{self.key}:{self.phase}"

    @property
    def layer_salt(self) -> str | None:
        """What customers are dealt to the layer's experiments by; None outside a layer."""
        # No id holds the sign, so no experiment's salt is a layer's.
        return None if self.layer is None else f"layer@{self.layer}"

    @property
    def model_versions(self) -> frozenset[str]:
        """The versions that its variants name."""
        names = {variant.model_version for variant in self.variants}
        return frozenset(name for name in names if name is not None)

    @property
    def is_open(self) -> bool:
        """Whether its phase goes on: it runs, or is paused and may run again."""
        return self.status in _IS_OPEN

    def is_on(self, now: datetime) -> bool:
        """Whether customers are dealt to its variants now."""
        return (
            self.status is ExperimentStatus.RUNNING
            and (self.start is None or self.start <= now)
            and (self.end is None or now < self.end)
        )

    def begun_from(self, before: Experiment | None, *, now: datetime) -> Experiment:
        """The same in the phase that it has after `before`; what the caller says of the phase is passed over.

        Raises:
            ConflictError: the status cannot follow, or what a running experiment is held to has changed.
        """
        was = ExperimentStatus.DRAFT if before is None else before.status
        if self.status not in _MOVES[was]:
            raise ConflictError(f"status cannot go from {was} to {self.status}")
        phase, begun_at = (0, None) if before is None else (before.phase, before.begun_at)
        paused_at, stopped_at = (None, None) if before is None else (before.paused_at, before.stopped_at)
        if before is not None and before.is_open:
            self._check_held_to(before)
        elif self.is_open:
            phase, begun_at, stopped_at = phase + 1, now, None
        if before is not None and before.is_open and not self.is_open:
            stopped_at = paused_at or now  # Nobody was served a variant since the pause.
        is_paused = self.status is ExperimentStatus.PAUSED
        stays_paused = is_paused and was is ExperimentStatus.PAUSED
        because = before.paused_because if before is not None and stays_paused else None
        return replace(
            self,
            phase=phase,
            begun_at=begun_at,
            paused_at=(paused_at or now) if is_paused else None,
            stopped_at=stopped_at,
            paused_because=because,
        )

    def runs_in(self, phase: int) -> bool:
        """Whether it runs now, and in that phase."""
        return self.status is ExperimentStatus.RUNNING and self.phase == phase

    def paused(self, because: str, *, now: datetime) -> Experiment:
        """The same, paused by the service for that reason."""
        return replace(self, status=ExperimentStatus.PAUSED, paused_at=now, paused_because=because)

    def _check_held_to(self, before: Experiment) -> None:
        # A fixed test is judged at the end that was registered: to move it would be to look before.
        held = (*_HELD, "end") if before.analysis is Analysis.FIXED else _HELD
        for name in held:
            if getattr(self, name) != getattr(before, name):
                raise ConflictError(
                    f"{name} cannot change while the experiment is {before.status}: stop it and begin anew"
                )
        if self.coverage < before.coverage:
            raise ConflictError(
                f"coverage cannot fall while the experiment is {before.status}: whoever is in stays in"
            )


def serving_order(experiments: Iterable[Experiment], *, now: datetime) -> tuple[Experiment, ...]:
    """Those that are on, in the order in which they decide: begun first, of two begun at once by key."""
    on = [experiment for experiment in experiments if experiment.is_on(now)]
    return tuple(sorted(on, key=lambda one: (one.begun_at or now, one.key)))


def versions_in_use(experiments: Iterable[Experiment]) -> frozenset[str]:
    """The model versions that open experiments name: those that run, and those that are paused."""
    variants = (variant for one in experiments if one.is_open for variant in one.variants)
    return frozenset(variant.model_version for variant in variants if variant.model_version is not None)
