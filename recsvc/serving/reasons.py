"""Why an item is on the slate. In: a candidate, what carried its score. Out: a code and a sentence.

What carried a score most, of what is true of the item, is its reason; where nothing is, the reason is a
neutral one. Of a customer of whom nothing may be known, nothing is: such a reason names no history, and
nobody who is like them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter

import numpy as np

from recsvc.domain.items import Item, text_in
from recsvc.domain.slates import Reason, Source
from recsvc.live.state import LiveState
from recsvc.serving.candidate import Candidate, Shares
from recsvc.serving.catalogue_view import CatalogueView
from recsvc.serving.customers import Subject
from recsvc.serving.drivers import neighbours_drivers, taste_drivers, trained_drivers
from recsvc.serving.grounds import Grounds
from recsvc.serving.reason_texts import (
    BECAUSE_YOU_READ,
    FITS_YOUR_HISTORY,
    MORE_FOR_YOU,
    MORE_OF_WHAT_YOU_READ,
    NEW,
    POPULAR,
    POPULAR_WITH_PEOPLE_LIKE_YOU,
    READ_BY_PEOPLE_LIKE_YOU,
    text_of,
)
from recsvc.serving.served_score import ServedScore
from recsvc.serving.verification import Model

_PERSONAL = (Source.PERSONALISED, Source.FOLDED_IN)


def explain(
    chosen: Sequence[Candidate],
    subject: Subject,
    model: Model | None,
    view: CatalogueView,
    *,
    locale: str,
    in_detail: bool,
    now: datetime,
    state: LiveState | None = None,
) -> list[Reason]:
    """A reason for each chosen item; with `in_detail` also the history items that carried its score.

    Args:
        state: the live state that neighbours were found in; None where the scores are the model's alone.
    """
    served = ServedScore(subject, model, view, state) if model else None
    grounds = Grounds(subject, model, view, now, state, [one.item.item_id for one in chosen])
    codes = _codes(chosen, model, grounds, served)
    because = _because(chosen, codes, served) if in_detail and served else {}
    return [
        _reason(code, because.get(one.item.item_id, ()), view, locale)
        for one, code in zip(chosen, codes, strict=True)
    ]


def _codes(
    chosen: Sequence[Candidate], model: Model | None, grounds: Grounds, served: ServedScore | None
) -> list[str]:
    """For each candidate the code of what carried its score most, of all that is true of it."""
    return [
        _code_of_shares(one, shares, grounds, served) if shares is not None else _code_of_rung(one, grounds)
        for one, shares in zip(chosen, _shares(chosen, model), strict=True)
    ]


def _shares(chosen: Sequence[Candidate], model: Model | None) -> list[Shares | None]:
    """What carried each score; of the model's alone, its own part and everybody's. None of nobody's."""
    shares = [one.shares for one in chosen]
    of_model = [
        place
        for place, one in enumerate(chosen)
        if one.shares is None and one.source in _PERSONAL and model is not None
    ]
    known = [place for place in of_model if chosen[place].row is not None]
    common = dict.fromkeys(of_model, 0.0)
    if model is not None and known:
        rows = np.array([chosen[place].row for place in known], dtype=np.int32)
        common |= zip(known, model.scorer.common_of(rows).tolist(), strict=True)
    for place, everybodys in common.items():
        shares[place] = Shares(chosen[place].score - everybodys, 0.0, 0.0, everybodys, 0.0)
    return shares


def _code_of_shares(
    candidate: Candidate, shares: Shares, grounds: Grounds, served: ServedScore | None
) -> str:
    by_share = []
    if grounds.is_met(candidate):
        by_share.append((shares.popularity, POPULAR))
    if grounds.is_new(candidate.item):
        by_share.append((shares.newness, NEW))
    if grounds.is_known:
        if served is not None and served.is_placed(candidate):
            by_share.append((shares.trained, FITS_YOUR_HISTORY))
        by_share.append((shares.neighbours, READ_BY_PEOPLE_LIKE_YOU))
        if served is not None and served.lately_of(candidate.item.category):
            by_share.append((shares.taste, MORE_OF_WHAT_YOU_READ))
    greatest, code = max(by_share, key=itemgetter(0), default=(0.0, MORE_FOR_YOU))  # The first of equals.
    return code if greatest > 0 else MORE_FOR_YOU


def _code_of_rung(candidate: Candidate, grounds: Grounds) -> str:
    if candidate.source is Source.EDITORIAL:
        return NEW if grounds.is_new(candidate.item) else MORE_FOR_YOU
    if candidate.source is Source.SEGMENT_POPULAR and grounds.is_popular_in_segment(candidate):
        return POPULAR_WITH_PEOPLE_LIKE_YOU
    return POPULAR if grounds.is_popular(candidate) else MORE_FOR_YOU


def _because(
    chosen: Sequence[Candidate], codes: Sequence[str], served: ServedScore
) -> Mapping[str, tuple[str, ...]]:
    """By item id the items of the past that carried the scores."""
    because: dict[str, tuple[str, ...]] = {}
    for wanted, drivers in _DRIVERS.items():
        because |= drivers([one for one, code in zip(chosen, codes, strict=True) if code == wanted], served)
    return because


_DRIVERS = {
    FITS_YOUR_HISTORY: trained_drivers,
    MORE_OF_WHAT_YOU_READ: taste_drivers,
    READ_BY_PEOPLE_LIKE_YOU: neighbours_drivers,
}


def _reason(code: str, because: tuple[str, ...], view: CatalogueView, locale: str) -> Reason:
    """Where what carried the score has a title, the title is named."""
    if code == FITS_YOUR_HISTORY:
        titles = (_title_of(view.items.get(item_id), locale) for item_id in because)
        if title := next(filter(None, titles), None):
            return Reason(BECAUSE_YOU_READ, text_of(BECAUSE_YOU_READ, locale, title), because)
    return Reason(code, text_of(code, locale), because)


def _title_of(item: Item | None, locale: str) -> str | None:
    return (text_in(item.title, locale) or "").strip() or None if item else None
