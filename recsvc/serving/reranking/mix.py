"""A customer's own mix of categories. In: a past, the catalogue. Out: the share of each category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np

from recsvc.domain.items import ItemKind
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.past import Past
from recsvc.serving.reranking.concerns import SMOOTHING, Codes, Floats


def mix_of(past: Past, view: CatalogueView, kind: ItemKind) -> Mapping[str, float]:
    """The share of each category in the history of items of the kind, by strength: Steck's p.

    Items that were used and have no row in the model count like the mean one of the history. Empty where the
    history holds no live item of a category.
    """
    history = past.history
    weights: dict[str, float] = {}
    for row, strength in zip(history.item_rows.tolist(), history.strengths.tolist(), strict=True):
        item = view.item_at(row)
        if item is not None and item.kind is kind and item.category is not None:
            weights[item.category] = weights.get(item.category, 0.0) + strength
    mean = float(history.strengths.mean()) if past.used and len(history) else 1.0
    for item_id in sorted(past.used):
        item = view.items.get(item_id)
        if item is not None and item.kind is kind and item.category is not None:
            weights[item.category] = weights.get(item.category, 0.0) + mean
    total = sum(weights.values())
    return {category: weight / total for category, weight in weights.items()} if total > 0 else {}


def coded(categories: Sequence[str | None], mix: Mapping[str, float]) -> tuple[Codes, Floats]:
    """Each category as a number, -1 for none, and the share of the mix of each number.

    Those of the mix come first: (n_candidates,), (n_categories,).
    """
    numbers: dict[str | None, int] = {category: number for number, category in enumerate(mix)}
    numbers[None] = -1
    of_none = len(numbers) - 1
    codes = []
    for category in categories:
        number = numbers.get(category)
        if number is None:
            number = numbers[category] = of_none
            of_none += 1
        codes.append(number)
    shares = np.zeros(of_none)
    shares[: len(mix)] = list(mix.values())
    return np.array(codes, dtype=np.int64), shares


def divergence(mix: Mapping[str, float], categories: Sequence[str | None]) -> float:
    """How far the categories of a list are from the mix: KL(p‖q~) in nats (Steck 2018)."""
    n = max(len(categories), 1)
    total = 0.0
    for category, wanted in mix.items():
        found = (1 - SMOOTHING) * categories.count(category) / n + SMOOTHING * wanted
        total += wanted * log(wanted / found) if wanted > 0 else 0.0
    return total
