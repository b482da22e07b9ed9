"""Portraits from a history. In: interactions, the items' categories, segments. Out: one row a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.domain.items import Channel
from recsvc.history.interactions import InteractionTable
from recsvc.policy import Policy

CHANNELS = tuple(channel.value for channel in Channel)
_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the history says of each customer, row for row with the matrix.

    `recency_days`, `frequency`, `monetary_value`, `segment_rows`: (n_customers,); `category_affinity`:
    (n_customers, n_categories) and `channel_share`: (n_customers, 7), rows sum to 1 or are all 0.
    """

    recency_days: NDArray[np.float32]
    frequency: NDArray[np.int32]
    monetary_value: NDArray[np.float64]
    category_affinity: NDArray[np.float32]
    channel_share: NDArray[np.float32]
    segment_rows: NDArray[np.int16]

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The arrays of a bundle."""
        return {
            "profile_recency_days": self.recency_days,
            "profile_frequency": self.frequency,
            "profile_monetary_value": self.monetary_value,
            "profile_category_affinity": self.category_affinity,
            "profile_channel_share": self.channel_share,
            "profile_segment": self.segment_rows,
        }


def build_profiles(
    table: InteractionTable,
    customer_ids: Sequence[str],
    *,
    category_of: Mapping[str, str],
    categories: Sequence[str],
    segment_rows: NDArray[np.int16],
    policy: Policy,
    as_of: datetime | None,
) -> Profiles:
    """Draw every customer's portrait as of a moment; None where the history has no times."""
    facts = _positive(table, policy, as_of).join(
        pl.DataFrame(
            {"item_id": list(category_of), "category": list(category_of.values())},
            schema={"item_id": pl.String, "category": pl.String},
        ),
        on="item_id",
        how="left",
    )
    everybody = pl.DataFrame({"customer_id": list(customer_ids)}, schema={"customer_id": pl.String})
    plain = everybody.join(_totals(facts), on="customer_id", how="left", maintain_order="left")
    return Profiles(
        recency_days=plain["recency_days"].fill_null(0.0).cast(pl.Float32).to_numpy(),
        frequency=plain["frequency"].fill_null(0).cast(pl.Int32).to_numpy(),
        monetary_value=plain["monetary_value"].fill_null(0.0).to_numpy(),
        category_affinity=_shares(facts, everybody, "category", categories),
        channel_share=_shares(facts, everybody, "channel", CHANNELS),
        segment_rows=segment_rows,
    )


def _positive(table: InteractionTable, policy: Policy, as_of: datetime | None) -> pl.DataFrame:
    """Interactions of positive strength, with age in days and decayed strength."""
    strengths = {name: rule.strength for name, rule in policy.interaction_types.items() if rule.strength > 0}
    age_days = (
        (pl.lit(as_of) - pl.col("occurred_at")).dt.total_milliseconds() / (1000 * _SECONDS_A_DAY)
        if as_of is not None
        else pl.lit(0.0)
    )
    fading = pl.lit(0.5).pow(pl.col("age_days").clip(0) / policy.decay.half_life_days)
    return (
        table.frame.filter(pl.col("type").is_in(list(strengths)))
        .with_columns(age_days=age_days)
        .with_columns(
            weight=pl.col("type").replace_strict(strengths, return_dtype=pl.Float64)
            * pl.max_horizontal(fading, pl.lit(policy.decay.floor))
        )
    )


def _totals(facts: pl.DataFrame) -> pl.DataFrame:
    return facts.group_by("customer_id").agg(
        recency_days=pl.col("age_days").min(),
        frequency=pl.len(),
        monetary_value=pl.col("value").sort().sum(),  # Sorted, so that the order of rows changes no bit.
    )


def _shares(
    facts: pl.DataFrame, everybody: pl.DataFrame, column: str, values: Sequence[str]
) -> NDArray[np.float32]:
    """Decayed strength by customer and value, each customer's row summing to 1: (n_customers, n_values)."""
    sums = facts.drop_nulls(column).group_by("customer_id", column).agg(pl.col("weight").sort().sum())
    rows = everybody.with_row_index("row").join(sums, on="customer_id")
    shares = np.zeros((len(everybody), len(values)), dtype=np.float64)
    places = {value: place for place, value in enumerate(values)}
    columns = [places[value] for value in rows[column]]
    shares[rows["row"].to_numpy(), columns] = rows["weight"].to_numpy()
    totals = shares.sum(axis=1, keepdims=True)
    return np.asarray(shares / np.where(totals > 0, totals, 1.0), dtype=np.float32)
