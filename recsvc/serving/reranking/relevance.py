"""How relevant each candidate is to this list. In: candidates, best first, a past. Out: numbers of 0 to 1.

Relevance falls evenly with the place among the candidates: from 1 at the first to 0 where so many have passed
as are considered for a list of this length. Scores of different models lie on different scales, and one that
stands out would make all others equally poor; places are alike everywhere, and rungs keep their order.

Two things lower it, each by a factor:

- An item that was shown within the policy's hours and left alone since: by SHOWN for each time, three times
  at most. What was shown once at the first place falls by one and a half lists.
- An item like one that was lately dismissed, of the same category and with half of the tags in common, or of
  the same series: by DISMISSED. Of two without tags the category alone would say too little.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from recsvc.domain.items import Item
from recsvc.domain.slates import Source
from recsvc.serving.candidate import Candidate
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.past import Past
from recsvc.serving.reranking.concerns import Floats
from recsvc.serving.reranking.likeness import Likeness, series_of
from recsvc.serving.reranking.pool import n_considered

SHOWN, MOST_SHOWN = 0.7, 3
DISMISSED = 0.5
LIKE_DISMISSED = 0.75  # Of `Likeness`: the same category, and half of the tags.
MOST_DISMISSED = 20  # The latest so many are compared.

_PERSONAL = frozenset({Source.PERSONALISED, Source.FOLDED_IN})


def relevance_of(candidates: Sequence[Candidate], limit: int, past: Past, view: CatalogueView) -> Floats:
    """How relevant each candidate is to a list of `limit` items: (n_candidates,)."""
    return by_place(len(candidates), limit) * weariness_of(candidates, past, view)


def by_place(n: int, limit: int) -> Floats:
    """The relevance of each place of a ranking to a list of `limit` items: (n,)."""
    return np.asarray(np.maximum(1 - np.arange(n) / n_considered(limit), 0.0))


def weariness_of(candidates: Sequence[Candidate], past: Past, view: CatalogueView) -> Floats:
    """What is left of each relevance after what was shown lately and turned down, 0 to 1: (n_candidates,)."""
    left = np.ones(len(candidates))
    if past.shown:
        times = [past.shown.get(candidate.item.item_id, 0) for candidate in candidates]
        left *= SHOWN ** np.minimum(times, MOST_SHOWN)
    if past.dismissed:
        left[_like(past.dismissed, candidates, view)] *= DISMISSED
    return left


def relevant_enough(candidates: Sequence[Candidate], least: float) -> Sequence[Candidate]:
    """The candidates of personal rungs that are at least so relevant, and what follows where all are.

    Scores have no scale of their own, so a candidate is judged by how far its score is above the median of
    the personal candidates considered, as a share of how far the best one's is. `least` 0 lets all pass.
    Lower rungs are not judged; but below a personal candidate that falls short nothing follows.
    """
    if least == 0 or not candidates:
        return candidates
    scores = [candidate.score for candidate in candidates if candidate.source in _PERSONAL]
    if not scores:
        return candidates
    middle = median(scores)
    bar = middle + least * (max(scores) - middle)
    passing = [one for one in candidates if one.source in _PERSONAL and one.score >= bar]
    return passing if len(passing) < len(scores) else candidates


def _like(dismissed: Sequence[str], candidates: Sequence[Candidate], view: CatalogueView) -> list[int]:
    """The rows of candidates that are like one of the dismissed items, of which the latest come last."""
    latest = dismissed[-MOST_DISMISSED:]
    turned_down = [item for item_id in latest if (item := view.items.get(item_id)) is not None]
    series = {series_of(item) for item in turned_down} - {None}
    of_series = {row for row, one in enumerate(candidates) if series and series_of(one.item) in series}
    return sorted(of_series.union(_alike([item for item in turned_down if item.tags], candidates)))


def _alike(turned_down: Sequence[Item], candidates: Sequence[Candidate]) -> list[int]:
    """The rows of candidates of the same category that have half of the tags in common with such an item."""
    categories = {item.category for item in turned_down} - {None}
    rows = [row for row, one in enumerate(candidates) if one.item.category in categories]
    if not rows:
        return []
    likeness_to = Likeness([*turned_down, *(candidates[row].item for row in rows)])
    n = len(turned_down)
    closest = np.max([likeness_to(place)[n:] for place in range(n)], axis=0)
    return [row for row, likeness in zip(rows, closest.tolist(), strict=True) if likeness >= LIKE_DISMISSED]
