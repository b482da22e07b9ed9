"""The shapes on the wire. In: queries as they are asked. Out: bodies as they are answered.

Schemas describe shape only; whether an item exists is the engine's business. Slates and lists reach the
API as values or as ready bytes, so the answer schemas document and check, and do not render.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from recsvc.api.fields import Identifiers, PlainDecimal, Repeatable, TrueOrFalse, WholeNumber, WholeText
from recsvc.domain.items import Channel, ItemKind
from recsvc.domain.merchandising import RuleAction
from recsvc.domain.slates import Source

_CATEGORY = r"^[^\x00-\x1f\x7f]{1,100}$"
_LOCALE = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"
PLACEMENT = r"^[A-Za-z0-9_.:-]{1,64}$"


def _said(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, **more}


def _choice(choices: type[StrEnum], default: StrEnum, description: str) -> fields.Enum[Any]:
    return fields.Enum(
        choices,
        by_value=fields.String,
        load_default=default,
        error_messages={"unknown": "must be one of {choices}"},
        metadata=_said(description, default=default.value),
    )


class QuerySchema(Schema):
    """A query without parameters. What is not a field is refused."""

    class Meta:
        unknown = RAISE


class ShownSchema(QuerySchema):
    """Where and in which language a list is shown, alike in a query and in a body."""

    channel = _choice(Channel, Channel.WEB, "Where the list is shown. Items closed to it are left out.")
    locale = fields.String(
        load_default=lambda: None,  # As a plain None it would allow the text to be null.
        validate=[
            validate.Length(max=35, error="must be at most 35 characters"),
            WholeText(_LOCALE, error="must be a language tag such as en or zh-CN"),
        ],
        metadata=_said("Language tag of titles and reasons; the customer's own when absent.", example="en"),
    )


class ListQuery(ShownSchema):
    """What every list can be asked."""

    limit = WholeNumber(
        minimum=1,
        maximum=100,
        load_default=10,
        metadata=_said("How many items at most.", default=10, example=5),
    )


def category_field() -> fields.String:
    """The name of a category."""
    rule = WholeText(_CATEGORY, error="must be 1 to 100 characters, none a control")
    return fields.String(validate=rule)


def placement_field() -> fields.String:
    """Where on the page a list is shown."""
    return fields.String(
        load_default="default",
        validate=WholeText(PLACEMENT, error="must be 1 to 64 characters out of A-Z a-z 0-9 _ . : -"),
        metadata=_said("The place on the page; events name it later.", default="default", example="home"),
    )


class _CategoryQuery(QuerySchema):
    category = Repeatable(
        category_field(),
        attribute="categories",
        load_default=(),
        validate=validate.Length(max=20, error="may be given at most 20 times"),
        metadata=_said("Only items of this category. Repeat it for several.", example=["saving"]),
    )


class TrendingQuery(_CategoryQuery, ListQuery):
    """What the trending list can be asked."""

    kind = _choice(ItemKind, ItemKind.CONTENT, "Content or offers.")


class SlateQuery(_CategoryQuery, ListQuery):
    """What a customer's list can be asked."""

    placement = placement_field()
    excluded_ids = Identifiers(
        data_key="exclude",
        attribute="exclude",
        max_count=200,
        load_default=(),
        metadata=_said("Ids that are on the page already, with commas between them.", example=["a2", "a9"]),
    )
    diversity = PlainDecimal(
        minimum=0,
        maximum=1,
        load_default=0.0,
        metadata=_said("0 is the best guesses, 1 the widest spread.", default=0, example=0.3),
    )
    explain = TrueOrFalse(
        load_default=False,
        metadata=_said("Whether reasons name the history items behind them.", default=False, example=True),
    )


class AnswerSchema(Schema):
    """A body that we answer. A field that is not listed here would be a mistake of ours."""

    class Meta:
        unknown = RAISE


class ReasonSchema(AnswerSchema):
    """Why an item is on the list."""

    code = fields.String(required=True, metadata=_said("The reason's name, for programs."))
    text = fields.String(required=True, metadata=_said("The reason in the list's locale, for people."))
    because = fields.List(
        fields.String(), required=True, metadata=_said("Ids of the history items that carried the score.")
    )


class AppliedRuleSchema(AnswerSchema):
    """A merchandising rule that moved the item to where it stands."""

    rule_id = fields.String(required=True)
    action = fields.Enum(RuleAction, by_value=fields.String, required=True)


class PrioritySchema(AnswerSchema):
    """What an offer's place was computed from: the product of the four."""

    propensity = fields.Float(required=True)
    context = fields.Float(required=True)
    value = fields.Float(required=True)
    lever = fields.Float(required=True)


