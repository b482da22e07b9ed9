"""The facts of a propensity model: what it asks of customers and offers, and how good it was.

They stand in the manifest; the trees themselves are arrays. `propensity_features` says how facts become
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from recsvc.bundles.measured import Measured
from recsvc.domain.propensity import KnownOffer, PropensityRules

MOST_LEAVES = 16
"""Of a tree: so many fit the bits by which serving walks all trees at once."""


@dataclass(frozen=True, slots=True)
class AttributePlan:
    """How an attribute of customers becomes numbers.

    A number or a flag is one as it is, a date the days from it to the end of the training, and `words` are
    one number each: 1 for the word, 0 for another. What is not known is missing. Days to the moment of a
    sending would drift away from what the trees have seen while a model serves.
    """

    name: str
    kind: Literal["number", "flag", "date", "words"]
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SentCounts:
    """How often something was sent whose window has closed, then viewed, and responded to."""

    sent: int
    viewed: int
    responded: int


@dataclass(frozen=True, slots=True)
class OfferRecord(KnownOffer):
    """What training knew of one offer."""

    counts: SentCounts


@dataclass(frozen=True, slots=True)
class PropensityPlan:
    """What the model asks. The history that it has learned from goes from `since` to `until`."""

    rules: PropensityRules
    since: datetime
    until: datetime
    attributes: tuple[AttributePlan, ...]
    categories: tuple[str, ...]
    offers: Mapping[str, OfferRecord]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Sendings with like predictions: how many, what was predicted in the mean, and what came true.

    `low` and `high` are the 95 % bootstrap interval of `observed`.
    """

    sendings: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PropensityReport:
    """How good predictions were for sendings whose customers the judged models had not seen.

    `metrics` are auc, log_loss and ece (expected calibration error over ten groups of equal size).
    """

    judged_on: str
    sendings: int
    responses: int
    metrics: Mapping[str, Measured]
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class PropensityModel:
    """A model of propensities: `features` name the numbers that its trees compare, `baseline` their start."""

    plan: PropensityPlan
    features: tuple[str, ...]
    baseline: float
    report: PropensityReport
