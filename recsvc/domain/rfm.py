"""Quintile scores. In: one figure of all customers. Out: the edges by which any customer is scored 1 to 5.

The score of a customer is ceil(5 * rank / n), where equal figures share their mean rank. It never falls as
the figure grows, so four edges say it all: the least figures that score 2, 3, 4 and 5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

N_SCORES = 5

Edges = tuple[float | None, ...]
"""The least figure that has score 2, 3, 4 and 5; None for a score that nobody has, nor a higher one."""


def quintile_edges(figures: Iterable[float]) -> Edges:
    """The edges of a population. Where nobody is, all are None, and there is nothing to score by."""
    counts = Counter(figures)
    n = counts.total()
    edges: list[float | None] = [None] * (N_SCORES - 1)
    below = 0
    for figure in sorted(counts):
        twice_rank = 2 * below + counts[figure] + 1
        score = -(-N_SCORES * twice_rank // (2 * n))
        for place in range(score - 1):
            if edges[place] is None:
                edges[place] = float(figure)
        below += counts[figure]
    return tuple(edges)


def quintile_score(figure: float, edges: Edges) -> int:
    """The score of a figure, 1 to 5: that of the nearest one of the population that is not above it."""
    return 1 + sum(edge is not None and figure >= edge for edge in edges)
