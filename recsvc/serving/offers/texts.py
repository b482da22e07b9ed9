"""What must be said beside an offer. In: an offer, a locale. Out: its disclosures, or that one is missing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recsvc.domain.items import Item, text_in
from recsvc.domain.slates import ShownDisclosure
from recsvc.policy_offers import OffersPolicy
from recsvc.serving.offers.table import OfferTable, Told

MAX_LOCALES = 64
"""Of so many locales a table remembers its texts."""


def told_in(locale: str, table: OfferTable, policy: OffersPolicy) -> Told:
    """What the offers of the table say in the locale: kept with the table, once it was asked for."""
    key = (locale, policy.disclosure_fallback)
    told = table.told.get(key)
    if told is None:
        if len(table.told) >= MAX_LOCALES:
            table.told.clear()
        texts = tuple(_disclosures_of(one, locale, policy) for one in table.items)
        is_told = [all(one.text for one in of_offer) for of_offer in texts]
        told = table.told[key] = Told(np.array(is_told, dtype=np.bool_), texts)
    return told


def _disclosures_of(offer: Item, locale: str, policy: OffersPolicy) -> tuple[ShownDisclosure, ...]:
    """The disclosures of an offer; a text that may not stand on a list of the locale is empty."""
    return tuple(
        ShownDisclosure(one.id, one.version, _text(one.text, locale, policy) or "")
        for one in offer.offer_terms.disclosures
    )


def _text(texts: Mapping[str, str], locale: str, policy: OffersPolicy) -> str | None:
    """The text in the locale or a wider one of the same language; in another where the policy allows it."""
    said = {tag: text for tag, text in texts.items() if text.strip()}
    if not policy.disclosure_fallback:
        said = {tag: text for tag, text in said.items() if _is_of(locale, tag)}
    return text_in(said, locale)


def _is_of(locale: str, tag: str) -> bool:
    """Whether the tag is the locale's own or a wider one: zh-HK is of zh and not of zh-TW."""
    return f"{locale.lower()}-".startswith(f"{tag.lower()}-")
