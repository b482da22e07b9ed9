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
    """Candidates of every rung, highest rung first and best first within a rung."""
    if model is not None and view.model_version == model.version:
        rows = _open_rows(kind, subject, view, policy)
        for source, scores in _rungs(subject, model):
            yield from ranked(rows, scores, source, view)
    for item in view.fresh[kind]:
        yield Candidate(item, 0.0, Source.EDITORIAL, None)


def _rungs(subject: Subject, model: Model) -> Iterator[tuple[Source, NDArray[np.float32]]]:
    bundle = model.bundle
    if len(subject.history):
        source = Source.FOLDED_IN if subject.has_recent else Source.PERSONALISED
        yield source, model.scorer.score(subject.history)
    if subject.segment is not None:
        in_segment = bundle.segment_popularity(subject.segment)
        if in_segment is not None and in_segment.any():
            yield Source.SEGMENT_POPULAR, in_segment
    yield Source.POPULAR, bundle.popularity


def _open_rows(kind: ItemKind, subject: Subject, view: CatalogueView, policy: Policy) -> NDArray[np.int32]:
    """The rows that may be shown: what the customer already used is left out where the policy says so."""
    rows = view.trained_rows[kind]
    may_repeat = policy.serving.repeat_offers if kind is ItemKind.OFFER else policy.serving.repeat_content
    if may_repeat or not len(subject.history):
        return rows
    return rows[~np.isin(rows, subject.history.item_rows)]


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
