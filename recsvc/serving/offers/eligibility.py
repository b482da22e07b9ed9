"""The rule of an offer on customers. In: an offer's rule, a customer. Out: whether the customer fulfils it.

A rule that cannot be read any more, because a field of it is not declared now, is fulfilled by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping

from recsvc.domain.condition_reading import ConditionError, parse_condition
from recsvc.domain.conditions import Condition, Fact, FieldType
from recsvc.domain.decisions import Compared
from recsvc.domain.items import Item


def rule_of(offer: Item, fields: Mapping[str, FieldType]) -> Condition | None:
    """The eligibility rule of the offer; None where it cannot be read."""
    try:
        return parse_condition(offer.offer_terms.eligibility, fields)
    except ConditionError:
        return None


def what_was_asked(rule: Condition | None, known: Mapping[str, Fact]) -> Mapping[str, Compared]:
    """The fields of the rule as they are known, and what would have to be."""
    if rule is None:
        return {"rule": "cannot be read"}
    found = {name: _plain(known.get(name)) for name in sorted(rule.fields())}
    return {**found, "needs": rule.remedy(known)}


def _plain(fact: Fact) -> Compared:
    return ", ".join(fact) if isinstance(fact, tuple) else fact
