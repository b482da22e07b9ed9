"""The shapes of results and plans. In: what somebody wants to find out. Out: what an experiment says."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from recsvc.api.record_fields import Few, Number, Whole, short_text
from recsvc.api.schemas import AnswerSchema, QuerySchema
from recsvc.domain.experiments import MAX_VARIANTS, Analysis, Direction, ExperimentStatus
from recsvc.experimentation.reports import Method
from recsvc.experimentation.verdicts import GuardrailState, Verdict


def _said(description: str) -> dict[str, Any]:
    return {"description": description}


def _number(description: str, **options: Any) -> fields.Float:
    return fields.Float(required=True, metadata=_said(description), **options)


def _whole(description: str) -> fields.Integer:
    return fields.Integer(required=True, metadata=_said(description))


def _text(description: str, **options: Any) -> fields.String:
    return fields.String(required=True, metadata=_said(description), **options)


def _one_of(kind: Any, description: str, **options: Any) -> fields.Enum[Any]:
    return fields.Enum(kind, by_value=fields.String, required=True, metadata=_said(description), **options)


def _refusal() -> fields.String:
    return _text("Why there is no figure; null where there is one.", allow_none=True)


class ResultsQuery(QuerySchema):
    """How results are shown."""

    view = fields.String(
        load_default="json",
        validate=validate.OneOf(["json", "page"], error="must be json or page"),
        metadata={"description": "`page` is the same for people, as HTML.", "example": "json"},
    )


class BoundsSchema(AnswerSchema):
    """From low to high."""

    low = fields.Float(required=True)
    high = fields.Float(required=True)


class DifferenceSchema(AnswerSchema):
    """Treatment less control. The p-value is two-sided and that of this comparison alone."""

    estimate = fields.Float(required=True)
    standard_error = fields.Float(required=True)
    interval = fields.Nested(BoundsSchema, required=True)
    p_value = fields.Float(required=True)


class ArmFigureSchema(AnswerSchema):
    """A metric of one arm."""

    n_customers = _whole("Customers who count.")
    mean = _number("Their mean; of a ratio, the ratio.")


class ComparisonSchema(AnswerSchema):
    """One metric of one arm against control."""

    metric = _text("The metric's name.")
    better = _one_of(Direction, "Which way it is better; null of an unknown metric.", allow_none=True)
    control = fields.Nested(ArmFigureSchema, required=True, allow_none=True)
    treatment = fields.Nested(ArmFigureSchema, required=True, allow_none=True)
    difference = fields.Nested(
        DifferenceSchema, required=True, allow_none=True, metadata=_said("What is decided by.")
    )
    adjusted_p_value = _number("To hold against alpha: Holm over the arms.", allow_none=True)
    level = _number("Of the interval, as Holm leaves it.", allow_none=True)
    relative = fields.Nested(
        DifferenceSchema,
        required=True,
        allow_none=True,
        metadata=_said("The same as a share of control's mean: it describes and decides nothing."),
    )
    variance_reduction = _number(
        "The share of the variance that went by what customers did before (CUPED).", allow_none=True
    )
    refusal = _refusal()


class GuardrailFindingSchema(AnswerSchema):
    """A guardrail of one arm: one-sided non-inferiority."""

    variant = _text("The arm.")
    metric = _text("The metric's name.")
    better = _one_of(Direction, "Which way it is better.")
    margin = _number("By so much it may be worse.")
    state = _one_of(GuardrailState, "Whether it is shown to hold, shown to be broken, or neither.")
    control = fields.Nested(ArmFigureSchema, required=True, allow_none=True)
    treatment = fields.Nested(ArmFigureSchema, required=True, allow_none=True)
    difference = _number("Treatment less control.", allow_none=True)
    bound = _number("The worst that the difference may still be.", allow_none=True)
    refusal = _refusal()


class SliceSchema(AnswerSchema):
    """The primary metric in one group of customers."""

    name = _text("The segment or channel.")
    comparison = fields.Nested(ComparisonSchema, required=True)


class ArmReportSchema(AnswerSchema):
    """What is told of one arm."""

    variant = _text("The arm.")
    verdict = _one_of(Verdict, "What the data can carry.")
    sentence = _text("Why, in one sentence.")
    primary = fields.Nested(ComparisonSchema, required=True)
    secondary = fields.List(fields.Nested(ComparisonSchema), required=True)
    guardrails = fields.List(fields.Nested(GuardrailFindingSchema), required=True)
    exploratory_segments = fields.List(
        fields.Nested(SliceSchema),
        required=True,
        metadata=_said("By recorded attributes as they are now. To explore: never a verdict."),
    )
    exploratory_channels = fields.List(
        fields.Nested(SliceSchema),
        required=True,
        metadata=_said("By the channel of the exposure. To explore: never a verdict."),
    )


class ArmCountSchema(AnswerSchema):
    """Who is in a variant."""

    variant = _text("The variant.")
    weight = _whole("In percent, as registered.")
    n_customers = _whole("Customers who met it first.")
    share = _number("Of all customers, 0 to 1; null while there are none.", allow_none=True)
    n_crossed = _whole("Of these customers, those who met another variant later.")
    n_answers = _whole("Answers that they were given.")
    n_fallbacks = _whole("Of those, the ones from a rung below their own lists.")
    n_mismatched = _whole("Of those, the ones from another model version than the assigned one.")


class SampleRatioSchema(AnswerSchema):
    """Pearson's chi-squared of the arms' sizes; below p = 0.001 nothing is compared."""

    chi2 = fields.Float(required=True)
    p_value = fields.Float(required=True)


class ChecksSchema(AnswerSchema):
    """What must hold before anything is compared."""

    is_sound = fields.Boolean(required=True, metadata=_said("Whether nothing here forbids a verdict."))
    sample_ratio = fields.Nested(SampleRatioSchema, required=True, allow_none=True)
    n_customers = _whole("Customers who met a variant.")
    crossed_share = _number("Of them, the share who met two; above 1 % nothing is compared.")
    n_mismatched = _whole("Answers from a wrong model version; above 0.1 % of all, nothing is compared.")
    variants = fields.List(fields.Nested(ArmCountSchema), required=True)


class ExperimentReportSchema(AnswerSchema):
    """What the experiment's phase says now."""

    experiment = _text("Its key.")
    phase = _whole("The phase that is told of.")
    status = _one_of(ExperimentStatus, "Where it stands.")
    analysis = _one_of(Analysis, "What was registered: judged once, at its end, or at any time.")
    method = _one_of(Method, "What the intervals are made by.")
    alpha = _number("The chance of a false finding that was registered.")
    control = _text("The variant that all others are compared with: the first.")
    as_of = fields.AwareDateTime(required=True, metadata=_said("What was stored then is told of."))
    counted_until = fields.AwareDateTime(required=True, metadata=_said("Events before then count."))
    has_ended = fields.Boolean(required=True, metadata=_said("Whether only late events change it now."))
    checks = fields.Nested(ChecksSchema, required=True)
    arms = fields.List(fields.Nested(ArmReportSchema), required=True)
    refusal = _text("Why there is nothing to compare at all; else null.", allow_none=True)


