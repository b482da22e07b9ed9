"""The shapes of recommendations that are asked for by POST: for many customers, and for visitors."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from recsvc.api.fields import WholeText
from recsvc.api.record_fields import Few, Ids, IdsOnce, Moment, Number, Texts, Whole, YesOrNo, short_text
from recsvc.api.schemas import (
    AnswerSchema,
    ShownSchema,
    SlateSchema,
    category_field,
    placement_field,
)
from recsvc.domain.identifiers import ID_PATTERN, ID_RULE
from recsvc.domain.items import ItemKind

MAX_CUSTOMERS = 500
MAX_SHOWN = 10_000  # Items of all lists of a call together.
MAX_DONE = 200

_EXCLUDED = Ids(0, 200, load_default=(), metadata={"description": "Ids that are on the page already."})


class _PostedSchema(ShownSchema):
    """The parameters of a recommendation, as JSON has them."""

    kind = fields.Enum(
        ItemKind,
        by_value=fields.String,
        required=True,
        error_messages={"unknown": "must be one of {choices}"},
        metadata={"description": "Content or offers."},
    )
    limit = Whole(1, 100, load_default=10, metadata={"description": "How many items at most.", "default": 10})
    placement = placement_field()
    category = Texts(
        category_field(),
        0,
        20,
        attribute="categories",
        load_default=(),
        metadata={"description": "Only items of these categories; of all, where there are none."},
    )
    exclude: Any = _EXCLUDED  # marshmallow takes fields off the class, so its own `exclude` stays what it is.
    diversity = Number(
        0,
        1,
        load_default=0.0,
        metadata={"description": "0 is the best guesses, 1 the widest spread.", "default": 0},
    )
    explain = YesOrNo(
        load_default=False,
        metadata={"description": "Whether reasons name the history items behind them.", "default": False},
    )


class ManyWantedSchema(_PostedSchema):
    """Customers, and what is wanted for each of them."""

    customer_ids = IdsOnce(
        1, MAX_CUSTOMERS, required=True, metadata={"description": "Whose lists are wanted, each once."}
    )


class SlatesSchema(AnswerSchema):
    """A slate for each customer, in the order in which they were named."""

    slates = fields.List(fields.Nested(SlateSchema), required=True)


class DoneSchema(AnswerSchema):
    """Something that was done in a session."""

    type = short_text(256, required=True, metadata={"description": "One of the policy's interaction types."})
    item_id = fields.String(
        validate=WholeText(f"^{ID_PATTERN}$", error=f"must be text of {ID_RULE}"),
        metadata={"description": "What it was done to."},
    )
    occurred_at = Moment(metadata={"description": "When (RFC 3339); just now where it is left out."})


class SessionWantedSchema(_PostedSchema):
    """What was done in a session, and what is wanted after it."""

    interactions = Few(
        fields.Nested(DoneSchema),
        0,
        MAX_DONE,
        required=True,
        metadata={"description": "What the visitor did, in any order."},
    )


class SessionSlateSchema(SlateSchema):
    """A list for a visitor of a session."""

    customer_id = fields.String(
        required=True, allow_none=True, metadata={"description": "Always null: it is nobody's list."}
    )
