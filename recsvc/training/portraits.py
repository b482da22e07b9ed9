"""Measure all customers at once. In: a clean history, the customers of the matrix. Out: arrays, a population.

Here a history is only added up; the rules are those of the domain, which serving applies to one customer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsvc.bundles.profiles import ABSENT, LIFECYCLES, ProfileArrays
from recsvc.domain.lifetime import Purchases
from recsvc.domain.portraying import day_of, journey_rows, score_of
from recsvc.domain.profiles import Population
from recsvc.domain.rfm import quintile_edges
from recsvc.domain.rhythm import Rhythm, lifecycle_of, population_gap_days
from recsvc.history.interactions import InteractionTable
from recsvc.history.times import EPOCH
from recsvc.policy import Policy
from recsvc.training.lifetime import fit_lifetime

_DAY_MICROS = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Portraits:
    """What the rules say of each customer, row for row with the matrix, and what they are measured by.

    `lifecycle`, `journey` (-1: none) and the scores (0: none): (n_customers,); `purchases`: repeats, the day
    of the last and the age in days, counted from the first (all -1: none), (n_customers, 3).
    """

    lifecycle: NDArray[np.int8]
    journey: NDArray[np.int8]
    recency_score: NDArray[np.int8]
    frequency_score: NDArray[np.int8]
    monetary_score: NDArray[np.int8]
    purchases: NDArray[np.int32]
    population: Population

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The arrays of a bundle."""
        names = ("lifecycle", "journey", "recency_score", "frequency_score", "monetary_score", "purchases")
        return {f"profile_{name}": getattr(self, name) for name in names}


def draw_portraits(
    table: InteractionTable, customer_ids: Sequence[str], policy: Policy, *, as_of: datetime | None
) -> Portraits:
    """Apply the rules to every customer as of a moment; None where the history has no times."""
    sums = _add_up(table, customer_ids, policy, as_of)
    since = _beginning(table) if as_of else None
    rhythms = _rhythms(sums, since, as_of)
    purchases = _purchases(sums, as_of)
    recency = [None if one is None else -one / _DAY_MICROS for one in sums["recency"]]
    frequency, monetary = sums["frequency"].to_list(), sums["monetary"].to_list()
    fit = fit_lifetime(one for one in purchases if one)
    population = Population(
        n_customers=len(customer_ids),
        since=since,
        gap_days=population_gap_days(one for one in rhythms if one),
        recency_edges=quintile_edges(one for one in recency if one is not None),
        frequency_edges=quintile_edges(frequency),
        monetary_edges=quintile_edges(monetary),
        lifetime=fit.lifetime,
        lifetime_reason=fit.reason if as_of else "the history has no times",
    )
    rule, gap = policy.portraits, population.gap_days
    return Portraits(
        lifecycle=np.array(
            [LIFECYCLES.index(lifecycle_of(one, gap, rule)) if one else ABSENT for one in rhythms],
            dtype=np.int8,
        ),
        journey=sums["journey"].cast(pl.Int8).to_numpy(),
        recency_score=_scores(recency, population.recency_edges),
        frequency_score=_scores(frequency, population.frequency_edges),
        monetary_score=_scores(monetary, population.monetary_edges),
        purchases=np.array(
            [(one.repeats, one.last, one.age) if one else (ABSENT,) * 3 for one in purchases], dtype=np.int32
        ).reshape(-1, 3),
        population=population,
    )


def segment_fields(
    profiles: ProfileArrays, n_customers: int, policy: Policy
) -> Sequence[Mapping[str, object]]:
    """What the segments may ask of each customer; nothing where no segment asks."""
    if not policy.segments_reading_profiles():
        return [{}] * n_customers
    return [profiles.profile_of(row, "").fields() for row in range(n_customers)]


def _scores(figures: Sequence[float | None], edges: tuple[float | None, ...]) -> NDArray[np.int8]:
    return np.array([score_of(one, edges) or 0 for one in figures], dtype=np.int8)


def _add_up(
    table: InteractionTable, customer_ids: Sequence[str], policy: Policy, as_of: datetime | None
) -> pl.DataFrame:
    """One row a customer, in order: counts, and the first and last of things in microseconds or days."""
    rule, types = policy.portraits, policy.interaction_types
    strengths = {name: one.strength for name, one in types.items()}
    stages = dict(journey_rows(policy))
    name, micros, day = pl.col("type").cast(pl.String), pl.col("micros"), pl.col("micros") // _DAY_MICROS
    until = None if as_of is None else (as_of - EPOCH) // timedelta(microseconds=1)
    is_own = ~name.is_in(list(rule.passive))
    is_bought = name.is_in(list(rule.purchases))
    is_positive = name.replace_strict(strengths, default=0.0, return_dtype=pl.Float64) > 0
    age = (pl.lit(until, dtype=pl.Int64) - micros).clip(0)
    is_lately = (age <= int(rule.journey_days * _DAY_MICROS)).fill_null(True)
    stage = name.replace_strict(stages, default=ABSENT, return_dtype=pl.Int64)
    sums = (
        table.compact.lazy()
        .select("customer_id", "type", "value", micros=pl.col("occurred_at").dt.epoch("us"))
        .group_by("customer_id")
        .agg(
            first=micros.filter(is_own).min(),
            last=micros.filter(is_own).max(),
            n_visits=day.filter(is_own).drop_nulls().n_unique(),
            n_bought=day.filter(is_bought).drop_nulls().n_unique(),
            first_bought=day.filter(is_bought).min(),
            last_bought=day.filter(is_bought).max(),
            journey=stage.filter(is_lately).max(),
            recency=age.filter(is_positive).min(),
            frequency=is_positive.sum(),
            # Sorted, so that the order of rows changes no bit.
            monetary=pl.col("value").filter(is_positive).sort().sum().round(2),
        )
        .with_columns(pl.col("customer_id").cast(pl.String))
        .collect()
    )
    everybody = pl.DataFrame({"customer_id": list(customer_ids)}, schema={"customer_id": pl.String})
    return everybody.join(sums, on="customer_id", how="left", maintain_order="left").with_columns(
        pl.col("journey").fill_null(ABSENT),
        pl.col("frequency").fill_null(0),
        pl.col("monetary").fill_null(0.0),
    )


def _beginning(table: InteractionTable) -> datetime:
    """When the history begins. As numbers: polars would look zones up in files that may be absent."""
    micros = table.compact["occurred_at"].drop_nulls().dt.epoch("us").to_numpy()
    return EPOCH + timedelta(microseconds=int(micros.min()))


def _rhythms(sums: pl.DataFrame, since: datetime | None, as_of: datetime | None) -> list[Rhythm | None]:
    if since is None or as_of is None:
        return [None] * len(sums)
    begin, end = ((one - EPOCH) // timedelta(microseconds=1) for one in (since, as_of))
    return [
        None
        if first is None
        else Rhythm(
            n_visits=n_visits,
            span_days=last // _DAY_MICROS - first // _DAY_MICROS,
            known_days=max(end - first, 0) / _DAY_MICROS,
            silent_days=max(end - last, 0) / _DAY_MICROS,
            watched_days=max(first - begin, 0) / _DAY_MICROS,
        )
        for n_visits, first, last in sums.select("n_visits", "first", "last").iter_rows()
    ]


def _purchases(sums: pl.DataFrame, as_of: datetime | None) -> list[Purchases | None]:
    if as_of is None:
        return [None] * len(sums)
    today = day_of(as_of)
    return [
        Purchases(n - 1, last - first, max(today, last) - first) if n else None
        for n, first, last in sums.select("n_bought", "first_bought", "last_bought").iter_rows()
    ]
