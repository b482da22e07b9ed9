"""Starbucks by time: who completes which offer after a moment, learned from what came before it.

Offers may be used again, so none is masked: all are ranked for whoever completes one, and what they completed
is relevant, whether or not they had seen it before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.bench import POLICY, SEED, Bench, Finding
from recsvc.bundles.manifest import Measured
from recsvc.domain.items import ItemKind
from recsvc.history.interactions import InteractionTable
from recsvc.history.matrix import InteractionMatrix, build_matrix
from recsvc.training.budget import Budget
from recsvc.training.families import FAMILIES
from recsvc.training.families.base import TrainingData, training_data
from recsvc.training.families.popularity import Popularity
from recsvc.training.goals import recounted
from recsvc.training.holdout import split
from recsvc.training.listing import Scores
from recsvc.training.metrics import measured_together, ranking_metrics
from recsvc.training.ranking import best_rows
from recsvc.training.selection import select_model

BEGIN = datetime(2018, 1, 1, tzinfo=UTC)  # As the mapping has it.
CUT_HOURS = (336, 372, 408, 456)
# New offers went out when hardly any of the last ones still held: nobody's own past tells who gets which.
UNTOLD_HOURS = (336,)
COMPLETED = "redeem"
METRICS = ("ndcg@10", "ndcg@3", "hit_rate@1")


class DefaultAls:
    """ALS by `implicit` with nothing said, over the strengths that our families learn from."""

    def __init__(self, data: TrainingData) -> None:
        self._model = AlternatingLeastSquares(random_state=SEED)
        with threadpool_limits(1, user_api="blas"):
            self._model.fit(data.strengths, show_progress=False)

    def score(self, histories: csr_matrix) -> NDArray[np.float32]:
        customers = self._model.recalculate_user(np.arange(histories.shape[0]), histories.tocsr())
        return np.asarray(customers @ self._model.item_factors.T, dtype=np.float32)


def starbucks(bench: Bench) -> Iterator[Finding]:
    """The chosen model beside popularity and ALS at implicit's defaults."""
    table = bench.read("starbucks/dev_events_lt504h.parquet", "starbucks")
    for hours in CUT_HOURS:
        cut = BEGIN + timedelta(hours=hours)
        yield from _by_time(table.between(None, cut), table.between(cut, None), hours)


def _by_time(before: InteractionTable, after: InteractionTable, hours: int) -> Iterator[Finding]:
    when = f"from hour {hours}"
    selection = select_model(
        FAMILIES,
        split(before, POLICY, ItemKind.OFFER, seed=SEED),
        item_categories=lambda matrix: None,
        seed=SEED,
        progress=lambda stage, share: None,
        budget=Budget(None, time.perf_counter),
    )
    plain = build_matrix(before, POLICY, as_of=None)
    train = recounted(plain, ItemKind.OFFER, before, POLICY, as_of=None)
    data = training_data(train)
    customers, completed = _completions(train, after)
    models: dict[str, Scores] = {
        "chosen": selection.chosen.fit(data, seed=SEED),
        "popularity": Popularity().fit(training_data(plain), seed=SEED),
        "popularity of completions": Popularity().fit(data, seed=SEED),
        "implicit": DefaultAls(data),
    }
    figures = _figures(models, data.strengths[customers], completed)
    yield Finding(f"customers who completed an offer {when}", len(customers))
    for metric in METRICS:
        for name, found in figures.items():
            what = f"{name} ({selection.chosen.name})" if name == "chosen" else name
            one = found[metric]
            yield Finding(f"{what}, {when}", one.value, metric, note=f"{one.low:.4f} to {one.high:.4f}")
    best = figures["chosen"][METRICS[0]]
    for other in ("popularity", "implicit"):
        rival = figures[other][METRICS[0]]
        if other == "popularity" and hours in UNTOLD_HOURS:
            yield Finding(f"overlap with {other}, {when}", best.high - rival.low, METRICS[0], least=0.0)
        else:
            yield Finding(
                f"gap of the intervals to {other}, {when}", best.low - rival.high, METRICS[0], least=0.0
            )


def _figures(
    models: Mapping[str, Scores], histories: csr_matrix, completed: NDArray[np.bool_]
) -> Mapping[str, Mapping[str, Measured]]:
    per_customer = {}
    for name, model in models.items():
        lists = best_rows(model.score(histories), completed.shape[1])
        hits = np.take_along_axis(completed, lists, axis=1)
        per_customer[name] = ranking_metrics(hits, completed.sum(axis=1), (1, 3, 10))
    return measured_together(per_customer, np.random.default_rng(SEED))


def _completions(
    train: InteractionMatrix, after: InteractionTable
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The rows of the customers who completed an offer, and which: (n_customers, n_items)."""
    rows = {one: row for row, one in enumerate(train.customer_ids)}
    columns = {one: row for row, one in enumerate(train.item_ids)}
    done = after.frame.filter(pl.col("type").cast(pl.String) == COMPLETED)
    pairs = [
        (rows[customer], columns[item])
        for customer, item in done.select(pl.col("customer_id", "item_id").cast(pl.String)).iter_rows()
        if customer in rows and item in columns
    ]
    customers = np.unique([customer for customer, _ in pairs])
    completed = np.zeros((len(customers), len(columns)), dtype=bool)
    for customer, item in pairs:
        completed[np.searchsorted(customers, customer), item] = True
    return customers, completed
