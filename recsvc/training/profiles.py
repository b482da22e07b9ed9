"""Portraits from a history. In: interactions, the items' categories, segments. Out: one row a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.domain.items import Channel
from recsvc.history.interactions import InteractionTable
from recsvc.history.times import EPOCH
from recsvc.policy import Policy

CHANNELS = tuple(channel.value for channel in Channel)
_MICROSECONDS_A_DAY = 86_400_000_000.0


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the positive interactions say of each customer, row for row with the matrix.

    Recency is the days since the last of them, frequency their number, monetary value the sum of their
    values as they stand, whatever the currency; affinities and shares go by decayed strength.

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
    """Draw every customer's portrait as of a moment; None where the history has no times.

    Args:
        customer_ids: one row each, in this order.
        category_of: by item; items without a category add nothing to affinities.
        segment_rows: (n_customers,), as they were found from attributes.
    """
    facts = _positive(table, policy, as_of).join(
        pl.DataFrame(
            {"item_id": list(category_of), "category": list(category_of.values())},
            schema={"item_id": pl.Categorical, "category": pl.String},
        ),
        on="item_id",
        how="left",
    )
    everybody = pl.DataFrame({"customer_id": list(customer_ids)}, schema={"customer_id": pl.Categorical})
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
    """Interactions of positive strength, with age in days and decayed strength. Without a time: age 0."""
    strengths = {name: rule.strength for name, rule in policy.interaction_types.items() if rule.strength > 0}
    strength = pl.col("type").cast(pl.String).replace_strict(strengths, default=0.0, return_dtype=pl.Float64)
    micros = 0 if as_of is None else (as_of - EPOCH) // timedelta(microseconds=1)
    age_days = (micros - pl.col("occurred_at").dt.epoch("us")).clip(0).fill_null(0) / _MICROSECONDS_A_DAY
    left = pl.lit(0.5).pow(pl.col("age_days") / policy.decay.half_life_days).clip(policy.decay.floor)
    return (
        table.compact.lazy()
        .select("customer_id", "item_id", "channel", "value", strength.alias("strength"), age_days=age_days)
        .filter(pl.col("strength") > 0)
        .with_columns(weight=pl.col("strength") * left)
        .collect()
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
    shares = np.zeros((len(everybody), len(values)), dtype=np.float64)
    if not values:
        return shares.astype(np.float32)
    sums = facts.drop_nulls(column).group_by("customer_id", column).agg(pl.col("weight").sort().sum())
    rows = everybody.with_row_index("row").join(sums, on="customer_id")
    places = {value: place for place, value in enumerate(values)}
    columns = rows[column].cast(pl.String).replace_strict(places, return_dtype=pl.Int64)
    shares[rows["row"].to_numpy(), columns.to_numpy()] = rows["weight"].to_numpy()
    totals = shares.sum(axis=1, keepdims=True)
    return np.asarray(shares / np.where(totals > 0, totals, 1.0), dtype=np.float32)
