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

from recsvc.bundles.manifest import Measured
from recsvc.training.families.base import Fitted, TrainingData
from recsvc.training.metrics import (
    PerCustomer,
    catalogue_metrics,
    intra_list_diversity,
    measured,
    ranking_metrics,
)

CUTOFFS = (10, 20, 100)
PRIMARY_METRIC = "ndcg@20"
_SCORES_AT_ONCE = 16_000_000  # Of float32: 64 MB a batch, whatever the number of items.


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
    histories = data.strengths[held_out.customer_rows]
    n_items = histories.shape[1]
    lists = np.concatenate(list(_top_lists(fitted, histories, min(max(cutoffs), n_items), progress)))
    hits = _hits(lists, held_out.relevant)
    per_customer = ranking_metrics(hits, held_out.n_relevant, cutoffs)
    catalogue = dict(catalogue_metrics(lists, n_items, data.customer_counts, cutoffs))
    if item_categories is not None:
        catalogue |= {
            f"intra_list_diversity@{k}": intra_list_diversity(lists, item_categories, k)
            for k in cutoffs
            if k <= 20  # Pairs grow with the square, and nobody looks at a hundred items at once.
        }
    return Evaluation(per_customer, measured(per_customer, rng), catalogue)


def _top_lists(
    fitted: Fitted, histories: csr_matrix, length: int, progress: Callable[[float], None]
) -> Iterator[NDArray[np.int64]]:
    """The best lists, a batch of customers at a time, on every processor: (n_batch, length)."""
    n_customers, n_items = histories.shape
    step = max(1, _SCORES_AT_ONCE // n_items)

    def rank(start: int) -> NDArray[np.int64]:
        batch = histories[start : start + step]
        scores = fitted.score(batch)
        scores[batch.nonzero()] = -np.inf
        return _best(scores, length)

    with ThreadPoolExecutor(os.cpu_count()) as processors:
        for number, lists in enumerate(processors.map(rank, range(0, n_customers, step)), start=1):
            yield lists
            progress(min(1.0, number * step / n_customers))


def _best(scores: NDArray[np.float32], length: int) -> NDArray[np.int64]:
    """The columns of the `length` highest scores of each row, best first, -1 where all else is masked."""
    if length < scores.shape[1]:
        top = np.argpartition(scores, -length, axis=1)[:, -length:]
    else:
        top = np.broadcast_to(np.arange(scores.shape[1]), scores.shape).copy()
    top.sort(axis=1)  # Then a stable sort by score breaks ties by row, always the same way.
    found = np.take_along_axis(scores, top, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    masked = np.isneginf(np.take_along_axis(found, order, axis=1))
    return np.where(masked, -1, np.take_along_axis(top, order, axis=1))


def _hits(lists: NDArray[np.int64], relevant: csr_matrix) -> NDArray[np.bool_]:
    """Whether each place of each list is relevant: (n_customers, length)."""
    n_items = relevant.shape[1]
    customer_rows = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))
    wanted = customer_rows * n_items + relevant.indices
    shown = np.arange(len(lists))[:, None] * n_items + lists
    return np.isin(shown, wanted) & (lists >= 0)
