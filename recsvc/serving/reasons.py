"""Why an item is on the slate. In: a candidate, what carried its score. Out: a code and a sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsvc.domain.items import Item, text_in
from recsvc.domain.slates import Reason, Source
from recsvc.serving.candidates import Candidate
from recsvc.serving.customers import Subject
from recsvc.serving.live_catalogue import CatalogueView
from recsvc.serving.verification import Model

BECAUSE_YOU_READ = "because_you_read"
_MAX_BECAUSE = 3

_BY_SOURCE = {
    Source.PERSONALISED: "fits_your_history",
    Source.FOLDED_IN: "fits_your_history",
    Source.SEGMENT_POPULAR: "popular_with_people_like_you",
    Source.POPULAR: "popular",
    Source.EDITORIAL: "new",
}

TEXTS: dict[str, dict[str, str]] = {
    BECAUSE_YOU_READ: {"en": "Because you looked at “{title}”", "zh": "因为您看过“{title}”"},
    "fits_your_history": {"en": "Fits what you looked at", "zh": "符合您的浏览兴趣"},
    "popular_with_people_like_you": {"en": "Popular with people like you", "zh": "与您相似的客户都在看"},
    "popular": {"en": "Popular now", "zh": "当前热门"},
    "new": {"en": "New", "zh": "最新发布"},
}


def explain(
    chosen: Sequence[Candidate],
    subject: Subject,
    model: Model | None,
    view: CatalogueView,
    *,
    locale: str,
    in_detail: bool,
) -> list[Reason]:
    """A reason for each chosen item; with `in_detail` also the history items that carried its score."""
    because = _drivers(chosen, subject, model) if in_detail and model else {}
    return [_reason(candidate, because.get(candidate.item.item_id, ()), view, locale) for candidate in chosen]


def _drivers(chosen: Sequence[Candidate], subject: Subject, model: Model) -> dict[str, tuple[str, ...]]:
    """The history items with the greatest positive part in each personal score."""
    personal = [
        c for c in chosen if c.row is not None and c.source in (Source.PERSONALISED, Source.FOLDED_IN)
    ]
    if not personal:
        return {}
    rows = np.array([candidate.row for candidate in personal], dtype=np.int32)
    history = subject.past.history
    parts = model.scorer.contributions(history, rows)
    drivers: dict[str, tuple[str, ...]] = {}
    for candidate, part in zip(personal, parts, strict=True):
        greatest = [n for n in np.argsort(-part, kind="stable")[:_MAX_BECAUSE] if part[n] > 0]
        ids = model.bundle.items.ids_of([int(history.item_rows[n]) for n in greatest])
        drivers[candidate.item.item_id] = ids
    return drivers


def _reason(candidate: Candidate, because: tuple[str, ...], view: CatalogueView, locale: str) -> Reason:
    title = _title_of(view.items.get(because[0]), locale) if because else None
    code = BECAUSE_YOU_READ if title else _BY_SOURCE[candidate.source]
    texts = TEXTS[code]
    text = text_in(texts, locale) or texts["en"]
    return Reason(code, text.format(title=title), because)


def _title_of(item: Item | None, locale: str) -> str | None:
    return text_in(item.title, locale) if item else None
