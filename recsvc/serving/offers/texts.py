"""What must be said beside an offer. In: an offer, a locale. Out: its disclosures, or that one is missing."""

from __future__ import annotations

from collections.abc import Mapping

from recsvc.domain.items import Item, text_in
from recsvc.domain.slates import ShownDisclosure
from recsvc.policy_offers import OffersPolicy


def are_told(offer: Item, locale: str, policy: OffersPolicy) -> bool:
    """Whether every disclosure of the offer has a text that may stand on a list of the locale."""
    return all(_text(one.text, locale, policy) for one in offer.offer_terms.disclosures)


def disclosures_of(offer: Item, locale: str, policy: OffersPolicy) -> tuple[ShownDisclosure, ...]:
    """The disclosures of an offer that `are_told`."""
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
