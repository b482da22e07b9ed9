"""What makes offers too much alike for one list. In: an offer. Out: what no other on it may share."""

from __future__ import annotations

from recsvc.domain.items import Item
from recsvc.serving.reranking.likeness import names_of


def places_of(offer: Item) -> list[object]:
    """What no two offers of a list may share."""
    group = group_of(offer)
    return [*names_of(offer), *([("exclusive_group", group)] if group is not None else [])]


def group_of(offer: Item) -> str | None:
    """The exclusive group of the offer."""
    return offer.offer_terms.exclusive_group