class PlanWishSchema(AnswerSchema):
    """What somebody wants to find out. Of the two effects one is given."""

    primary_metric = short_text(
        256, required=True, metadata=_said("A metric of the policy, or an interaction type.")
    )
    minimum_effect = Number(1e-9, 1e9, metadata=_said("The effect worth finding, in the metric's unit."))
    relative_effect = Number(1e-6, 100, metadata=_said("The same as a share of the baseline: 0.05 is 5 %."))
    alpha = Number(1e-6, 0.5, metadata=_said("The chance of a false finding; 0.05 when absent."))
    power = Number(0.5, 0.999, metadata=_said("The chance to find the effect; 0.8 when absent."))
    weights = Few(
        Whole(1, 99),
        2,
        MAX_VARIANTS,
        metadata=_said("In percent, control's first; halves when absent."),
    )
    coverage = Number(0.0001, 1, metadata=_said("The share of customers who are in; all when absent."))
    lookback_days = Number(1, 365, metadata=_said("How far back the baseline is read; 28 when absent."))


class BaselineSchema(AnswerSchema):
    """What the store says of the metric without any experiment."""

    metric = _text("The metric's name.")
    better = _one_of(Direction, "Which way it is better.")
    mean = _number("Of all customers who came: a rate, a ratio or a mean.")
    deviation = _number("One customer's standard deviation.")
    n_customers = _whole("Customers who came.")
    counted_share = _number("Of them, the share with a value; below 1 for surveys.")
    customers_a_day = _number("Customers who came for the first time, on average.")
    since = fields.AwareDateTime(required=True)
    until = fields.AwareDateTime(required=True)


class PlanSchema(AnswerSchema):
    """How long a fixed test would have to run. A sequence that may be looked at any time takes longer."""

    customers_per_arm = fields.List(
        fields.Integer(), required=True, metadata=_said("In the order of the weights.")
    )
    customers_in_all = _whole("Together.")
    days = _whole("Until so many have come, and their windows have ended.")
    minimum_effect = _number("In the metric's unit.")
    relative_effect = _number("As a share of the baseline; null where that is not above 0.", allow_none=True)
    alpha = _number("As wished.")
    power = _number("As wished.")
    weights = fields.List(fields.Integer(), required=True)
    coverage = _number("As wished.")
    baseline = fields.Nested(BaselineSchema, required=True)
