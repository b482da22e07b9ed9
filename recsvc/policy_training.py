"""What the business decides about training. In: `[training]` of the policy. Out: values.

Every field has a default, so that a policy from before there were any goes on working.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class GatePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a trained model may take the champion's place. `training.gate` says how each is measured.

    Margins and losses are shares of the champion's figure. Evenness is 1 less the Gini of how often items are
    shown: the Gini itself is so near 1 that no share of it could ever be exceeded.
    """

    primary_margin: float = 0.02
    segment_loss: float = 0.1
    least_coverage_ratio: float = 0.7
    least_cold_ratio: float = 0.9
    least_evenness_ratio: float = 0.7
    least_overlap: float = 0.05
    n_resamples: int = 1_000

    def __post_init__(self) -> None:
        shares = ("least_coverage_ratio", "least_cold_ratio", "least_evenness_ratio", "least_overlap")
        for name in ("primary_margin", "segment_loss", *shares):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1")
        if not 100 <= self.n_resamples <= 100_000:
            raise ValueError("n_resamples must be 100 to 100000")


class TrainingPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When models are trained, how often, and what becomes of them. `every_hours` 0: when asked."""

    every_hours: float = 0.0
    promote: Literal["if_better", "never"] = "if_better"
    retries: int = 1
    runs_per_hour: int = 10
    keep_bundles: int = 10
    gate: GatePolicy = GatePolicy()

    def __post_init__(self) -> None:
        if self.every_hours < 0:
            raise ValueError("every_hours must be 0 or more")
        if not 0 <= self.retries <= 10:
            raise ValueError("retries must be 0 to 10")
        if not 1 <= self.runs_per_hour <= 1_000:
            raise ValueError("runs_per_hour must be 1 to 1000")
        if self.keep_bundles < 2:
            raise ValueError("keep_bundles must be 2 or more: the champion and one to roll back to")


class PersonaPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A made-up customer whose list people look at before a model goes live: items that they took.

    Of the first ten items at least `least_share` must be of `expect_categories`, where there are any.
    """

    name: str
    history: tuple[str, ...]
    expect_categories: tuple[str, ...] = ()
    least_share: float = 0.3

    def __post_init__(self) -> None:
        if not self.history:
            raise ValueError("history of a persona must name at least one item")
        if not 0 < self.least_share <= 1:
            raise ValueError("least_share must be above 0 and at most 1")
