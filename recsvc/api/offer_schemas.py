"""The shapes of what makes an item an offer. They check and document bodies."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from recsvc.api.fields import WholeText
from recsvc.api.record_fields import Few, Money, Number, Texts, Whole, short_text, texts_by_locale
from recsvc.api.schemas import PLACEMENT, AnswerSchema
from recsvc.domain.event_limits import CURRENCY_PATTERN

_MOST_CAPS = 10
_A_YEAR_IN_HOURS = 24 * 366


def said(description: str, **more: Any) -> dict[str, Any]:
    """A field's description, as the documentation takes it."""
    return {"description": description, **more}


def placements(description: str) -> fields.List[Any]:
    """A list of placements."""
    rule = WholeText(PLACEMENT, error="must be 1 to 64 characters out of A-Z a-z 0-9 _ . : -")
    return Few(fields.String(validate=rule), 0, 100, metadata=said(description))


def _currency(description: str, **options: Any) -> fields.String:
    rule = WholeText(f"^{CURRENCY_PATTERN}$", error="must be three capital letters")
    return fields.String(validate=rule, metadata=said(description), **options)


def _words(description: str) -> Texts:
    return Texts(short_text(100), 0, 100, metadata=said(description))


class TextDisclosureSchema(AnswerSchema):
    """A text that must stand beside an offer, by locale, with its version."""

    id = short_text(100, required=True)
    version = Whole(1, 1_000_000, required=True)
    text = texts_by_locale(10_000, required=True, metadata=said("In each locale that the title is in."))


class TargetMarketSchema(AnswerSchema):
    """Whom an offer is made for, or not to. In a target market every list that is not empty must name the
    customer; in a negative one none may."""

    client_types = _words("For example retail, professional.")
    knowledge = _words("What customers know, in words of the house.")
    loss_capacity = _words("What losses they can bear, in words of the house.")
    risk_tolerance = Few(
        Whole(0, 7), 0, 8, metadata=said("The highest risk classes that customers may bear.")
    )
    objectives = _words("What they want, in words of the house.")
    min_horizon_years = Whole(
        0, 150, allow_none=True, metadata=said("How long the money must be able to stay.")
    )


class CapSchema(AnswerSchema):
    """At most so many contacts of one customer with the offer in any window of hours, over all channels."""

    most = Whole(1, 1_000_000, required=True)
    hours = Number(0, _A_YEAR_IN_HOURS, required=True, metadata=said("Above 0."))


class BudgetSchema(AnswerSchema):
    """How much may be spent on an offer; each contact costs the same."""

    total = Money(required=True, metadata=said("Decimal text."))
    unit_cost = Money(required=True, metadata=said("What one contact costs: decimal text, above 0."))
    daily = Money(allow_none=True, metadata=said("What a day (UTC) may cost; null: what pacing leaves."))
    currency = _currency("That of the terms, if it is given at all.", allow_none=True)


class SuppressionSchema(AnswerSchema):
    """For how long an offer stays away after a customer's no; null: what the policy says."""

    dismissed_days = Number(0, 3_660, allow_none=True, metadata=said("Above 0."))
    rejected_days = Number(0, 3_660, allow_none=True, metadata=said("Above 0."))


class TermsSchema(AnswerSchema):
    """What makes an item an offer."""

    value = Money(metadata=said("What it is worth when accepted, as decimal text."))
    currency = _currency("Of its value and budget.")
    priority = Whole(-1_000_000, 1_000_000)
    weight = Number(0, 1_000_000, metadata=said("The lever that marketers pull: 1 is neutral."))
    risk_class = Whole(0, 7, metadata=said("0 is none, 7 the highest (PRIIPs)."))
    jurisdictions = Few(short_text(35), 0, 300)
    exclusive_group = short_text(100, allow_none=True, metadata=said("One offer of a group on a list."))
    disclosures = Few(fields.Nested(TextDisclosureSchema), 0, 50)
    version = Whole(1, 2**31, metadata=said("Counted by the service; not read when sent."))
    placements = placements("Where it may be shown; empty: everywhere.")
    target_market = fields.Nested(TargetMarketSchema, allow_none=True, metadata=said("Whom it is for."))
    negative_target_market = fields.Nested(
        TargetMarketSchema, allow_none=True, metadata=said("Whom it is not for.")
    )
    eligibility = fields.Dict(
        allow_none=True,
        metadata=said(
            "A rule on customers: {all: [rules]}, {any: [rules]}, {not: rule}, or {field, op, value} with op "
            "equals, not_equals, in, not_in, at_least, above, at_most, below or between. What is not known "
            "of a customer fulfils no comparison, nor its opposite.",
            example={"field": "attributes.age", "op": "between", "value": [18, 65]},
        ),
    )
    caps = Few(fields.Nested(CapSchema), 0, _MOST_CAPS)
    suppression = fields.Nested(SuppressionSchema, allow_none=True)
    budget = fields.Nested(BudgetSchema, allow_none=True)
    inventory = Whole(
        0, 2**53, allow_none=True, metadata=said("How many contacts there may be in all; null: no limit.")
    )
    decline_label = texts_by_locale(
        100, allow_none=True, metadata=said("What the button for a no says, by locale.")
    )
