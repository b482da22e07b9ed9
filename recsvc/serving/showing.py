"""An item as it stands on a slate. In: a candidate, its position, a locale. Out: a slate item."""

from __future__ import annotations

from recsvc.domain.items import Item, ItemKind, text_in
from recsvc.domain.slates import OfferItem, Reason, ShownDisclosure, SlateItem
from recsvc.serving.candidate import Candidate


def show_item(candidate: Candidate, position: int, reason: Reason | None, locale: str) -> SlateItem:
    """The item as it stands on a slate, in the locale."""
    item = candidate.item
    shown = SlateItem(
        item_id=item.item_id,
        position=position,
        score=round(candidate.score, 6),
        title=text_in(item.title, locale),
        category=item.category,
        url=item.url,
        reason=reason,
        propensity=1.0,  # The list is a pure function of its inputs: no other could have been shown.
        rules=candidate.rules,
    )
    if item.kind is ItemKind.CONTENT:
        return shown
    return OfferItem(
        **{name: getattr(shown, name) for name in SlateItem.__struct_fields__},
        disclosures=_disclosures(item, locale),
        valid_to=item.valid_to,
    )


def _disclosures(item: Item, locale: str) -> tuple[ShownDisclosure, ...]:
    return tuple(
        ShownDisclosure(disclosure.id, disclosure.version, text)
        for disclosure in item.offer_terms.disclosures
        if (text := text_in(disclosure.text, locale)) is not None
    )
