"""Experiments as analysts register them: who may be in, what each variant gets, and what decides.

An experiment that runs is held to what was registered: its variants and their weights do not move, nor does
what it is judged by. Whoever wants that changed stops it and begins a new phase.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from recsvc.domain.identifiers import check_identifier

MAX_VARIANTS = 20
N_LAYER_BUCKETS = 10_000


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
    """One arm: a model version, its share of the customers in whole percent, and levers of the policy."""

    key: str
    model_version: str
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
    `phase` counts how often it was begun: 0 for a draft. Exposures and results belong to one phase.
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

    def __post_init__(self) -> None:
        check_identifier(self.key, "key")
        self._check_variants()
        if not 0 <= self.coverage <= 1:
            raise ValueError("coverage must be 0 to 1")
        low, high = self.layer_range
        if not 0 <= low < high <= N_LAYER_BUCKETS:
            raise ValueError(
                f"layer_range must be two whole numbers, 0 <= first < second <= {N_LAYER_BUCKETS}"
            )
        if not (0 < self.alpha < 1 and 0 < self.power < 1):
            raise ValueError("alpha and power must be between 0 and 1")
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
        """What customers are dealt to variants by: another one in every phase."""
        return f"{self.key}:{self.phase}"

    @property
    def layer_salt(self) -> str | None:
        """What customers are dealt to the layer's experiments by; None outside a layer."""
        return None if self.layer is None else f"layer:{self.layer}"

    def is_on(self, now: datetime) -> bool:
        """Whether customers are dealt to its variants now."""
        return (
            self.status is ExperimentStatus.RUNNING
            and (self.start is None or self.start <= now)
            and (self.end is None or now < self.end)
        )

    def begun_from(self, before: Experiment | None) -> Experiment:
        """The same in the phase that it has after `before`.

        Raises:
            ValueError: the status cannot follow, or what a running experiment is held to has changed.
        """
        was = ExperimentStatus.DRAFT if before is None else before.status
        if self.status not in _MOVES[was]:
            raise ValueError(f"status cannot go from {was} to {self.status}")
        phase = before.phase if before is not None else 0
        if self.status in _IS_OPEN and was not in _IS_OPEN:
            phase += 1
        if before is not None and was in _IS_OPEN:
            self._check_held_to(before)
        return replace(self, phase=phase)

    def _check_held_to(self, before: Experiment) -> None:
        for name in ("variants", "layer", "layer_range", "primary_metric", "alpha", "analysis"):
            if getattr(self, name) != getattr(before, name):
                raise ValueError(f"{name} cannot change while the experiment runs: stop it and begin anew")
        if self.coverage < before.coverage:
            raise ValueError("coverage cannot fall while the experiment runs: whoever is in stays in")
