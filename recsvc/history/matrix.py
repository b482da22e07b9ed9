"""Weigh interactions into a matrix. In: an `InteractionTable` and the policy. Out: an `InteractionMatrix`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_matrix

from recsvc.history.interactions import InteractionTable
from recsvc.history.times import EPOCH
from recsvc.policy import Policy

FloatArray = npt.NDArray[np.float32]
_Rows = npt.NDArray[np.int64]
_Numbers = npt.NDArray[np.float64]
_PAIR = ["customer_id", "item_id"]
_MICROSECONDS_A_DAY = 86_400_000_000.0


@dataclass(frozen=True, slots=True)
class InteractionMatrix:
    """Who did how much with what. Only customers and items of at least one positive pair are in it.

    Both id tuples are sorted bytewise; the place of an id is its `customer_row` or `item_row`.
    """

    customer_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    strengths: csr_matrix  # (n_customers, n_items) float32, > 0, columns sorted within a row
    popularity: FloatArray  # (n_items,) decayed count of positive interactions
    refused: csr_matrix  # (n_customers, n_items) bool, the pairs whose last word is negative


def build_matrix(table: InteractionTable, policy: Policy, *, as_of: datetime | None) -> InteractionMatrix:
    """The matrix of positive, decayed strengths. The order of the table's rows changes nothing.

    A pair's strength is the sum over its positive interactions of the type's strength times what is left
    of it after its age, at least the policy's floor. A pair whose last word is negative is left out; at the
    same moment the negative word is the last. Without times nothing fades, and one negative word is enough.

    Args:
        as_of: the moment that ages count to; None means the latest time in the table. Later interactions
            count in full.
    """
    weighable = _weighable(table, policy)
    refused = _refused_pairs(weighable)
    positives = weighable.filter(pl.col("strength") > 0).join(refused, on=_PAIR, how="anti")
    customer_ids, customers = _rows_of(positives["customer_id"])
    item_ids, items = _rows_of(positives["item_id"])
    ages = _ages_days(positives["occurred_at"], _moment_micros(table, as_of))
    fade = _fade(ages, policy.decay.half_life_days)
    weights = positives["strength"].to_numpy() * np.maximum(fade, policy.decay.floor)
    recent = _fade(ages, policy.decay.popularity_half_life_days)
    shape = (len(customer_ids), len(item_ids))
    return InteractionMatrix(
        customer_ids=customer_ids,
        item_ids=item_ids,
        strengths=_sum_pairs(customers, items, weights, shape),
        popularity=_sum_by(items, recent)[1].astype(np.float32),
        refused=_place_pairs(refused, customer_ids, item_ids),
    )


def _weighable(table: InteractionTable, policy: Policy) -> pl.DataFrame:
    """Interactions that say something for or against an item, with their strength."""
    strengths = {name: rule.strength for name, rule in policy.interaction_types.items() if rule.strength}
    strength = pl.col("type").cast(pl.String).replace_strict(strengths, default=0.0, return_dtype=pl.Float64)
    return (
        table.compact.lazy()
        .select("customer_id", "item_id", "occurred_at", strength.alias("strength"))
        .filter(pl.col("item_id").is_not_null(), pl.col("strength") != 0)
        .collect()
    )


def _refused_pairs(weighable: pl.DataFrame) -> pl.DataFrame:
    """The pairs whose last word is negative."""
    is_positive = pl.col("strength") > 0
    last_no = weighable.filter(~is_positive).group_by(_PAIR).agg(pl.col("occurred_at").max().alias("last_no"))
    # Few pairs were ever refused: only those are grouped again.
    contested = weighable.filter(is_positive).join(last_no, on=_PAIR, how="semi")
    last_yes = contested.group_by(_PAIR).agg(pl.col("occurred_at").max().alias("last_yes"))
    # A pair without times has no "later": the comparison is null, and the pair is refused.
    taken_back = pl.col("last_yes") > pl.col("last_no")
    return last_no.join(last_yes, on=_PAIR, how="left").filter(~taken_back.fill_null(False)).select(_PAIR)


def _place_pairs(pairs: pl.DataFrame, customer_ids: tuple[str, ...], item_ids: tuple[str, ...]) -> csr_matrix:
    """The pairs of known customers and items as a matrix of booleans: (n_customers, n_items)."""
    placed = (
        pairs.select(pl.col(_PAIR).cast(pl.String))
        .join(_places("customer", customer_ids), on="customer_id")
        .join(_places("item", item_ids), on="item_id")
        .sort("customer_row", "item_row")
    )
    rows, columns = placed["customer_row"].to_numpy(), placed["item_row"].to_numpy()
    ones = np.ones(len(placed), dtype=np.bool_)
    return csr_matrix((ones, (rows, columns)), shape=(len(customer_ids), len(item_ids)))


def _places(kind: str, ids: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame(
        {f"{kind}_id": list(ids), f"{kind}_row": np.arange(len(ids))},
        schema_overrides={f"{kind}_id": pl.String},
    )


def _rows_of(ids: pl.Series) -> tuple[tuple[str, ...], _Rows]:
    """The distinct ids, sorted bytewise, and each row's place among them."""
    distinct = ids.unique().cast(pl.String).sort()
    codes = distinct.cast(pl.Categorical).to_physical().to_numpy()
    places = np.zeros(int(codes.max(initial=0)) + 1, np.int64)
    places[codes] = np.arange(len(codes))
    return tuple(distinct.to_list()), places[ids.to_physical().to_numpy()]


def _moment_micros(table: InteractionTable, as_of: datetime | None) -> int:
    if as_of is not None:
        return (as_of - EPOCH) // timedelta(microseconds=1)
    latest = table.compact.select(pl.col("occurred_at").dt.epoch("us").max()).item()
    return 0 if latest is None else int(latest)


def _ages_days(times: pl.Series, moment_micros: int) -> _Numbers:
    """How old each interaction is; 0 where it has no time, or lies after the moment."""
    ages = (moment_micros - times.dt.epoch("us")).clip(0).fill_null(0)
    return ages.cast(pl.Float64).to_numpy() / _MICROSECONDS_A_DAY


def _fade(ages_days: _Numbers, half_life_days: float) -> _Numbers:
    """`domain.interactions.decay_weight` for many ages at once."""
    left: _Numbers = np.power(0.5, ages_days / half_life_days)
    return left


def _sum_pairs(customers: _Rows, items: _Rows, weights: _Numbers, shape: tuple[int, int]) -> csr_matrix:
    pairs, sums = _sum_by(customers * shape[1] + items, weights)
    customer_rows, item_rows = np.divmod(pairs, max(shape[1], 1))
    starts = np.searchsorted(customer_rows, np.arange(shape[0] + 1))
    return csr_matrix(
        (sums.astype(np.float32), item_rows.astype(np.int32), starts.astype(np.int32)), shape=shape
    )


def _sum_by(keys: _Rows, values: _Numbers) -> tuple[_Rows, _Numbers]:
    """The distinct keys, ascending, and the sum of each one's values.

    A float sum depends on its order, so the values of a key are sorted first: shuffled rows then give
    the same bits.
    """
    if not len(keys):
        return keys, values
    ordered = pl.DataFrame({"key": keys, "value": values}).sort("key", "value")
    keys, values = ordered["key"].to_numpy(), ordered["value"].to_numpy()
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    return keys[starts], np.add.reduceat(values, starts)
