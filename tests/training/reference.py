"""Every metric once more, slowly, one list at a time, from its definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import log2
from statistics import fmean

Lists = Sequence[Sequence[int]]


def ranked(scores: Sequence[float], had: set[int]) -> list[int]:
    """All items but those that the customer had, best first, equal ones in order of row."""
    return sorted(set(range(len(scores))) - had, key=lambda item: (-scores[item], item))


def accuracy(items: Sequence[int], relevant: set[int], n_relevant: int, k: int) -> Mapping[str, float]:
    """One customer's list against what they took; `n_relevant` also counts what no list can hold."""
    places = [place for place, item in enumerate(items[:k], start=1) if item in relevant]
    ideal = sum(1 / log2(place + 1) for place in range(1, min(n_relevant, k) + 1))
    precisions = [n_found / place for n_found, place in enumerate(places, start=1)]
    return {
        f"recall@{k}": len(places) / n_relevant,
        f"precision@{k}": len(places) / k,
        f"ndcg@{k}": sum(1 / log2(place + 1) for place in places) / ideal,
        f"map@{k}": sum(precisions) / min(n_relevant, k),
        f"mrr@{k}": 1 / places[0] if places else 0.0,
        f"hit_rate@{k}": 1.0 if places else 0.0,
    }


def coverage(lists: Lists, n_items: int, k: int) -> float:
    return len({item for items in lists for item in items[:k]}) / n_items


def gini(lists: Lists, n_items: int, k: int) -> float:
    """Half the mean difference of how often two items are shown, over the mean of how often one is."""
    times = [sum(item in items[:k] for items in lists) for item in range(n_items)]
    if not any(times):
        return 0.0
    return fmean(abs(a - b) for a in times for b in times) / (2 * fmean(times))


def novelty(lists: Lists, customer_counts: Sequence[int], n_customers: int, k: int) -> float:
    bits = [-log2(max(customer_counts[item], 1) / n_customers) for items in lists for item in items[:k]]
    return fmean(bits) if bits else 0.0


def diversity(lists: Lists, categories: Sequence[int], k: int) -> float:
    shares = []
    for items in lists:
        if pairs := list(combinations(items[:k], 2)):
            shares.append(fmean(categories[a] != categories[b] or categories[a] < 0 for a, b in pairs))
    return fmean(shares) if shares else 0.0
