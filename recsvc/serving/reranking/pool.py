"""Which candidates a list is chosen from. In: eligible candidates, best first. Out: the first of them.

How many are looked at hangs on the length of the list alone: if a wish for diversity brought more of them,
a weak wish would change the list for another reason than the wish.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil

import msgspec

from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.policy_lists import ListsPolicy
from recsvc.serving.candidate import Candidate
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.reranking.likeness import first_of_its_kind

_TIMES, _MOST_BEYOND = 5, 200
_ENOUGH = 0.8
"""A shortlist that brings so much of what is wanted will do; the rest was refused or never proposed."""
_FURTHER = 2_000  # So many more are looked at for a list that a few categories would fill.


def n_considered(limit: int) -> int:
    """How many candidates are considered for a list of `limit` items, if there are so many."""
    return min(limit * _TIMES, limit + _MOST_BEYOND)


def most_of_a_category(request: SlateRequest, lists: ListsPolicy) -> int:
    """How many items of one category a list may have: all of them where the request names categories."""
    if request.categories:
        return request.limit
    return ceil(round(lists.most_of_a_category * request.limit, 6))


def fitting(lists: ListsPolicy, kind: ItemKind, view: CatalogueView) -> ListsPolicy:
    """The policy as it can be kept: nothing is looked for beyond a category that is the only one."""
    if len(view.categories[kind]) > 1:
        return lists
    return msgspec.structs.replace(lists, most_of_a_category=1.0)


@dataclass(frozen=True, slots=True)
class Pool:
    """What is considered. `is_enough` says that no wider ranking need be asked."""

    candidates: Sequence[Candidate]
    is_enough: bool


def consider(
    ranking: Iterator[Candidate],
    request: SlateRequest,
    lists: ListsPolicy,
    shown: Collection[Candidate] = (),
) -> Pool:
    """The first candidates of a ranking, of a series and of duplicates the best one.

    None is of a series, or a duplicate, of what was `shown` before on the same page.
    """
    return consider_distinct(first_of_its_kind(ranking, shown), request, lists)


def consider_distinct(distinct: Iterator[Candidate], request: SlateRequest, lists: ListsPolicy) -> Pool:
    """The first candidates of a ranking of which no two are one.

    Where these could not fill the list without more of a category than it may have, further ones of other
    categories are among them.
    """
    n_wanted, most = n_considered(request.limit), most_of_a_category(request, lists)
    found = list(islice(distinct, n_wanted))
    needed = ceil(_ENOUGH * n_wanted) if request.diversity > 0 else min(2 * request.limit, n_wanted)
    is_enough = len(found) >= needed
    counts = Counter(candidate.item.category for candidate in found)
    n_open = sum(n if category is None else min(n, most) for category, n in counts.items())
    if len(found) < n_wanted or n_open >= request.limit:
        return Pool(found, is_enough and n_open >= request.limit)
    for candidate in islice(distinct, _FURTHER):
        category = candidate.item.category
        if category is None or counts[category] < most:
            counts[category] += 1
            n_open += 1
            found.append(candidate)
            if n_open == request.limit:
                return Pool(found, True)
    return Pool(found, False)
