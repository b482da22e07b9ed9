"""What an offer must keep to when it is saved. In: an offer, the known fields. Out: each place that does not.

Offers that are stored already are not held to it: what they lack keeps them off lists, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from recsvc.domain.condition_reading import ConditionError, parse_condition
from recsvc.domain.conditions import FieldType
from recsvc.domain.items import Item
from recsvc.domain.offer_terms import OfferTerms
from recsvc.errors import FieldError


def offer_faults(item: Item, fields: Mapping[str, FieldType]) -> tuple[FieldError, ...]:
    """What is wrong with the terms of the item, by JSON pointer from it. `fields` are what rules may ask."""
    if item.terms is None:
        return ()
    terms = item.terms
    return (*_worthless(terms), *_told_twice(terms), *_untold(item), *_rule_faults(terms.eligibility, fields))


def _worthless(terms: OfferTerms) -> list[FieldError]:
    return [] if terms.value >= 0 else [FieldError("/terms/value", "must be 0 or more")]


def _told_twice(terms: OfferTerms) -> list[FieldError]:
    """An id stands for one text, so that what was shown can be told by it."""
    first: dict[str, int] = {}
    return [
        FieldError(f"/terms/disclosures/{number}/id", f"stands at /terms/disclosures/{first[one.id]} already")
        for number, one in enumerate(terms.disclosures)
        if first.setdefault(one.id, number) != number
    ]


def _untold(item: Item) -> list[FieldError]:
    """Every disclosure must be in each locale that the title is in."""
    told = [{tag.lower() for tag in one.text} for one in item.offer_terms.disclosures]
    return [
        FieldError(
            f"/terms/disclosures/{number}/text/{locale}",
            f"is missing: the title is in {locale}, so each disclosure must be",
        )
        for number, locales in enumerate(told)
        for locale in item.title
        if locale.lower() not in locales
    ]


def _rule_faults(rule: object, fields: Mapping[str, FieldType]) -> list[FieldError]:
    if rule is None:
        return []
    try:
        parse_condition(rule, fields)
    except ConditionError as error:
        return [FieldError(f"/terms/eligibility{fault.pointer}", fault.detail) for fault in error.faults]
    return []
