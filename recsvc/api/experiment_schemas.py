"""The shapes of experiments and of identities. They check and document bodies."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from recsvc.api.fields import WholeText
from recsvc.api.record_fields import Moment, Number, Whole, YesOrNo, short_text
from recsvc.api.schemas import AnswerSchema, QuerySchema
from recsvc.domain.experiments import (
    LEAST_ALPHA,
    MAX_VARIANTS,
    MOST_ALPHA,
    N_LAYER_BUCKETS,
    Analysis,
    Direction,
    ExperimentStatus,
)
from recsvc.domain.identifiers import ID_PATTERN, ID_RULE

MAX_METRICS = 20
MAX_LEVERS = 20
_ANSWERED_ONLY = "Answered only; not read when sent."


def _said(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, **more}


def _id(description: str, **options: Any) -> fields.String:
    more = {"example": options.pop("example")} if "example" in options else {}
    pattern = WholeText(f"^{ID_PATTERN}$", error=f"must be {ID_RULE}")
    return fields.String(validate=pattern, metadata=_said(description, **more), **options)


def _one_of(choices: Any, description: str) -> fields.Enum[Any]:
    wrong: dict[str, Any] = {"unknown": "must be one of {choices}"}
    return fields.Enum(choices, by_value=fields.String, error_messages=wrong, metadata=_said(description))


def _answered(description: str) -> dict[str, Any]:
    return {"allow_none": True, "metadata": _said(f"{description} {_ANSWERED_ONLY}")}


class ExperimentVariantSchema(AnswerSchema):
    """One of the arms. The first one is control."""

    key = _id("The name of the arm.", required=True)
    model_version = short_text(
        200, required=True, metadata=_said("A version that is in the registry and passes its checks.")
    )
    weight = Whole(0, 100, required=True, metadata=_said("Percent; those of all variants sum to 100."))
    policy = fields.Dict(
        keys=fields.String(),
        values=Number(-1e9, 1e9),
        validate=validate.Length(max=MAX_LEVERS),
        metadata=_said("Fields of [lists] of the policy that are otherwise for this arm."),
    )


class GuardrailMetricSchema(AnswerSchema):
    """A metric that may not get worse by more than a margin."""

    metric = short_text(100, required=True)
    margin = Number(0, 1e9, required=True, metadata=_said("Above 0, in the metric's own unit."))
    direction = _one_of(Direction, "Which way is better; the metric's own by default.")


class ExperimentSchema(AnswerSchema):
    """Who may be in, what each variant gets, and what decides."""

    key = _id("Its key; in a PUT the one in the path, if it is given at all.")
    variants = fields.List(
        fields.Nested(ExperimentVariantSchema),
        required=True,
        validate=validate.Length(1, MAX_VARIANTS, error=f"must be 1 to {MAX_VARIANTS} variants"),
    )
    coverage = Number(0, 1, metadata=_said("The share of customers who are in; it may rise while it runs."))
    layer = _id("Experiments of one layer exclude one another.", allow_none=True)
    layer_range = fields.List(
        Whole(0, N_LAYER_BUCKETS),
        validate=validate.Length(equal=2, error="must be two whole numbers"),
        metadata=_said("Its buckets of the layer, from the first on, before the second, of 10,000."),
    )
    status = _one_of(ExperimentStatus, "draft, running, paused or stopped.")
    start = Moment(allow_none=True, metadata=_said("Customers are dealt to variants from then on."))
    end = Moment(allow_none=True, metadata=_said("And until then. A fixed analysis needs it."))
    hypothesis = short_text(2_000, allow_none=True)
    primary_metric = short_text(100, metadata=_said("A metric of the policy, or an interaction type."))
    secondary = fields.List(short_text(100), validate=validate.Length(max=MAX_METRICS))
    guardrails = fields.List(fields.Nested(GuardrailMetricSchema), validate=validate.Length(max=MAX_METRICS))
    alpha = Number(LEAST_ALPHA, MOST_ALPHA, metadata=_said("The chance of a false alarm."))
    power = Number(0, 1, metadata=_said("The chance to see the minimum effect, above 0 and below 1."))
    minimum_effect = Number(0, 1e9, metadata=_said("The least difference worth acting on; 0: any."))
    analysis = _one_of(Analysis, "fixed: judged once, at its end; sequential: at any time.")
    salt = fields.String(**_answered("What customers are dealt to variants by."))
    layer_salt = fields.String(**_answered("What customers are dealt to the layer's experiments by."))
    phase = Whole(0, 2**31, **_answered("How often it was begun."))
    begun_at = Moment(
        **_answered("When its phase began. Where a customer falls in two, the earlier decides.")
    )
    paused_at = Moment(**_answered("Since when it is paused. Nothing counts from then on."))
    stopped_at = Moment(**_answered("When its phase ended: when it was stopped, or paused before."))
    paused_because = fields.String(**_answered("Why the service paused it."))
    updated_at = Moment(**_answered("When it was written."))
    is_on = YesOrNo(**_answered("Whether customers are dealt to its variants at this moment."))


class AnsweredVariantSchema(ExperimentVariantSchema):
    """An arm as it is kept. Only the hold-out's arms have no model version: they get the champion."""

    model_version = short_text(200, required=True, allow_none=True)


class AnsweredExperimentSchema(ExperimentSchema):
    """An experiment as it is kept."""

    variants = fields.List(fields.Nested(AnsweredVariantSchema), required=True)


class ExperimentsSchema(AnswerSchema):
    """Every experiment by key, the hold-out first where the policy has one."""

    experiments = fields.List(fields.Nested(AnsweredExperimentSchema), required=True)


class AssignmentQuery(QuerySchema):
    """Whose assignment is asked for."""

    customer_id = _id("The customer, or an id that belongs to them.", required=True, example="c1")


class AssignmentSchema(AnswerSchema):
    """Where a customer falls: a pure function of the experiment as it is kept."""

    variant = fields.String(
        required=True,
        allow_none=True,
        metadata=_said("Null outside the coverage, outside the range in the layer, and when held out."),
    )
    bucket = fields.Integer(
        required=True, allow_none=True, metadata=_said("Of 10,000; null outside the range in the layer.")
    )
    layer_bucket = fields.Integer(
        required=True, allow_none=True, metadata=_said("Of 10,000; null without a layer.")
    )
    unit = fields.String(required=True, metadata=_said("The id by which the customer is dealt."))
    is_on = YesOrNo(required=True, metadata=_said("Whether the experiment is served now."))
    held_out = YesOrNo(required=True, metadata=_said("Whether the customer is in no experiment at all."))


class IdentitySchema(AnswerSchema):
    """An id that belongs to a customer."""

    identity_id = fields.String(required=True)
    customer_id = fields.String(required=True, metadata=_said("The customer at the end of the chain."))
    unit = fields.String(required=True, metadata=_said("The id by which they are dealt to variants."))
    linked_at = fields.AwareDateTime(required=True)


class IdentitiesSchema(AnswerSchema):
    """The ids that belong to a customer."""

    customer_id = fields.String(required=True)
    identities = fields.List(fields.Nested(IdentitySchema), required=True)
