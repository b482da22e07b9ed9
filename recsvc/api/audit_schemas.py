"""The shapes of decisions and explanations. They check queries and document answers."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from recsvc.api.fields import WholeNumber
from recsvc.api.schemas import (
    AnswerSchema,
    DisclosureSchema,
    ListQuery,
    PrioritySchema,
    QuerySchema,
    placement_field,
)
from recsvc.domain.decisions import Gate
from recsvc.domain.items import Channel

MOST_DECISIONS = 100
_LAST = 2**53


def _said(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, **more}


class DecisionsQuery(QuerySchema):
    """Which of a customer's decisions."""

    limit = WholeNumber(
        minimum=1,
        maximum=MOST_DECISIONS,
        load_default=20,
        metadata=_said("How many decisions at most.", default=20, example=5),
    )
    before = WholeNumber(
        minimum=1,
        maximum=_LAST,
        load_default=lambda: None,
        metadata=_said("The `before` of the page that this one follows; the latest when absent.", example=71),
    )


class ExplanationQuery(ListQuery):
    """The list on which the offer would stand."""

    placement = placement_field()


def _gate(description: str, **options: Any) -> fields.Enum[Any]:
    return fields.Enum(Gate, by_value=fields.String, metadata=_said(description), **options)


def _compared() -> fields.Dict:
    said = _said("What was compared, by name: of the offer and of the customer.")
    return fields.Dict(keys=fields.String(), required=True, metadata=said)


class JudgedSchema(AnswerSchema):
    """An offer that was looked at, and the first gate that refused it."""

    offer_id = fields.String(required=True)
    version = fields.Integer(required=True)
    refused_by = _gate("null: every gate let it pass.", required=True, allow_none=True)
    compared = _compared()
    priority = fields.Nested(PrioritySchema, required=True, allow_none=True)


class ChosenSchema(AnswerSchema):
    """An offer that stood on the list."""

    offer_id = fields.String(required=True)
    version = fields.Integer(required=True)
    position = fields.Integer(required=True)
    priority = fields.Nested(PrioritySchema, required=True, allow_none=True)
    propensity = fields.Float(
        required=True, allow_none=True, metadata=_said("Exact chance of the place; null: unknown.")
    )
    explored = fields.Boolean(required=True)
    disclosures = fields.List(fields.Nested(DisclosureSchema), required=True)


class DecisionSchema(AnswerSchema):
    """One decision: by what it was made, what was judged, and what came of it."""

    decision_id = fields.String(required=True, metadata=_said("That of the slate."))
    decided_at = fields.AwareDateTime(required=True)
    channel = fields.Enum(Channel, by_value=fields.String, required=True)
    placement = fields.String(required=True)
    locale = fields.String(required=True)
    profile_version = fields.String(
        required=True, allow_none=True, metadata=_said("The ETag of the customer's record then.")
    )
    policy_version = fields.String(required=True)
    model_version = fields.String(required=True, allow_none=True)
    experiment = fields.String(required=True, allow_none=True)
    variant = fields.String(required=True, allow_none=True)
    seed = fields.Integer(required=True, allow_none=True, metadata=_said("What chance was drawn from."))
    judged = fields.List(fields.Nested(JudgedSchema), required=True)
    chosen = fields.List(fields.Nested(ChosenSchema), required=True)
    body_digest = fields.String(required=True, metadata=_said("SHA-256 of the answer."))
    grounds = fields.String(required=True, metadata=_said("Digest of the offers and the policy."))


class DecisionsSchema(AnswerSchema):
    """A customer's decisions, latest first."""

    customer_id = fields.String(required=True)
    decisions = fields.List(fields.Nested(DecisionSchema), required=True)
    before = fields.Integer(
        required=True, allow_none=True, metadata=_said("Leads to the next page; null on the last.")
    )


class FindingSchema(AnswerSchema):
    """What one gate found."""

    gate = _gate("The gate, by the reason it gives when it shuts.", required=True)
    passed = fields.Boolean(required=True)
    compared = _compared()
    remedy = fields.String(
        required=True, allow_none=True, metadata=_said("What would have to change; null where it passed.")
    )


class ExplanationSchema(AnswerSchema):
    """Why an offer is made to a customer now, or is not."""

    customer_id = fields.String(required=True)
    offer_id = fields.String(required=True)
    version = fields.Integer(required=True)
    as_of = fields.AwareDateTime(required=True)
    channel = fields.Enum(Channel, by_value=fields.String, required=True)
    placement = fields.String(required=True)
    position = fields.Integer(
        required=True, allow_none=True, metadata=_said("Its place on the list; null: not on it.")
    )
    refused_by = _gate("The first gate that shuts; null: none does.", required=True, allow_none=True)
    also_refused_by = fields.List(_gate("Another gate that shuts."), required=True)
    priority = fields.Nested(PrioritySchema, required=True, allow_none=True)
    findings = fields.List(
        fields.Nested(FindingSchema), required=True, metadata=_said("Of every gate, in their order.")
    )
    sentence = fields.String(required=True)


_PRIORITY = {"propensity": 0.05, "context": 1.1, "value": 120.0, "lever": 1.2}
DECISION_EXAMPLE = {
    "decision_id": "s_5e1f0c",
    "decided_at": "2026-11-22T10:20:00Z",
    "channel": "web",
    "placement": "home",
    "locale": "en",
    "profile_version": "9c1d",
    "policy_version": "4f1c09ab77de",
    "model_version": "20261122T101500Z-als-3f9a1c",
    "experiment": None,
    "variant": None,
    "seed": 81,
    "judged": [
        {"offer_id": "o3", "version": 1, "refused_by": None, "compared": {}, "priority": _PRIORITY},
        {
            "offer_id": "o7",
            "version": 2,
            "refused_by": "not_suitable",
            "compared": {"risk_class": 5, "max_risk_class": 3},
            "priority": None,
        },
    ],
    "chosen": [
        {
            "offer_id": "o3",
            "version": 1,
            "position": 1,
            "priority": _PRIORITY,
            "propensity": 1.0,
            "explored": False,
            "disclosures": [{"id": "deposit", "version": 1, "text": "Deposits are protected up to 100,000."}],
        }
    ],
    "body_digest": "6b86b273ff34fce19d6b804eff5a3f57",
    "grounds": "d4735e3a265e16eee03f59718b9b5d03",
}
EXPLANATION_EXAMPLE = {
    "customer_id": "c1",
    "offer_id": "o7",
    "version": 2,
    "as_of": "2026-11-22T10:20:00Z",
    "channel": "web",
    "placement": "home",
    "position": None,
    "refused_by": "not_suitable",
    "also_refused_by": [],
    "priority": None,
    "findings": [
        {
            "gate": "not_suitable",
            "passed": False,
            "compared": {"risk_class": 5, "max_risk_class": 3},
            "remedy": "Its risk class would have to be allowed.",
        }
    ],
    "sentence": "The offer is refused: not suitable. Its risk class would have to be allowed.",
}
