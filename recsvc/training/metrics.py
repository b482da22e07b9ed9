"""How good a ranking is. In: hits by place, lists. Out: one figure per customer and metric, and means.

Conventions, with R the number of a customer's relevant items (those that training never saw among them) and k
the cut-off. Relevance is yes or no. Every figure is a mean over customers, each counting alike.

- recall: hits in the first k, by R (not by min(R, k)).
- precision: hits in the first k, by k, also where a list runs short.
- NDCG: a hit at place p gains 1 / log2(p + 1); the ideal has min(R, k) hits (Järvelin and Kekäläinen 2002).
- MAP: the precision at each hit in the first k, summed, by min(R, k), so that a perfect list has 1 at any k.
  trec_eval divides by R (`map_cut_k`): multiply ours by min(R, k) / R to compare.
- MRR: 1 / place of the first hit; 0 without a hit in the first k.
- hit rate: whether there is a hit in the first k.

Intervals are of the bootstrap over customers (Efron 1979): as many customers as there are, drawn with
replacement, and the 2.5th and 97.5th percentiles of the means. They tell how far another set of such
customers might move a mean, and nothing of another training run or another time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.manifest import Measured

PerCustomer = Mapping[str, NDArray[np.float64]]  # By metric, `ndcg@20`: (n_customers,)

_RESAMPLES_AT_ONCE = 20


def ranking_metrics(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], cutoffs: Sequence[int]
) -> PerCustomer:
    """Accuracy of ranked lists.

    Args:
        hits: (n_customers, n_places), whether the item at a place is relevant.
        n_relevant: (n_customers,), at least 1 each.
        cutoffs: list lengths to judge; places beyond `n_places` are misses.
    """
    discount = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    found = np.cumsum(hits, axis=1)
    gain_at_hits = hits * discount
    precision_at_hits = hits * found / np.arange(1, hits.shape[1] + 1)
    metrics: dict[str, NDArray[np.float64]] = {}
    for k in cutoffs:
        places = min(k, hits.shape[1])
        n_found = found[:, places - 1]
        n_ideal = np.minimum(n_relevant, k)
        first = np.argmax(hits[:, :places], axis=1)
        metrics[f"recall@{k}"] = n_found / n_relevant
        metrics[f"precision@{k}"] = n_found / k
        metrics[f"ndcg@{k}"] = gain_at_hits[:, :places].sum(axis=1) / _ideal_gain(ideal, n_ideal)
        metrics[f"map@{k}"] = precision_at_hits[:, :places].sum(axis=1) / n_ideal
        metrics[f"mrr@{k}"] = np.where(n_found > 0, 1 / (first + 1), 0.0)
        metrics[f"hit_rate@{k}"] = (n_found > 0).astype(np.float64)
    return metrics


def times_shown(lists: NDArray[np.int32], n_items: int, k: int) -> NDArray[np.int64]:
    """How often each item stands in the first k places: (n_items,). -1 in a list is no item."""
    return np.bincount(lists[:, :k].ravel() + 1, minlength=n_items + 1)[1:]


def catalogue_metrics(
    shown: Mapping[int, NDArray[np.int64]], customer_counts: NDArray[np.int64], n_customers: int
) -> Mapping[str, float]:
    """What the lists do to the catalogue as a whole.

    Coverage is the share of items that anybody is shown; Gini the inequality of how often (0: all alike,
    and also where nobody is shown anything); novelty the mean over all that is shown of -log2 of the share
    of training customers who took the item, in bits.

    Args:
        shown: by cut-off, how often each item is shown: (n_items,).
        customer_counts: (n_items,), how many of the training customers took an item; nobody counts as one.
        n_customers: of training.
    """
    metrics: dict[str, float] = {}
    bits = information(customer_counts, n_customers)
    for k, times in shown.items():
        metrics[f"coverage@{k}"] = coverage(times)
        metrics[f"gini@{k}"] = gini(times)
        metrics[f"novelty@{k}"] = float((bits * times).sum() / max(int(times.sum()), 1))
    return metrics


def coverage(times: NDArray[np.int64]) -> float:
    """The share of items that were shown at all. `times` (n_items,) is how often each was."""
    return float((times > 0).mean())


def gini(times: NDArray[np.int64]) -> float:
    """How unequally often items are shown: 0 all alike or none at all, nearly 1 one alone: (n_items,)."""
    n_items, total = len(times), max(int(times.sum()), 1)
    weights = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float(weights @ np.sort(times) / (n_items * total))


def information(counts: NDArray[np.int64], total: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """-log2 of the share that each count has in the total, in bits; a count of 0 is taken for 1."""
    bits: NDArray[np.float64] = np.log2(np.maximum(total, 1) / np.maximum(counts, 1))
    return bits


def intra_list_diversity(
    lists: NDArray[np.int32], item_categories: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """The share of a list's pairs of items that differ in category: (n_lists,), NaN for a list without pairs.

    `item_categories` is (n_items,), -1 for none; an item without a category differs from every other.
    """
    lists = lists[:, :k]
    categories = np.where(lists >= 0, item_categories[lists], -1)
    same_pairs = np.zeros(len(lists), dtype=np.int64)
    for apart in range(1, lists.shape[1]):
        ahead, behind = categories[:, :-apart], categories[:, apart:]
        same_pairs += ((ahead == behind) & (ahead >= 0)).sum(axis=1)
    n = (lists >= 0).sum(axis=1)
    n_pairs = n * (n - 1) / 2
    return np.where(n_pairs > 0, 1 - same_pairs / np.maximum(n_pairs, 1), np.nan)


def measured(
    per_customer: PerCustomer, rng: np.random.Generator, n_resamples: int = 500
) -> Mapping[str, Measured]:
    """Means with 95 % percentile bootstrap intervals over customers."""
    return measured_together({"": per_customer}, rng, n_resamples)[""]


def measured_together(
    figures: Mapping[str, PerCustomer], rng: np.random.Generator, n_resamples: int = 500
) -> Mapping[str, Mapping[str, Measured]]:
    """`measured` for each of several, who are judged on the same customers, from the same draws.

    Each gets what it would get alone with an `rng` in the same state.
    """
    values = {name: np.stack(list(one.values()), axis=1) for name, one in figures.items()}
    n = len(next(iter(values.values())))
    means = {name: np.empty((n_resamples, table.shape[1])) for name, table in values.items()}
    for first in range(0, n_resamples, _RESAMPLES_AT_ONCE):
        n_now = min(_RESAMPLES_AT_ONCE, n_resamples - first)
        times_drawn = np.empty((n_now, n))
        for one in times_drawn:
            one[:] = np.bincount(rng.integers(0, n, size=n), minlength=n)
        for name, table in values.items():
            means[name][first : first + n_now] = times_drawn @ table / n
    return {
        name: _intervals(figures[name], table.mean(axis=0), means[name]) for name, table in values.items()
    }


def _intervals(
    names: Iterable[str], mean: NDArray[np.float64], resampled: NDArray[np.float64]
) -> Mapping[str, Measured]:
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    return {name: Measured(float(mean[i]), float(low[i]), float(high[i])) for i, name in enumerate(names)}


def _ideal_gain(cumulated: NDArray[np.float64], n_ideal: NDArray[np.int64]) -> NDArray[np.float64]:
    """The gain of a perfect list, also where it is longer than the lists that were ranked."""
    if n_ideal.max(initial=0) < len(cumulated):
        return cumulated[n_ideal]
    return np.cumsum(np.concatenate([[0.0], 1 / np.log2(np.arange(2, n_ideal.max() + 2))]))[n_ideal]
