"""Candidates, rung by rung of the fallback ladder. In: a subject, a model, the catalogue. Out: rankings.

Every rung ranks all live items of the wanted kind that it knows; the engine takes from the highest rung
first and goes down while the slate is not full. Where there are many items it first tries to do with a
shortlist of the highest rung, which saves the scoring of all the others. Items that came after the training
stand on the highest rung too, where the model can tell from what they are who might take them.

Where it is known what is live, the popular rung begins with what is popular now. The highest rung begins with
a shortlist that blends that with what was trained, for items of the kind that a replay weighed the two on;
those of another kind are ranked as the model alone ranks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat

import numpy as np
from msgspec.structs import replace as with_changes
from numpy.typing import NDArray

from recsvc.domain.items import Item, ItemKind
from recsvc.domain.slates import Source
from recsvc.policy import Policy
from recsvc.serving.candidate import Candidate, Shares
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.cold_items import ColdItems
from recsvc.serving.customers import Subject
from recsvc.serving.live_access import Live, Weighing
from recsvc.serving.live_popularity import Open, popular_now
from recsvc.serving.live_ranking import shortlisted
from recsvc.serving.past import NO_PAST, Past
from recsvc.serving.scoring import Shortlist
from recsvc.serving.scoring.parts import OpenRows, RowArray
from recsvc.serving.scoring.standardised import NoOpinion, TrainedOpinion, opinion_after
from recsvc.serving.verification import Model

__all__ = ["Candidate", "Shares", "open_to", "popular", "ranked", "rankings"]

_FIRST_LOOK = 256  # Most slates are filled from so many; only what is filtered hard needs them all in order.
_COLD = 2**40  # Places from here on are of cold items; below, they are rows.
_NO_SCORES = np.zeros(0, dtype=np.float32)
_MANY_ITEMS = 5_000  # Fewer are scored as soon as a shortlist of them is made.


def rankings(
    kind: ItemKind,
    subject: Subject,
    model: Model | None,
    view: CatalogueView,
    policy: Policy,
    live: Live | None = None,
) -> Iterator[Iterator[Candidate]]:
    """Candidates, the cheapest way first and the whole of them last, each from its beginning.

    An item has the same score in both. What the customer already used is left out where the policy says so.
    """
    may_repeat = policy.serving.repeat_offers if kind is ItemKind.OFFER else policy.serving.repeat_content
    past = NO_PAST if may_repeat else subject.past
    fresh = (item for item in view.fresh[kind] if item.item_id not in past.used)
    editorial = (Candidate(item, 0.0, Source.EDITORIAL, None) for item in fresh)
    open_items = open_to(past, kind, model, view)
    if model is None:
        yield chain(popular(open_items, model, live), editorial)
        return
    blended: list[Candidate] = []
    weighing = live.weighing_of(kind) if live is not None else None
    if live and weighing and (_is_personal(subject, model) or live.knows(subject.live_id)):
        blended = _blended(open_items, subject, model, live, weighing)
        yield iter(blended)
    elif (shortlist := _shortlist_of(open_items, model)) is not None and _is_personal(subject, model):
        yield _of_shortlist(open_items, shortlist, subject, model)
    rungs = _rungs(open_items, blended, subject, model, live)
    yield chain(blended, chain.from_iterable(rungs), editorial)


def open_to(past: Past, kind: ItemKind, model: Model | None, view: CatalogueView) -> Open:
    """The items of a kind that were not used in this past."""
    used_rows = past.history.item_rows
    return Open(
        kind,
        view,
        open_rows=OpenRows(view.trained_rows[kind], used_rows, len(model.bundle.items) if model else 0),
        cold=view.cold[kind].without(past.used),
        used=past.used,
        used_rows=frozenset(used_rows.tolist()),
    )


def _shortlist_of(open_items: Open, model: Model) -> Shortlist | None:
    """None where there are so few items that all may as well be scored."""
    return model.shortlist if len(open_items.open_rows.of_kind) >= _MANY_ITEMS else None


def _is_personal(subject: Subject, model: Model) -> bool:
    return model.scorer.is_personal and len(subject.past.history) > 0


def _blended(
    open_items: Open, subject: Subject, model: Model, live: Live, weighing: Weighing
) -> list[Candidate]:
    """The beginning of the highest rung where what is live counts too."""
    history = subject.past.history
    trained: TrainedOpinion = NoOpinion(model.bundle.popularity)
    if len(history):
        trained = opinion_after(history, model.scorer, _shortlist_of(open_items, model))
    is_folded_in = subject.past.is_folded_in or not len(history)
    source = Source.FOLDED_IN if is_folded_in else Source.PERSONALISED
    return shortlisted(live, weighing, subject.live_id, open_items, trained, source)


def _of_shortlist(
    open_items: Open, shortlist: Shortlist, subject: Subject, model: Model
) -> Iterator[Candidate]:
    """The highest rung, as far down as a shortlist can be trusted, look by look."""
    named = set[str]()
    for depth in shortlist.depths:
        few = shortlist.among(open_items.open_rows, subject.past.history, depth)
        if few.size:
            ranking = _personal(few, open_items.cold, subject, model, open_items.view, None)
            for candidate in islice(ranking, depth):
                if candidate.item.item_id not in named:
                    named.add(candidate.item.item_id)
                    yield candidate


def _rungs(
    open_items: Open, blended: Sequence[Candidate], subject: Subject, model: Model, live: Live | None
) -> Iterator[Iterator[Candidate]]:
    """Every rung, the highest first, with its candidates best first, but for the blended."""
    rows, view = open_items.rows, open_items.view
    if _is_personal(subject, model) and rows.size:
        yield _personal_after(blended, open_items, subject, model)
    if subject.segment is not None:
        in_segment = model.bundle.segment_popularity(subject.segment)
        if in_segment is not None:
            yield _known(rows, in_segment[rows], Source.SEGMENT_POPULAR, view)
    yield popular(open_items, model, live)


def popular(open_items: Open, model: Model | None, live: Live | None) -> Iterator[Candidate]:
    """What most customers take now; then, of what nobody took of late, what most took before the training."""
    if model is None:
        return popular_now(live, open_items) if live is not None else iter(())
    rows = open_items.rows
    by_model = ranked(rows, model.bundle.popularity[rows], Source.POPULAR, open_items.view)
    return by_model if live is None else _one_after_the_other(popular_now(live, open_items), by_model)


def _one_after_the_other(first: Iterator[Candidate], second: Iterator[Candidate]) -> Iterator[Candidate]:
    """The first ranking, and what only the second one knows after it: its scores go on from the last."""
    named, last = set[str](), None
    for last in first:
        named.add(last.item.item_id)
        yield last
    yield from _going_on(last, (one for one in second if one.item.item_id not in named))


def _going_on(last: Candidate | None, candidates: Iterator[Candidate]) -> Iterator[Candidate]:
    """The same order, with scores that begin at that of the last candidate before and fall as they did."""
    if last is None:
        yield from candidates
        return
    fall = None
    for candidate in candidates:
        fall = candidate.score - last.score if fall is None else fall
        yield with_changes(candidate, score=candidate.score - fall)


def _personal_after(
    blended: Sequence[Candidate], open_items: Open, subject: Subject, model: Model
) -> Iterator[Candidate]:
    """What the model thinks of all that was not blended."""
    if not blended:
        return _personal(open_items.rows, open_items.cold, subject, model, open_items.view, None)
    placed = np.array([one.row for one in blended if one.row is not None], dtype=np.int32)
    rows = OpenRows(open_items.rows, placed, len(model.bundle.items)).all
    cold = open_items.cold.without({one.item.item_id for one in blended})
    return _personal(rows, cold, subject, model, open_items.view, blended[-1].score)


def _personal(
    rows: RowArray, cold: ColdItems, subject: Subject, model: Model, view: CatalogueView, last: float | None
) -> Iterator[Candidate]:
    """What the model thinks of the items after this customer's history. Of equals a cold one comes last.

    Where a ranking goes before it, its scores go on from the `last` one there.
    """
    past = subject.past
    source = Source.FOLDED_IN if past.is_folded_in else Source.PERSONALISED
    scores, of_cold = (
        model.scorer.score_with_new(past.history, rows, cold.factors)
        if cold.items
        else (model.scorer.score_of(past.history, rows), _NO_SCORES)
    )
    known = np.flatnonzero(scores)
    cold_places = np.arange(len(cold.items)) + _COLD
    places = np.concatenate([rows[known], cold_places])
    looks = _best_first(places, np.concatenate([scores[known], of_cold]), last)
    return chain.from_iterable(_of_look(each, scores, source, view, cold.items) for each, scores in looks)


def _known(
    rows: RowArray, scores: NDArray[np.float32], source: Source, view: CatalogueView
) -> Iterator[Candidate]:
    """What a rung knows. A score of exactly 0 says that it knows nothing of the item: a lower rung may."""
    known = np.flatnonzero(scores)
    return ranked(rows[known], scores[known], source, view)


def ranked(
    rows: RowArray, scores: NDArray[np.float32], source: Source, view: CatalogueView
) -> Iterator[Candidate]:
    """The rows by falling score; a tie goes to the lower row, so that the order is always the same."""
    looks = _best_first(rows, scores)
    return chain.from_iterable(_of_look(each, scores, source, view) for each, scores in looks)


def _of_look(
    places: list[int], scores: list[float], source: Source, view: CatalogueView, cold: Sequence[Item] = ()
) -> Iterator[Candidate]:
    """The candidates at these places, made without a step of ours for each."""
    at = view.known.at
    if not cold:
        return map(Candidate, map(at, places), scores, repeat(source), places)
    items = [cold[place - _COLD] if place >= _COLD else at(place) for place in places]
    rows = [None if place >= _COLD else place for place in places]
    return map(Candidate, items, scores, repeat(source), rows)


def _best_first(
    places: NDArray[np.integer], scores: NDArray[np.floating], last: float | None = None
) -> Iterator[tuple[list[int], list[float]]]:
    """The places and their scores by falling score, of equals the earlier first: look by look.

    Where they go on from a `last` score, all are moved so that the first is equal to it.
    """
    if last is not None and len(scores):
        scores = scores.astype(np.float64)
        scores -= scores.max() - last
    looks = [np.arange(len(scores))]
    if len(scores) > 2 * _FIRST_LOOK:
        threshold = np.partition(scores, -_FIRST_LOOK)[-_FIRST_LOOK]
        looks = [np.flatnonzero(scores > threshold), np.flatnonzero(scores <= threshold)]
    for look in looks:
        order = look[np.argsort(-scores[look], kind="stable")]
        yield places[order].tolist(), scores[order].tolist()
