"""How good a ranking is. In: hits by place. Out: one figure per customer and metric.

Conventions, with R the number of a customer's relevant items and k the cut-off: recall divides by R,
precision by k, the ideal of NDCG has min(R, k) ones, average precision divides by min(R, k), the
reciprocal rank is 0 without a hit in the first k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recsvc.bundles.manifest import Measured

PerCustomer = Mapping[str, NDArray[np.float64]]  # By metric, `ndcg@20`: (n_customers,)


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
    precision_at_hits = hits * found / np.arange(1, hits.shape[1] + 1)
    metrics: dict[str, NDArray[np.float64]] = {}
    for k in cutoffs:
        places = min(k, hits.shape[1])
        n_found = found[:, places - 1]
        n_ideal = np.minimum(n_relevant, k)
        first = np.argmax(hits[:, :places], axis=1)
        metrics[f"recall@{k}"] = n_found / n_relevant
        metrics[f"precision@{k}"] = n_found / k
        metrics[f"ndcg@{k}"] = hits[:, :places] @ discount[:places] / _ideal_gain(ideal, n_ideal)
        metrics[f"map@{k}"] = precision_at_hits[:, :places].sum(axis=1) / n_ideal
        metrics[f"mrr@{k}"] = np.where(n_found > 0, 1 / (first + 1), 0.0)
        metrics[f"hit_rate@{k}"] = (n_found > 0).astype(np.float64)
    return metrics


def catalogue_metrics(
    lists: NDArray[np.int64], n_items: int, train_counts: NDArray[np.int64], cutoffs: Sequence[int]
) -> Mapping[str, float]:
    """What the lists do to the catalogue as a whole.

    Coverage is the share of items that anybody is shown; Gini the inequality of how often (0: all alike);
    novelty the mean of -log2 of an item's share of training customers, in bits. `lists` is
    (n_customers, n_places) of item rows, -1 where a list is shorter.
    """
    metrics: dict[str, float] = {}
    information = -np.log2(np.maximum(train_counts, 1) / max(int(train_counts.sum()), 1))
    for k in cutoffs:
        shown = lists[:, :k][lists[:, :k] >= 0]
        times = np.sort(np.bincount(shown, minlength=n_items).astype(np.float64))
        weights = 2 * np.arange(1, n_items + 1) - n_items - 1
        metrics[f"coverage@{k}"] = float((times > 0).mean())
        metrics[f"gini@{k}"] = float(weights @ times / (n_items * times.sum()))
        metrics[f"novelty@{k}"] = float(information[shown].mean())
    return metrics


def intra_list_diversity(lists: NDArray[np.int64], item_categories: NDArray[np.int64], k: int) -> float:
    """The share of pairs within a list that are of different categories, mean over lists. -1 is none."""
    categories = np.where(lists[:, :k] >= 0, item_categories[lists[:, :k]], -1)
    n = categories.shape[1]
    if n < 2:
        return 0.0
    same = (categories[:, :, None] == categories[:, None, :]) & (categories[:, :, None] >= 0)
    same_pairs = (same.sum(axis=(1, 2)) - (categories >= 0).sum(axis=1)) / 2
    return float(1 - (same_pairs / (n * (n - 1) / 2)).mean())


def measured(
    per_customer: PerCustomer, rng: np.random.Generator, n_resamples: int = 500
) -> dict[str, Measured]:
    """Means with 95 % percentile bootstrap intervals over customers."""
    values = np.stack(list(per_customer.values()), axis=1)
    n = len(values)
    means = np.empty((n_resamples, values.shape[1]))
    for resample in range(n_resamples):
        times_drawn = np.bincount(rng.integers(0, n, size=n), minlength=n)
        means[resample] = times_drawn @ values / n
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    mean = values.mean(axis=0)
    return {
        name: Measured(float(mean[i]), float(low[i]), float(high[i])) for i, name in enumerate(per_customer)
    }


def _ideal_gain(cumulated: NDArray[np.float64], n_ideal: NDArray[np.int64]) -> NDArray[np.float64]:
    """The gain of a perfect list, also where it is longer than the lists that were ranked."""
    if n_ideal.max(initial=0) < len(cumulated):
        return cumulated[n_ideal]
    return np.cumsum(np.concatenate([[0.0], 1 / np.log2(np.arange(2, n_ideal.max() + 2))]))[n_ideal]
