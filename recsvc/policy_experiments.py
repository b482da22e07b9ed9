"""What the business decides about experiments. In: `[experiments]` of the policy. Out: values.

Every field has a default, so that a policy from before there were any goes on working.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class MetricKind(StrEnum):
    """How a metric is counted, always per customer, from what they did after their exposure."""

    SHARE = "share"  # whether the customer did any of `of`
    COUNT = "count"  # how often
    RATIO = "ratio"  # how often, for each time that they did any of `per`
    VALUE = "value"  # the money of `of`, winsorised
    NPS = "nps"  # the latest answer as 100, 0 or -100
    CSAT = "csat"  # whether the latest answer was 4 or 5
    CES = "ces"  # the latest answer, 1 to 7
    LATENCY = "latency"  # seconds for an answer of ours
    FALLBACKS = "fallbacks"  # share of answers from a rung below the customer's own


class MetricPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One metric. It counts from `from_days` (inclusive) to `until_days` (exclusive) after the exposure."""

    kind: MetricKind
    of: tuple[str, ...] = ()
    per: tuple[str, ...] = ()
    better: Literal["higher", "lower"] = "higher"
    from_days: float = 0.0
    until_days: float | None = None

    def __post_init__(self) -> None:
        counts = self.kind in (MetricKind.SHARE, MetricKind.COUNT, MetricKind.RATIO, MetricKind.VALUE)
        if counts != bool(self.of):
            raise ValueError(f"a metric of kind {self.kind} {'needs' if counts else 'has no'} of")
        if (self.kind is MetricKind.RATIO) != bool(self.per):
            raise ValueError("a ratio, and nothing else, needs per")
        if self.from_days < 0 or (self.until_days is not None and self.until_days <= self.from_days):
            raise ValueError("from_days must be 0 or more, and until_days after it")


_TAKEN_UP = ("accept", "redeem", "convert", "purchase")

DEFAULT_METRICS = {
    "click_through": MetricPolicy(MetricKind.RATIO, of=("click",), per=("impression",)),
    "clicks": MetricPolicy(MetricKind.SHARE, of=("click",)),
    "conversion": MetricPolicy(MetricKind.SHARE, of=_TAKEN_UP),
    "conversions": MetricPolicy(MetricKind.COUNT, of=_TAKEN_UP),
    "value": MetricPolicy(MetricKind.VALUE, of=(*_TAKEN_UP, "transaction")),
    "nps": MetricPolicy(MetricKind.NPS),
    "csat": MetricPolicy(MetricKind.CSAT),
    "ces": MetricPolicy(MetricKind.CES),
    "complaints": MetricPolicy(MetricKind.SHARE, of=("complaint",), better="lower"),
    "unsubscribes": MetricPolicy(MetricKind.SHARE, of=("unsubscribe",), better="lower"),
    "latency": MetricPolicy(MetricKind.LATENCY, better="lower"),
    "fallback_rate": MetricPolicy(MetricKind.FALLBACKS, better="lower"),
}


class ExperimentsPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How experiments are counted. `metrics` adds to the usual ones, or says them otherwise.

    `holdout_percent`, a whole number, of all customers are in no experiment. Money above the
    `winsorise_quantile` of all who spent any, in whatever arm, counts as that. What a customer did in
    `cuped_days` before the exposure takes chance out of the difference.
    """

    holdout_percent: int = 0
    winsorise_quantile: float = 0.99
    cuped_days: float = 28.0
    metrics: dict[str, MetricPolicy] = {}

    def __post_init__(self) -> None:
        if not 0 <= self.holdout_percent <= 50:
            raise ValueError("holdout_percent must be 0 to 50")
        if not 0.5 < self.winsorise_quantile <= 1:
            raise ValueError("winsorise_quantile must be above 0.5 and at most 1")
        if not 0 <= self.cuped_days <= 365:
            raise ValueError("cuped_days must be 0 to 365")

    def all_metrics(self) -> dict[str, MetricPolicy]:
        """Every metric by name."""
        return DEFAULT_METRICS | self.metrics
