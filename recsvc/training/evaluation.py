"""Full ranking on held-out interactions. In: a fitted family, histories, what came after. Out: metrics.

Every item of the training data is ranked for every customer, what the customer already had is masked,
and nothing is sampled. Items that training never saw cannot be found, and count against everybody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recsvc.bundles.manifest import Measured
from recsvc.training.families.base import Fitted, TrainingData
from recsvc.training.metrics import (
    PerCustomer,
    catalogue_metrics,
    intra_list_diversity,
    measured,
    ranking_metrics,
    times_shown,
)
from recsvc.training.ranking import best_rows

CUTOFFS = (10, 20, 100)
PRIMARY_METRIC = "ndcg@20"
_SCORES_AT_ONCE = 4_000_000  # Of float32: 16 MB a batch, whatever the number of items.
_MAX_THREADS = 8  # Each holds a batch of scores and what it takes to rank them, some 40 MB.
_MOST_DIVERSE = 20  # Pairs grow with the square, and nobody looks at a hundred items at once.


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a family is judged on.

    `customer_rows` (n_customers,) are rows of the training data; `relevant` (n_customers, n_items) is what
    each of them took afterwards, sparse; `n_relevant` (n_customers,) also counts relevant items that
    training never saw.
    """

    customer_rows: NDArray[np.int64]
    relevant: csr_matrix
    n_relevant: NDArray[np.int64]
    description: str

    @property
    def n_customers(self) -> int:
        return len(self.customer_rows)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured: with intervals over customers, and over the catalogue as a whole."""

    per_customer: PerCustomer
    accuracy: Mapping[str, Measured]
    catalogue: Mapping[str, float]

    @property
    def primary(self) -> Measured:
        return self.accuracy[PRIMARY_METRIC]


def evaluate(
    fitted: Fitted,
    data: TrainingData,
    held_out: HeldOut,
    *,
    item_categories: NDArray[np.int64] | None,
    rng: np.random.Generator,
    cutoffs: Sequence[int] = CUTOFFS,
    progress: Callable[[float], None] = lambda share: None,
) -> Evaluation:
    """Judge a fitted family. `item_categories` is (n_items,), -1 for none; None leaves diversity out."""
    n_items = data.strengths.shape[1]
    per_customer: list[PerCustomer] = []
    shown = {k: np.zeros(n_items, dtype=np.int64) for k in cutoffs}
    diversity: dict[int, list[NDArray[np.float64]]] = {k: [] for k in cutoffs if k <= _MOST_DIVERSE}
    # One thread of BLAS to each of ours, which also keeps sums in the same order on any machine.
    with threadpool_limits(1, user_api="blas"):
        for start, lists in _best_lists(fitted, data, held_out, max(cutoffs)):
            end = start + len(lists)
            hits = _hits(lists, held_out.relevant[start:end])
            per_customer.append(ranking_metrics(hits, held_out.n_relevant[start:end], cutoffs))
            for k in cutoffs:
                shown[k] += times_shown(lists, n_items, k)
            if item_categories is not None:
                for k, parts in diversity.items():
                    parts.append(intra_list_diversity(lists, item_categories, k))
            progress(end / held_out.n_customers)
        whole = {name: np.concatenate([part[name] for part in per_customer]) for name in per_customer[0]}
        accuracy = measured(whole, rng)
    catalogue = {
        **catalogue_metrics(shown, data.customer_counts, data.strengths.shape[0]),
        **{f"intra_list_diversity@{k}": _mean(parts) for k, parts in diversity.items() if parts},
    }
    return Evaluation(whole, accuracy, catalogue)


def _best_lists(
    fitted: Fitted, data: TrainingData, held_out: HeldOut, length: int
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """The best lists, a batch of customers at a time: the place of the first, and (n_batch, length)."""
    n_items = data.strengths.shape[1]
    step = max(1, _SCORES_AT_ONCE // n_items)
    starts = range(0, held_out.n_customers, step)

    def rank(start: int) -> NDArray[np.int32]:
        histories = data.strengths[held_out.customer_rows[start : start + step]]
        scores = fitted.score(histories)
        customers = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        scores[customers, histories.indices] = -np.inf
        return best_rows(scores, length)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MAX_THREADS)) as threads:
        yield from zip(starts, threads.map(rank, starts), strict=True)


def _hits(lists: NDArray[np.int32], relevant: csr_matrix) -> NDArray[np.bool_]:
    """Whether each place of each list is relevant: (n_lists, length)."""
    n_items = relevant.shape[1]
    customers = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))
    wanted = np.append(np.sort(customers * n_items + relevant.indices), np.iinfo(np.int64).max)
    shown = np.arange(len(lists))[:, None] * n_items + lists
    is_wanted: NDArray[np.bool_] = wanted[np.searchsorted(wanted, shown)] == shown
    return is_wanted & (lists >= 0)


def _mean(parts: Sequence[NDArray[np.float64]]) -> float:
    """The mean of what is known; 0 where nothing is."""
    values = np.concatenate(parts)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
