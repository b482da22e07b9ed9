"""The shapes of events on the wire, for the OpenAPI document. `event_rules` does the checking."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from recsvc.api.schemas import AnswerSchema
from recsvc.domain.event_limits import (
    CURRENCY_PATTERN,
    MAX_EVENTS,
    MAX_POSITION,
    MAX_PROPERTIES,
    MAX_PROPERTIES_DEPTH,
    MAX_QUANTITY,
    MAX_SCORE,
    MAX_TEXT_CHARS,
    MONEY_PATTERN,
)
from recsvc.domain.identifiers import ID_PATTERN
from recsvc.domain.items import Channel


def _said(description: str, example: Any = None) -> dict[str, Any]:
    return {"description": description} | ({} if example is None else {"example": example})


def _text(description: str, example: str, **options: Any) -> fields.String:
    length = validate.Length(1, MAX_TEXT_CHARS)
    return fields.String(validate=length, metadata=_said(description, example), **options)


def _id(description: str, example: str, **options: Any) -> fields.String:
    pattern = validate.Regexp(f"^{ID_PATTERN}$")
    return fields.String(validate=pattern, metadata=_said(description, example), **options)


def _whole(highest: int, description: str) -> fields.Integer:
    return fields.Integer(validate=validate.Range(1, highest), metadata=_said(description))


class EventSchema(AnswerSchema):
    """What a customer did. An event holds at most 10 KB."""

    event_id = _text("Its own id: sent again with the same body it counts once.", "e-1", required=True)
    type = _text("One of the policy's interaction types.", "click", required=True)
    customer_id = _id("Who did it.", "c1", required=True)
    item_id = _id("What it was done to. Required, allowed or refused: the type says which.", "a7")
    occurred_at = fields.AwareDateTime(
        required=True,
        metadata=_said(
            "When (RFC 3339, with an offset): not before 2000, nor more than 5 minutes ahead.",
            "2026-11-20T10:15:00Z",
        ),
    )
    channel = fields.Enum(Channel, by_value=fields.String, metadata=_said("Where it happened."))
    slate_id = _text("The slate that showed the item.", "s_5f0c7a9e21d84b3f")
    position = _whole(MAX_POSITION, "Where on the slate the item stood; 1 is the first.")
    placement = _text("Where on the page the slate was shown.", "home")
    value = fields.String(
        validate=validate.Regexp(f"^{MONEY_PATTERN}$"),
        metadata=_said("An amount of money as decimal text, of at most 1e12 either way.", "12.50"),
    )
    currency = fields.String(
        validate=validate.Regexp(f"^{CURRENCY_PATTERN}$"), metadata=_said("Of the value.", "EUR")
    )
    quantity = _whole(MAX_QUANTITY, "How many.")
    score = fields.Float(
        validate=validate.Range(0, MAX_SCORE),
        metadata=_said("What a survey was answered, at most its scale."),
    )
    scale = fields.Float(validate=validate.Range(1, MAX_SCORE), metadata=_said("The survey's highest score."))
    properties = fields.Dict(
        metadata=_said(
            f"Anything else: at most {MAX_PROPERTIES} keys on {MAX_PROPERTIES_DEPTH} levels.",
            {"page": "start"},
        )
    )


class EventBatchSchema(AnswerSchema):
    """Events that are stored together or not at all."""

    events = fields.List(fields.Nested(EventSchema), required=True, validate=validate.Length(1, MAX_EVENTS))


class CloudEventSchema(AnswerSchema):
    """An event as CloudEvents 1.0 writes it. Other attributes are let pass and not kept."""

    specversion = fields.Constant("1.0", required=True)
    id = _text("The event_id.", "e-1", required=True)
    source = _text("Who sends it. Ids are unique over all sources here.", "/apps/mobile", required=True)
    type = _text("A name whose last part is the interaction type.", "com.example.recsvc.click", required=True)
    subject = _id("The customer_id.", "c1", required=True)
    time = fields.AwareDateTime(required=True, metadata=_said("The occurred_at.", "2026-11-20T10:15:00Z"))
    datacontenttype = fields.String(metadata=_said("application/json, where it is given."))
    data = fields.Dict(metadata=_said("The other fields of an event.", {"item_id": "a7", "channel": "web"}))


class SegmentTrackSchema(AnswerSchema):
    """A `track` call as Segment writes it. Other fields are let pass and not kept."""

    type = fields.Constant("track")
    event_id = _text("The event_id.", "ajs-1", required=True, data_key="messageId")
    customer_id = _id("The customer_id.", "c1", required=True, data_key="userId")
    event = _text("What happened: a name that Segment specifies, or an interaction type.", "Product Viewed")
    timestamp = fields.AwareDateTime(required=True, metadata=_said("The occurred_at."))
    properties = fields.Dict(
        metadata=_said(
            "item_id or product_id, value, currency, quantity, channel; the others stay properties.",
            {"product_id": "o3", "value": 12.5, "currency": "EUR"},
        )
    )


class SegmentBatchSchema(AnswerSchema):
    """Segment calls that are stored together or not at all."""

    batch = fields.List(
        fields.Nested(SegmentTrackSchema), required=True, validate=validate.Length(1, MAX_EVENTS)
    )


class TakenSchema(AnswerSchema):
    """What became of the events: every one of them is stored."""

    accepted = fields.Integer(required=True, metadata=_said("How many are new."))
    duplicates = fields.Integer(required=True, metadata=_said("How many were stored before."))
