"""The shapes of models: the shelf, one version with the promotion gate's report, the aliases."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from recsvc.api.schemas import AnswerSchema
from recsvc.bundles.gate_report import Decision


def _said(description: str) -> dict[str, Any]:
    return {"description": description}


def _text(description: str, **options: Any) -> fields.String:
    return fields.String(required=True, metadata=_said(description), **options)


def _number(description: str, **options: Any) -> fields.Float:
    return fields.Float(required=True, metadata=_said(description), **options)


def _list_of(schema: type[AnswerSchema], description: str) -> fields.List[Any]:
    return fields.List(fields.Nested(schema), required=True, metadata=_said(description))


def _names(description: str) -> fields.List[Any]:
    return fields.List(fields.String(), required=True, metadata=_said(description))


def _moment(description: str, **options: Any) -> fields.AwareDateTime:
    return fields.AwareDateTime(format="iso", required=True, metadata=_said(description), **options)


def _decision() -> fields.Enum[Any]:
    said = _said("promote, or hold; null of a version that was never judged.")
    return fields.Enum(Decision, by_value=fields.String, required=True, allow_none=True, metadata=said)


def _verdict() -> fields.Boolean:
    said = _said("Whether it holds; null where there was too little to judge by.")
    return fields.Boolean(required=True, allow_none=True, metadata=said)


class MeasuredSchema(AnswerSchema):
    """A mean over customers with its 95 % interval."""

    value = _number("The mean.")
    low = _number("Of the interval.")
    high = _number("Of the interval.")


class AliasesSchema(AnswerSchema):
    """Where the aliases point now."""

    champion = _text("The version that serves.", allow_none=True)
    challenger = _text("The newest version that was held or not promoted.", allow_none=True)
    former_champions = _names("What a roll-back returns to, newest first.")


class ShelvedModelSchema(AnswerSchema):
    """One version."""

    version = _text("Its version.")
    alias = _text("champion, challenger, or null.", allow_none=True)
    family = _text("The model family, or blend.", allow_none=True)
    name = _text("What its training was called.", allow_none=True)
    created_at = _moment("When its training began.", allow_none=True)
    metrics = fields.Dict(
        keys=fields.String(),
        values=fields.Nested(MeasuredSchema),
        required=True,
        metadata=_said("By metric, on the hold-out of its own training."),
    )
    decision = _decision()
    problem = _text("Why it cannot be read; null of a sound one.", allow_none=True)


class ModelShelfSchema(AnswerSchema):
    """The shelf."""

    champion = _text("The version that serves.", allow_none=True)
    challenger = _text("The newest version that was held or not promoted.", allow_none=True)
    models = _list_of(ShelvedModelSchema, "Newest first.")


class GateReasonSchema(AnswerSchema):
    """Why the gate decided so."""

    code = _text("The reason's name, for programs.")
    text = _text("One sentence with the figures that were compared.")


class ComparedSchema(AnswerSchema):
    """A figure of the same customers under both models."""

    candidate = _number("The candidate's.")
    champion = _number("The champion's.")
    change = _number("What is gained, as a share of the champion's.", allow_none=True)
    low = _number("Lower bound of the change, one-sided 95 %.", allow_none=True)
    high = _number("Upper bound of the change, one-sided 95 %.", allow_none=True)


class GuardrailSchema(AnswerSchema):
    """One guardrail."""

    name = _text("Its name, which is the reason's code when it breaks.")
    candidate = _number("The candidate's figure.", allow_none=True)
    champion = _number("The champion's figure.", allow_none=True)
    limit = _number("What the candidate's figure must reach.", allow_none=True)
    holds = _verdict()
    note = _text("What is measured.")


class SegmentOutcomeSchema(AnswerSchema):
    """The primary metric within a segment."""

    segment = _text("Its name in the policy.")
    n_customers = fields.Integer(required=True, metadata=_said("How many of it were judged."))
    compared = fields.Nested(ComparedSchema, required=True, allow_none=True)
    holds = _verdict()


class PersonaOutcomeSchema(AnswerSchema):
    """A made-up customer."""

    name = _text("Its name.")
    history = _names("The items that it took.")
    expect_categories = _names("The categories that it is to find.")
    candidate = _number("Their share of the candidate's first ten items.", allow_none=True)
    champion = _number("Their share of the champion's first ten items.", allow_none=True)
    wanted = _number("The least share that passes.", allow_none=True)
    holds = _verdict()


class GateReportSchema(AnswerSchema):
    """What the promotion gate found."""

    version = _text("The version that was judged.")
    champion = _text("What it was judged against.", allow_none=True)
    decision = _decision()
    reasons = _list_of(GateReasonSchema, "Why.")
    basis = _text("What stood for the champion.")
    holdout = _text("What both were judged on.")
    n_customers = fields.Integer(required=True, metadata=_said("How many customers were judged."))
    metric = _text("The primary metric.")
    primary = fields.Nested(ComparedSchema, required=True, allow_none=True)
    guardrails = _list_of(GuardrailSchema, "Every guardrail over the lists as a whole.")
    segments = _list_of(SegmentOutcomeSchema, "The segments of the policy.")
    personas = _list_of(PersonaOutcomeSchema, "Golden personas.")


class WindowSchema(AnswerSchema):
    """The times of the first and the last interaction."""

    since = _moment("Of the first.", allow_none=True)
    until = _moment("Of the last.", allow_none=True)


class RowsSchema(AnswerSchema):
    """How much went into it."""

    customers = fields.Integer(required=True)
    items = fields.Integer(required=True)
    interactions = fields.Integer(required=True)
    pairs = fields.Integer(required=True)


class PartSchema(AnswerSchema):
    """One of the families that it is made of."""

    family = _text("Its name.")
    weight = _number("Its weight in the sum.")
    parameters = fields.Dict(required=True, metadata=_said("What it was fitted with."))


class ModelSchema(AnswerSchema):
    """What there is to know of a version."""

    version = _text("Its version.")
    alias = _text("champion, challenger, or null.", allow_none=True)
    family = _text("The model family, or blend.")
    name = _text("What its training was called.")
    created_at = _moment("When its training began.")
    seed = fields.Integer(required=True)
    data_window = fields.Nested(WindowSchema, required=True)
    rows = fields.Nested(RowsSchema, required=True)
    parts = _list_of(PartSchema, "What it is made of.")
    policy_version = _text("The policy that it was trained under.")
    holdout = _text("What its training judged families on.")
    metrics = fields.Dict(required=True, metadata=_said("By model that was tried, then by metric."))
    gate = fields.Nested(GateReportSchema, required=True, allow_none=True)


class ReachSchema(AnswerSchema):
    """How many of the customers who were asked get it on their first ten."""

    name = _text("An offer's id, or a category.")
    title = _text("The offer's, in the default locale.", allow_none=True)
    candidate = fields.Integer(required=True, metadata=_said("With the version."))
    champion = fields.Integer(required=True, metadata=_said("With the champion."))


class ShownItemSchema(AnswerSchema):
    """An item of a list."""

    item_id = _text("Its id.")
    title = _text("In the default locale.", allow_none=True)
    category = _text("Its category.", allow_none=True)


class PersonaListsSchema(AnswerSchema):
    """A made-up customer's first ten, before and after."""

    name = _text("Its name.")
    history = _list_of(ShownItemSchema, "What it took.")
    candidate = _list_of(ShownItemSchema, "Its list with the version.")
    champion = _list_of(ShownItemSchema, "Its list with the champion.")


class PreviewSchema(AnswerSchema):
    """What a version would change."""

    version = _text("The version.")
    champion = _text("The version that serves.", allow_none=True)
    catalogue_revision = fields.Integer(required=True, metadata=_said("The catalogue that it was made of."))
    n_customers = fields.Integer(required=True, metadata=_said("How many customers were asked."))
    overlap = _number("The mean share of the champion's first ten that stay.", allow_none=True)
    n_changed = fields.Integer(
        required=True, allow_none=True, metadata=_said("Whose first ten are not the same items.")
    )
    offers = _list_of(ReachSchema, "Reach by offer, what changes most first.")
    categories = _list_of(ReachSchema, "Reach by category, what changes most first.")
    segments = _list_of(SegmentOutcomeSchema, "From the gate's report, the winners first.")
    personas = _list_of(PersonaListsSchema, "Golden personas before and after.")
