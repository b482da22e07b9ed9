"""Candidates, rung by rung of the fallback ladder. In: a subject, a model, the catalogue. Out: rankings.

Every rung ranks all live items of the wanted kind that it knows; the engine takes from the highest rung
first and goes down while the slate is not full. Where there are many items it first tries to do with a
shortlist of the highest rung, which saves the scoring of all the others. Items that came after the training
stand on the highest rung too, where the model can tell from what they are who might take them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Source
from recsvc.policy import Policy
from recsvc.serving.cold_items import ColdItems
from recsvc.serving.customers import Subject
from recsvc.serving.live_catalogue import CatalogueView
from recsvc.serving.past import NO_PAST
from recsvc.serving.scoring import Shortlist
from recsvc.serving.scoring.parts import RowArray
from recsvc.serving.scoring.shortlist import DEPTH
from recsvc.serving.verification import Model

_FIRST_LOOK = 256  # Most slates are filled from so many; only what is filtered hard needs them all in order.
_MANY_ITEMS = 5_000  # Fewer are scored as soon as a shortlist of them is made.


@dataclass(frozen=True, slots=True)
class Shares:
    """What carried a score that is a sum of trained and live parts, each above the mean of the shortlist.

    `popularity` is that of the counts and of recency, `newness` that of all that hangs on an item's age.
    """

    trained: float
    neighbours: float
    popularity: float
    newness: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item proposed by a rung, with the rung's score. `row` is the bundle's, None where it has none.

    `shares` is None where the score is the model's alone, or nobody's.
    """

    item: Item
    score: float
    source: Source
    row: int | None
    shares: Shares | None = None


def rankings(
    kind: ItemKind, subject: Subject, model: Model | None, view: CatalogueView, policy: Policy
) -> Iterator[Iterator[Candidate]]:
    """Candidates, the cheapest way first and the whole of them last, each from its beginning.

    An item has the same score in both. What the customer already used is left out where the policy says so.
    """
    may_repeat = policy.serving.repeat_offers if kind is ItemKind.OFFER else policy.serving.repeat_content
    past = NO_PAST if may_repeat else subject.past
    rows = view.trained_rows[kind]
    if model is not None:
        rows = _without(past.history.item_rows, rows, len(model.bundle.items))
        cold = view.cold[kind].without(past.used)
        if model.shortlist is not None and len(rows) >= _MANY_ITEMS and _is_personal(subject, model):
            yield _of_shortlist(rows, cold, model.shortlist, subject, model, view)
    fresh = (item for item in view.fresh[kind] if item.item_id not in past.used)
    yield chain(
        _climb_down(rows, cold, subject, model, view) if model is not None else (),
        (Candidate(item, 0.0, Source.EDITORIAL, None) for item in fresh),
    )


def _is_personal(subject: Subject, model: Model) -> bool:
    return model.scorer.is_personal and len(subject.past.history) > 0


def _of_shortlist(
    rows: RowArray,
    cold: ColdItems,
    shortlist: Shortlist,
    subject: Subject,
    model: Model,
    view: CatalogueView,
) -> Iterator[Candidate]:
    """The highest rung, as far down as a shortlist can be trusted."""
    few = shortlist.among(rows, subject.past.history)
    if few.size:
        yield from islice(_personal(few, cold, subject, model, view), DEPTH)


def _climb_down(
    rows: RowArray, cold: ColdItems, subject: Subject, model: Model, view: CatalogueView
) -> Iterator[Candidate]:
    """Candidates of every rung, highest rung first and best first within a rung."""
    if _is_personal(subject, model) and rows.size:
        yield from _personal(rows, cold, subject, model, view)
    if subject.segment is not None:
        in_segment = model.bundle.segment_popularity(subject.segment)
        if in_segment is not None:
            yield from _known(rows, in_segment[rows], Source.SEGMENT_POPULAR, view)
    yield from ranked(rows, model.bundle.popularity[rows], Source.POPULAR, view)


def _personal(
    rows: RowArray, cold: ColdItems, subject: Subject, model: Model, view: CatalogueView
) -> Iterator[Candidate]:
    """What the model thinks of the items after this customer's history. Of equals a cold one comes last."""
    past = subject.past
    source = Source.FOLDED_IN if past.is_folded_in else Source.PERSONALISED
    if not cold.items:
        return _known(rows, model.scorer.score_of(past.history, rows), source, view)
    scores, of_cold = model.scorer.score_with_new(past.history, rows, cold.factors)
    new = (Candidate(cold.items[place], float(of_cold[place]), source, None) for place in _falling(of_cold))
    return merge(_known(rows, scores, source, view), new, key=lambda candidate: -candidate.score)


def _known(
    rows: RowArray, scores: NDArray[np.float32], source: Source, view: CatalogueView
) -> Iterator[Candidate]:
    """What a rung knows. A score of exactly 0 says that it knows nothing of the item: a lower rung may."""
    known = np.flatnonzero(scores)
    return ranked(rows[known], scores[known], source, view)


def _without(used: RowArray, rows: RowArray, n_items: int) -> RowArray:
    if not used.size:
        return rows
    is_open = np.ones(n_items, dtype=np.bool_)
    is_open[used] = False
    return rows[is_open[rows]]


def ranked(
    rows: RowArray, scores: NDArray[np.float32], source: Source, view: CatalogueView
) -> Iterator[Candidate]:
    """The rows by falling score; a tie goes to the lower row, so that the order is always the same."""
    for position in _falling(scores):
        row = int(rows[position])
        yield Candidate(view.by_row[row], float(scores[position]), source, row)


def _falling(scores: NDArray[np.float32]) -> Iterator[np.intp]:
    if len(scores) > 2 * _FIRST_LOOK:
        threshold = np.partition(scores, -_FIRST_LOOK)[-_FIRST_LOOK]
        head = np.flatnonzero(scores > threshold)
        yield from head[np.argsort(-scores[head], kind="stable")]
        rest = np.flatnonzero(scores <= threshold)
        yield from rest[np.argsort(-scores[rest], kind="stable")]
    else:
        yield from np.argsort(-scores, kind="stable")
