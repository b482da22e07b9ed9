"""Candidates, rung by rung of the fallback ladder. In: a subject, a model, the catalogue. Out: rankings.

Every rung ranks all live items of the wanted kind that it knows; the engine takes from the highest rung
first and goes down while the slate is not full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Source
from recsvc.policy import Policy
from recsvc.serving.customers import Subject
from recsvc.serving.live_catalogue import CatalogueView
from recsvc.serving.past import NO_PAST
from recsvc.serving.verification import Model

_FIRST_LOOK = 256  # Most slates are filled from so many; only what is filtered hard needs them all in order.


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item proposed by a rung, with the rung's score."""

    item: Item
    score: float
    source: Source
    row: int | None


def climb_down(
    kind: ItemKind, subject: Subject, model: Model | None, view: CatalogueView, policy: Policy
) -> Iterator[Candidate]:
    """Candidates of every rung, highest rung first and best first within a rung.

    What the customer already used is left out where the policy says so.
    """
    may_repeat = policy.serving.repeat_offers if kind is ItemKind.OFFER else policy.serving.repeat_content
    past = NO_PAST if may_repeat else subject.past
    if model is not None:
        rows = _without(past.history.item_rows, view.trained_rows[kind], len(model.bundle.items))
        for source, scores in _rungs(subject, model):
            # A score of exactly 0 says that the rung knows nothing of the item: a lower one may.
            yield from ranked(rows[scores[rows] != 0], scores, source, view)
        yield from ranked(rows, model.bundle.popularity, Source.POPULAR, view)
    for item in view.fresh[kind]:
        if item.item_id not in past.used:
            yield Candidate(item, 0.0, Source.EDITORIAL, None)


def _rungs(subject: Subject, model: Model) -> Iterator[tuple[Source, NDArray[np.float32]]]:
    """The scores of every item on the rungs that stand for this customer."""
    past = subject.past
    if model.scorer.is_personal and len(past.history):
        source = Source.FOLDED_IN if past.is_folded_in else Source.PERSONALISED
        yield source, model.scorer.score(past.history)
    if subject.segment is not None:
        in_segment = model.bundle.segment_popularity(subject.segment)
        if in_segment is not None:
            yield Source.SEGMENT_POPULAR, in_segment


def _without(used: NDArray[np.int32], rows: NDArray[np.int32], n_items: int) -> NDArray[np.int32]:
    if not used.size:
        return rows
    is_open = np.ones(n_items, dtype=np.bool_)
    is_open[used] = False
    return rows[is_open[rows]]


def ranked(
    rows: NDArray[np.int32], scores: NDArray[np.float32], source: Source, view: CatalogueView
) -> Iterator[Candidate]:
    """The rows by falling score; a tie goes to the lower row, so that the order is always the same."""
    here = scores[rows]
    for position in _falling(here):
        row = int(rows[position])
        yield Candidate(view.by_row[row], float(here[position]), source, row)


def _falling(scores: NDArray[np.float32]) -> Iterator[np.intp]:
    if len(scores) > 2 * _FIRST_LOOK:
        threshold = np.partition(scores, -_FIRST_LOOK)[-_FIRST_LOOK]
        head = np.flatnonzero(scores > threshold)
        yield from head[np.argsort(-scores[head], kind="stable")]
        rest = np.flatnonzero(scores <= threshold)
        yield from rest[np.argsort(-scores[rest], kind="stable")]
    else:
        yield from np.argsort(-scores, kind="stable")