class DisclosureSchema(AnswerSchema):
    """A text that must stand beside the offer."""

    id = fields.String(required=True)
    version = fields.Integer(required=True)
    text = fields.String(required=True)


class ListedItemSchema(AnswerSchema):
    """One item at its position. The last three fields are there for offers only."""

    item_id = fields.String(required=True)
    position = fields.Integer(required=True, metadata=_said("1 is the first."))
    score = fields.Float(required=True, metadata=_said("Comparable within this list only."))
    title = fields.String(required=True, allow_none=True)
    category = fields.String(required=True, allow_none=True)
    url = fields.String(required=True, allow_none=True)
    reason = fields.Nested(ReasonSchema, required=True, allow_none=True)
    propensity = fields.Float(
        required=True,
        allow_none=True,
        metadata=_said("Probability that this item was put at this position; null where it is not known."),
    )
    explored = fields.Boolean(required=True, metadata=_said("Whether it is here to learn from."))
    rules = fields.List(
        fields.Nested(AppliedRuleSchema),
        required=True,
        metadata=_said("Rules of the marketers that moved the item; empty where its score alone did."),
    )
    priority = fields.Nested(PrioritySchema, allow_none=True)
    disclosures = fields.List(fields.Nested(DisclosureSchema))
    valid_to = fields.AwareDateTime(allow_none=True, metadata=_said("When the offer ends."))


class ItemListSchema(AnswerSchema):
    """A list that belongs to nobody."""

    items = fields.List(fields.Nested(ListedItemSchema), required=True)
    source = fields.Enum(
        Source, by_value=fields.String, required=True, metadata=_said("The rung of the ladder that answered.")
    )
    model_version = fields.String(required=True, allow_none=True)
    generated_at = fields.AwareDateTime(required=True)


class SlateSchema(ItemListSchema):
    """A customer's list."""

    slate_id = fields.String(required=True, metadata=_said("Send it back with events about this list."))
    customer_id = fields.String(required=True)
    kind = fields.Enum(ItemKind, by_value=fields.String, required=True)
    channel = fields.Enum(Channel, by_value=fields.String, required=True)
    placement = fields.String(required=True)
    locale = fields.String(required=True)
    policy_version = fields.String(required=True)
    experiment = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        allow_none=True,
        metadata=_said("Key and variant of the experiment that the customer is in, else null."),
    )
    expires_at = fields.AwareDateTime(required=True)
    degraded = fields.List(
        fields.String(), required=True, metadata=_said("Parts that could not be asked for this list.")
    )


class LivenessSchema(AnswerSchema):
    """This process runs."""

    status = fields.Constant("ok", required=True)


class RefusedModelSchema(AnswerSchema):
    """A model that failed its checks."""

    version = fields.String(required=True)
    reason = fields.String(required=True)


class ServedModelSchema(AnswerSchema):
    """The model that answers now, and those that may not."""

    version = fields.String(required=True, allow_none=True)
    refused = fields.List(fields.Nested(RefusedModelSchema), required=True)


class LiveSchema(AnswerSchema):
    """How far this process has followed the events that were stored."""

    sequence = fields.Integer(required=True, metadata=_said("The number of the last event that it knows."))
    behind = fields.Integer(
        required=True,
        allow_none=True,
        metadata=_said("How many were seen to come after it; null while the store is down."),
    )


class ReadinessSchema(AnswerSchema):
    """This process can answer."""

    ready = fields.Boolean(required=True)
    degraded = fields.Boolean(required=True, metadata=_said("Whether it has to do without something."))
    reasons = fields.List(fields.String(), required=True, metadata=_said("What it has to do without."))
    model = fields.Nested(ServedModelSchema, required=True)
    redis = fields.String(required=True, validate=validate.OneOf(["up", "down"]))
    store = fields.String(required=True, validate=validate.OneOf(["up", "down"]))
    live = fields.Nested(LiveSchema, required=True)


class FieldErrorSchema(AnswerSchema):
    """One field that breaks a rule."""

    pointer = fields.String(required=True, metadata=_said("Its place, such as query/limit."))
    detail = fields.String(required=True, metadata=_said("What is wrong with it."))


class ProblemSchema(AnswerSchema):
    """What every error answers (RFC 9457)."""

    type = fields.String(required=True, metadata=_said("Which kind of problem it is, for programs."))
    title = fields.String(required=True, metadata=_said("The kind of problem in words."))
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata=_said("What is wrong this time, and what to do."))
    instance = fields.String(required=True, metadata=_said("The path that was asked, percent-encoded."))
    request_id = fields.String(required=True, metadata=_said("Name it when you report the problem."))
    errors = fields.List(
        fields.Nested(FieldErrorSchema), metadata=_said("Each field that breaks a rule, at most 100.")
    )
