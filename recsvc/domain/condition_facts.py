"""What rules on customers may ask. In: the policy; a customer. Out: the known fields; the facts.

attributes.<name>      what `[offers.attributes]` of the policy declares
profile.<name>         what the portrait says: lifecycle, frequency and so on
segment                every segment of the customer, the policy's and the built-in ones
suitability.<name>     the outcome of the assessment, while it holds
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import get_args

from recsvc.domain.conditions import Fact, FieldKind, FieldType
from recsvc.domain.customers import Customer, Suitability
from recsvc.domain.profiles import CustomerProfile
from recsvc.domain.segments import BUILT_IN_SEGMENTS
from recsvc.policy import JOURNEY_STAGES, LIFECYCLE_STAGES, Policy, ProfileField

SEGMENT = "segment"

_WORDS: Mapping[str, tuple[str, ...]] = {"lifecycle": LIFECYCLE_STAGES, "journey": JOURNEY_STAGES}
_TEXTS = ("top_category", "top_channel")
_SUITABILITY: Mapping[str, FieldKind] = {
    "client_type": FieldKind.TEXT,
    "max_risk_class": FieldKind.NUMBER,
    "knowledge": FieldKind.TEXT,
    "loss_capacity": FieldKind.TEXT,
    "objectives": FieldKind.TEXT,
    "horizon_years": FieldKind.NUMBER,
}


def known_fields(policy: Policy) -> Mapping[str, FieldType]:
    """Every field that a rule may name. A rule on any other is a mistake, and no silent no."""
    names = (*(rule.name for rule in policy.segments), *BUILT_IN_SEGMENTS)
    return {
        **{
            f"attributes.{name}": FieldType(FieldKind(kind))
            for name, kind in policy.offers.attributes.items()
        },
        **{f"profile.{name}": _type_of(name) for name in get_args(ProfileField)},
        SEGMENT: FieldType(FieldKind.TEXT, names),
        **{f"suitability.{name}": FieldType(kind) for name, kind in _SUITABILITY.items()},
    }


def facts_of(
    customer: Customer | None,
    profile: CustomerProfile | None,
    segments: tuple[str, ...],
    *,
    as_of: datetime,
) -> Mapping[str, Fact]:
    """What is known of the customer at the moment, by field; what is not known is left out."""
    attributes = customer.attributes if customer else {}
    facts: dict[str, Fact] = {f"attributes.{name}": value for name, value in attributes.items()}
    for name, value in (profile.fields() if profile else {}).items():
        if isinstance(value, str | int | float):
            facts[f"profile.{name}"] = value
    facts[SEGMENT] = segments
    facts |= _suitability_facts(customer.suitability if customer else None, as_of)
    return {name: value for name, value in facts.items() if value is not None and value != ()}


def _suitability_facts(found: Suitability | None, as_of: datetime) -> Mapping[str, Fact]:
    if found is None or found.limit_at(as_of) is None:
        return {}
    return {f"suitability.{name}": getattr(found, name) for name in _SUITABILITY}


def _type_of(name: str) -> FieldType:
    if name in _WORDS:
        return FieldType(FieldKind.TEXT, _WORDS[name])
    return FieldType(FieldKind.TEXT if name in _TEXTS else FieldKind.NUMBER)
