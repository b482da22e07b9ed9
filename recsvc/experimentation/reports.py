"""What is told of an experiment: frozen values, from the whole report down to one interval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recsvc.domain.experiments import Analysis, Direction, ExperimentStatus
from recsvc.experimentation.differences import Difference
from recsvc.experimentation.sample_ratio import SampleRatio
from recsvc.experimentation.verdicts import GuardrailState, Verdict


class Method(StrEnum):
    """What an interval is made by: right at any look, or at the registered end and once."""

    SEQUENCE = "confidence_sequence"
    FIXED = "fixed_test"


@dataclass(frozen=True, slots=True)
class ArmFigure:
    """A metric of one arm: of how many customers, and their mean."""

    n_customers: int
    mean: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of one arm against control.

    `difference` is treatment less control and what is decided by; its interval has the level `level`, which
    several arms share out between them (Holm), and `adjusted_p_value` may be held against alpha.
    `relative` describes and decides nothing. `variance_reduction` is the share of the variance that went by
    what was known from before the exposure, None where nothing was. Where `refusal` says why, there is no
    difference.
    """

    metric: str
    better: Direction | None
    control: ArmFigure | None
    treatment: ArmFigure | None
    difference: Difference | None = None
    adjusted_p_value: float | None = None
    level: float | None = None
    relative: Difference | None = None
    variance_reduction: float | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class GuardrailFinding:
    """A guardrail of one arm against control.

    `bound` is the worst that the difference may still be, one-sided: it holds where that is within `margin`.
    """

    variant: str
    metric: str
    better: Direction
    margin: float
    state: GuardrailState
    control: ArmFigure | None = None
    treatment: ArmFigure | None = None
    difference: float | None = None
    bound: float | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """The primary metric among the customers of one segment or channel: to explore, never a verdict."""

    name: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class ArmReport:
    """All that is told of one arm against control."""

    variant: str
    verdict: Verdict
    sentence: str
    primary: Comparison
    secondary: tuple[Comparison, ...]
    guardrails: tuple[GuardrailFinding, ...]
    exploratory_segments: tuple[Slice, ...]
    exploratory_channels: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class ArmCount:
    """Who is in a variant: `weight` percent should be, a `share` of all customers, 0 to 1, is."""

    variant: str
    weight: int
    n_customers: int
    share: float | None
    n_crossed: int
    n_answers: int
    n_fallbacks: int
    n_mismatched: int


@dataclass(frozen=True, slots=True)
class Checks:
    """What is looked at before anything is compared. `is_sound`: nothing of it forbids a verdict."""

    is_sound: bool
    sample_ratio: SampleRatio | None
    n_customers: int
    crossed_share: float
    n_mismatched: int
    variants: tuple[ArmCount, ...]


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """What an experiment's phase says by what the store held at `as_of`.

    Events count up to `counted_until`; once it `has_ended`, only events that come late change the figures.
    Where there is nothing to compare at all, `refusal` says why and there are no arms.
    """

    experiment: str
    phase: int
    status: ExperimentStatus
    analysis: Analysis
    method: Method
    alpha: float
    control: str
    as_of: datetime
    counted_until: datetime
    has_ended: bool
    checks: Checks
    arms: tuple[ArmReport, ...]
    refusal: str | None = None
