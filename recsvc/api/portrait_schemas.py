"""The shape of a portrait, for the OpenAPI document: every figure with its meaning, unit and window."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from recsvc.api.schemas import AnswerSchema


class FigureSchema(AnswerSchema):
    """One figure, with all that is needed to read it."""

    value = fields.Raw(
        required=True,
        allow_none=True,
        metadata={"description": "A number, text, or shares by name; null where it cannot be given."},
    )
    unit = fields.String(required=True)
    meaning = fields.String(required=True, metadata={"description": "What the value says, in one sentence."})
    window_days = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "How far back it looks from as_of; null: over the whole history."},
    )
    as_of = fields.AwareDateTime(required=True, allow_none=True)
    reason = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why there is no value, where there is none."},
    )


def _figure() -> fields.Nested:
    return fields.Nested(FigureSchema, required=True)


class PortraitSchema(AnswerSchema):
    """What is known of one customer, as of a moment."""

    customer_id = fields.String(required=True)
    as_of = fields.AwareDateTime(required=True)
    source = fields.String(
        required=True,
        metadata={
            "description": "events: from the stored history; bundle: from what training kept; nothing."
        },
    )
    model_version = fields.String(required=True, allow_none=True)
    segment = fields.String(
        required=True, metadata={"description": "The one whose popularity serves the customer."}
    )
    segments = fields.List(fields.String(), required=True, metadata={"description": "All that fit."})
    recency_days = _figure()
    frequency = _figure()
    monetary_value = _figure()
    recency_score = _figure()
    frequency_score = _figure()
    monetary_score = _figure()
    lifecycle = _figure()
    p_alive = _figure()
    expected_purchases = _figure()
    category_affinity = _figure()
    tag_affinity = _figure()
    channels = _figure()
    hours = _figure()
    journey = _figure()
    nps = _figure()
    csat = _figure()
    ces = _figure()


def _example_figure(value: Any, unit: str, meaning: str, window_days: float | None = None) -> dict[str, Any]:
    return {
        "value": value,
        "unit": unit,
        "meaning": meaning,
        "window_days": window_days,
        "as_of": _AS_OF,
        "reason": None if value is not None else "there is nothing to tell it from",
    }


_AS_OF = "2026-11-20T10:20:00Z"
_VALUES: dict[str, Any] = {
    "recency_days": 3.5,
    "frequency": 42,
    "monetary_value": 480.0,
    "lifecycle": "active",
    "category_affinity": {"saving": 0.7, "funds": 0.3},
    "channels": {"mobile": 0.8, "web": 0.2},
    "journey": "interest",
}
PORTRAIT_EXAMPLE = {
    "customer_id": "c1",
    "as_of": _AS_OF,
    "source": "events",
    "model_version": "20261120T101500Z-als-3f9a1c",
    "segment": "everyone",
    "segments": ["everyone", "active"],
    **{
        name: _example_figure(_VALUES.get(name), "as it says", f"{name.replace('_', ' ')} of the customer")
        for name, field in PortraitSchema().fields.items()
        if isinstance(field, fields.Nested)
    },
}
