"""Order with a list's concerns. In: what was considered, a request, its subject. Out: the list.

`pool` says which candidates are considered, `relevance` how relevant each is, `concerns` what a list must
beware of, and `greedy` how it is built from these; `pages` keeps the placements of a page apart. How much
each concern weighs is the policy's `[lists]`, and the request's wish for diversity.

Where the request wishes for diversity, the list stands in the order in which it was built, and a lower rung
may come before a higher one. Else the concerns say what is on it, and relevance in which order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recsvc.domain.slates import SlateRequest
from recsvc.policy_lists import ListsPolicy
from recsvc.serving.candidate import Candidate
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.customers import Subject
from recsvc.serving.reranking.concerns import Concern, Floats, Miscalibration, Openings, Repetition
from recsvc.serving.reranking.greedy import Weights, choose_rows
from recsvc.serving.reranking.likeness import Likeness
from recsvc.serving.reranking.mix import coded, mix_of
from recsvc.serving.reranking.pages import after, requests_of_page
from recsvc.serving.reranking.pool import Pool, consider, consider_distinct, fitting, most_of_a_category
from recsvc.serving.reranking.relevance import by_place, relevance_of, relevant_enough, weariness_of

__all__ = [
    "Pool",
    "after",
    "arrange",
    "by_place",
    "consider",
    "consider_distinct",
    "fitting",
    "ordered",
    "relevant_enough",
    "requests_of_page",
    "wanted_mix",
    "weariness_of",
]

_A_RUNG = 1_000.0  # More than all concerns together can cost.
_OF_MEAN_LIKENESS = 0.2
_BREAKS_TIES = (
    1e-6  # Of what is equally unlike the list, the most relevant is taken, however strong the wish.
)


def arrange(
    considered: Sequence[Candidate],
    request: SlateRequest,
    subject: Subject,
    view: CatalogueView,
    lists: ListsPolicy,
) -> list[Candidate]:
    """The list: at most `request.limit` of the candidates considered, which come best first.

    At diversity 0 and without any other concern these are the first. A tie goes to the earlier candidate.
    """
    candidates = relevant_enough(considered, lists.least_relevance)
    if not candidates:
        return []
    mix = wanted_mix(request, subject, view, lists)
    relevance = relevance_of(candidates, request.limit, subject.past, view)
    return ordered(candidates, relevance, request, lists, mix)


def wanted_mix(
    request: SlateRequest, subject: Subject, view: CatalogueView, lists: ListsPolicy
) -> Mapping[str, float]:
    """The share of each category that the list is to keep to; empty where it keeps to none."""
    is_free = request.categories or lists.calibration == 0
    return {} if is_free else mix_of(subject.past, view, request.kind)


def ordered(
    candidates: Sequence[Candidate],
    relevance: Floats,
    request: SlateRequest,
    lists: ListsPolicy,
    mix: Mapping[str, float],
) -> list[Candidate]:
    """The list of candidates whose relevance (n_candidates,) is known. It begins with the most relevant."""
    if not candidates:
        return []
    keeps_order = request.diversity == 0
    weights = Weights.of(diversity=request.diversity, calibration=lists.calibration if mix else 0.0)
    codes, shares = coded([candidate.item.category for candidate in candidates], mix)
    fall = _A_RUNG * _rungs(candidates) if keeps_order else np.zeros(len(candidates))
    best = int((relevance - fall).argmax())  # No concern is worth a list that does not begin with the best.
    relevance = max(weights.relevance, _BREAKS_TIES) * relevance - fall
    concerns: list[tuple[float, Concern]] = []
    if weights.likeness > 0:
        likeness_to = Likeness([candidate.item for candidate in candidates])
        repetition = Repetition(len(candidates), likeness_to, of_mean=_OF_MEAN_LIKENESS)
        concerns.append((weights.likeness, repetition))
    if weights.mix > 0:
        concerns.append((weights.mix, Miscalibration(codes, shares)))
    openings = Openings(relevance, codes, most_of_a_category(request, lists))
    rows = choose_rows(openings, request.limit, concerns, begun_with=[best])
    if keeps_order:
        rows.sort(key=lambda row: (-relevance[row], row))
    return [candidates[row] for row in rows]


def _rungs(candidates: Sequence[Candidate]) -> Floats:
    """The number of each candidate's rung, in the order in which they come: (n_candidates,)."""
    sources = [candidate.source for candidate in candidates]
    if sources.count(sources[0]) == len(sources):
        return np.zeros(len(sources))
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(source, len(numbers)) for source in sources], dtype=np.float64)
