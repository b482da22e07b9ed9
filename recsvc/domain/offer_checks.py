"""What an offer must keep to when it is saved. In: an offer, the known fields. Out: each place that does not.

Offers that are stored already are not held to it: what they lack keeps them off lists, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from recsvc.domain.condition_reading import ConditionError, parse_condition
from recsvc.domain.conditions import FieldType
from recsvc.domain.items import Item
from recsvc.errors import FieldError


def offer_faults(item: Item, fields: Mapping[str, FieldType]) -> tuple[FieldError, ...]:
    """What is wrong with the terms of the item, by JSON pointer from it. `fields` are what rules may ask."""
    if item.terms is None:
        return ()
    return (*_untold(item), *_rule_faults(item.terms.eligibility, fields))


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
