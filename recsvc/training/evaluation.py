"""Full ranking on held-out interactions. In: fitted families, histories, what came after. Out: metrics.

Every item of the training data is ranked for every customer who is judged, what the customer had in training
is masked unless it may be had again, and nothing is sampled. Ids, popularity and scores come from the
training data alone; where there are times, one moment parts training from test for everybody (`holdout`).
Items that training never saw cannot be found: each still counts among a customer's relevant items, and so
against every family. Customers whom training never saw are not judged. `metrics` names the conventions of
every figure and of the intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsvc.bundles.manifest import PRIMARY_METRIC, Measured
from recsvc.training.families.base import TrainingData
from recsvc.training.listing import Contest, Scores
from recsvc.training.metrics import (
    PerCustomer,
    catalogue_metrics,
    intra_list_diversity,
    measured_together,
    ranking_metrics,
    times_shown,
)
from recsvc.training.threads import one_blas_thread

CUTOFFS = (10, 20, 100)
_MOST_DIVERSE = 20  # Pairs grow with the square, and nobody looks at a hundred items at once.


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a family is judged on.

    `customer_rows` (n_customers,) are rows of the training data; `relevant` (n_customers, n_items) is what
    each of them took afterwards, sparse; `n_relevant` (n_customers,) also counts relevant items that
    training never saw. Where what was had `may_repeat`, it may be relevant, and nothing is masked.
    """

    customer_rows: NDArray[np.int64]
    relevant: csr_matrix
    n_relevant: NDArray[np.int64]
    description: str
    may_repeat: bool = False

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
    fitted: Scores,
    data: TrainingData,
    held_out: HeldOut,
    *,
    item_categories: NDArray[np.int64] | None,
    rng: np.random.Generator,
    cutoffs: Sequence[int] = CUTOFFS,
    progress: Callable[[float], None] = lambda share: None,
) -> Evaluation:
    """Judge one fitted family or model: `evaluate_together` of one."""
    return evaluate_together(
        {"": fitted},
        {},
        data,
        held_out,
        item_categories=item_categories,
        rng=rng,
        cutoffs=cutoffs,
        progress=progress,
    )[""]


def evaluate_together(
    fitted: Mapping[str, Scores],
    blends: Mapping[str, Mapping[str, float]],
    data: TrainingData,
    held_out: HeldOut,
    *,
    item_categories: NDArray[np.int64] | None,
    rng: np.random.Generator,
    cutoffs: Sequence[int] = CUTOFFS,
    progress: Callable[[float], None] = lambda share: None,
) -> Mapping[str, Evaluation]:
    """Judge several fitted families, and blends of them, in one pass: each family scores once.

    All are judged on the same customers in the same order, and their intervals come from the same draws: two
    evaluations may be compared customer by customer through `per_customer`.

    Args:
        fitted: by name, what gives scores.
        blends: by name, the weights of families that are named in `fitted`; scores as `blended` has them, or
            as the family's own where there is one weight. No name may stand in both.
        item_categories: (n_items,), -1 for none; None leaves diversity out.
        progress: is told the share of customers who are done.

    Returns:
        An evaluation for each name, those of `fitted` first.
    """
    n_customers, n_items = data.strengths.shape
    contest = Contest(fitted, blends, max(cutoffs), held_out.may_repeat)
    tallies = {name: _Tally(cutoffs, n_items, item_categories) for name in (*fitted, *blends)}
    # One thread of BLAS to each of ours, which also keeps sums in the same order on any machine.
    with one_blas_thread():
        for start, lists in contest.lists_of(data.strengths, held_out.customer_rows):
            end = start + len(next(iter(lists.values())))
            relevant, n_relevant = held_out.relevant[start:end], held_out.n_relevant[start:end]
            for name, tally in tallies.items():
                tally.add(lists[name], relevant, n_relevant)
            progress(end / held_out.n_customers)
        whole = {name: tally.per_customer() for name, tally in tallies.items()}
        accuracy = measured_together(whole, rng)
    return {
        name: Evaluation(whole[name], accuracy[name], tally.catalogue(data.customer_counts, n_customers))
        for name, tally in tallies.items()
    }


class _Tally:
    """What the lists of one contestant add up to, batch by batch."""

    def __init__(
        self, cutoffs: Sequence[int], n_items: int, item_categories: NDArray[np.int64] | None
    ) -> None:
        self._cutoffs, self._item_categories = cutoffs, item_categories
        self._parts: list[PerCustomer] = []
        self._shown = {k: np.zeros(n_items, dtype=np.int64) for k in cutoffs}
        self._diversity: dict[int, list[NDArray[np.float64]]] = {k: [] for k in cutoffs if k <= _MOST_DIVERSE}

    def add(self, lists: NDArray[np.int32], relevant: csr_matrix, n_relevant: NDArray[np.int64]) -> None:
        self._parts.append(ranking_metrics(hits_in(lists, relevant), n_relevant, self._cutoffs))
        for k, times in self._shown.items():
            times += times_shown(lists, len(times), k)
        if self._item_categories is not None:
            for k, parts in self._diversity.items():
                parts.append(intra_list_diversity(lists, self._item_categories, k))

    def per_customer(self) -> PerCustomer:
        return {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}

    def catalogue(self, customer_counts: NDArray[np.int64], n_customers: int) -> Mapping[str, float]:
        return {
            **catalogue_metrics(self._shown, customer_counts, n_customers),
            **{f"intra_list_diversity@{k}": _mean(parts) for k, parts in self._diversity.items() if parts},
        }


def hits_in(lists: NDArray[np.int32], relevant: csr_matrix) -> NDArray[np.bool_]:
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
