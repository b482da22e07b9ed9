"""The shapes of records that people keep: items, rules, customers. They check and document bodies."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from recsvc.api.fields import WholeText
from recsvc.api.offer_schemas import TermsSchema, placements, said
from recsvc.api.record_fields import (
    Attributes,
    Few,
    Moment,
    Number,
    Texts,
    Whole,
    YesOrNo,
    short_text,
    texts_by_locale,
)
from recsvc.api.schemas import AnswerSchema
from recsvc.domain.identifiers import ID_PATTERN, ID_RULE
from recsvc.domain.items import Channel, ItemKind, ItemStatus
from recsvc.domain.merchandising import MAX_FACTOR, MAX_POSITION, MIN_FACTOR, RuleAction

MAX_ITEMS = 500
"""Of a request: offers of many terms cost most of all to read, and whoever comes to the worker waits."""

_URL = r"^(https?://|/(?!/))[^\x00-\x20\x7f\"<>\\]{0,2000}$"


def _id(description: str, **options: Any) -> fields.String:
    pattern = WholeText(f"^{ID_PATTERN}$", error=f"must be {ID_RULE}")
    return fields.String(validate=pattern, metadata=said(description), **options)


def _one_of(choices: Any, description: str, **options: Any) -> fields.Enum[Any]:
    wrong: dict[str, Any] = {"unknown": "must be one of {choices}"}
    described = said(description)
    return fields.Enum(choices, by_value=fields.String, error_messages=wrong, metadata=described, **options)


def _channels(description: str) -> fields.List[Any]:
    return Few(_one_of(Channel, "A channel."), 0, 50, metadata=said(description))


def _locale() -> fields.String:
    rule = WholeText("^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", error="must be a language tag such as en")
    longest = validate.Length(max=35, error="must be at most 35 characters")
    return fields.String(allow_none=True, validate=[longest, rule], metadata=said("Language tag."))


class ItemSchema(AnswerSchema):
    """Anything that can be recommended: content to read, or an offer to accept."""

    item_id = _id("Its id; in a PUT the one in the path, if it is given at all.")
    kind = _one_of(ItemKind, "content, or offer.")
    title = texts_by_locale(500, metadata=said("By locale."))
    summary = texts_by_locale(5_000, metadata=said("By locale."))
    category = short_text(100, allow_none=True)
    tags = Few(short_text(100), 0, 100)
    url = fields.String(
        allow_none=True,
        validate=WholeText(_URL, error="must begin with https://, http:// or /, and hold no blank"),
    )
    published_at = Moment(allow_none=True)
    valid_from = Moment(allow_none=True, metadata=said("Shown from then on; absent: always."))
    valid_to = Moment(allow_none=True, metadata=said("Not shown from then on; absent: for good."))
    channels = _channels("Where it may be shown; empty: everywhere.")
    status = _one_of(ItemStatus, "Only a live one is shown.")
    attributes = Attributes(metadata=said("Free names with plain values."))
    terms = fields.Nested(TermsSchema, allow_none=True, metadata=said("Of an offer only."))


class NewItemSchema(ItemSchema):
    """An item that says its id."""

    item_id = _id("Its id.", required=True)


class ItemBatchSchema(AnswerSchema):
    """Items that are stored together or not at all."""

    items = Few(fields.Nested(NewItemSchema), 1, MAX_ITEMS, required=True)


class StoredSchema(AnswerSchema):
    """How many items were stored."""

    stored = fields.Integer(required=True)
    drafts = fields.Integer(metadata=said("Offers of which a new version waits for approval, if any."))


class MerchandisingRuleSchema(AnswerSchema):
    """What marketers ask of the lists for a time. A rule names one item or one category; a pin, an item."""

    rule_id = _id("Its id; in a PUT the one in the path, if it is given at all.")
    action = _one_of(RuleAction, "pin, boost, bury, or block.", required=True)
    item_id = _id("The item; it may come later.", allow_none=True)
    category = short_text(100, allow_none=True, metadata=said("The category, instead of an item."))
    kind = _one_of(ItemKind, "Content or offers only; null: both.", allow_none=True)
    channels = _channels("Where it holds; empty: everywhere.")
    placements = placements("On which placements; empty: on all.")
    starts_at = Moment(required=True, metadata=said("On from then on."))
    ends_at = Moment(required=True, metadata=said("Off from then on."))
    factor = Number(
        MIN_FACTOR,
        MAX_FACTOR,
        allow_none=True,
        metadata=said(
            "Divides the place. Of a boost above 1, by default 2; of a bury below 1, by default 0.5."
        ),
    )
    position = Whole(
        1, MAX_POSITION, allow_none=True, metadata=said("Of a pin: 1, which is the default, is the first.")
    )
    note = short_text(1_000, allow_none=True, metadata=said("Why, for colleagues."))
    is_on = YesOrNo(metadata=said("Whether it is on at this moment. Answered only; not read when sent."))
    matches = Whole(
        0,
        2**31,
        metadata=said("How many items that can be shown now it names. Answered only; not read when sent."),
    )


class MerchandisingRulesSchema(AnswerSchema):
    """Every rule by id, those that have ended included."""

    rules = fields.List(fields.Nested(MerchandisingRuleSchema), required=True)


class ConsentsSchema(AnswerSchema):
    """What a customer agreed to. What is not listed was not agreed to."""

    personalisation = YesOrNo()
    marketing = _channels("Channels on which offers may be made.")


class SuitabilitySchema(AnswerSchema):
    """The outcome of a suitability assessment. From `expires_at` on it says nothing."""

    client_type = short_text(100)
    max_risk_class = Whole(0, 7)
    knowledge = short_text(100, allow_none=True)
    loss_capacity = short_text(100, allow_none=True)
    objectives = Texts(
        short_text(100), 0, 20, metadata=said("What the customer wants, in words of the house.")
    )
    horizon_years = Whole(0, 150, allow_none=True)
    expires_at = Moment(allow_none=True)


class CustomerSchema(AnswerSchema):
    """A customer as recorded. Consents and suitability are null while nobody has asked."""

    customer_id = _id("The id; in a PUT the one in the path, if it is given at all.")
    attributes = Attributes(metadata=said("Free names with plain values."))
    locale = _locale()
    consents = fields.Nested(ConsentsSchema, allow_none=True)
    suitability = fields.Nested(SuitabilitySchema, allow_none=True)


class ReceiptSchema(AnswerSchema):
    """What an erasure removed. It holds no customer id."""

    receipt_id = fields.String(required=True)
    requested_at = fields.AwareDateTime(required=True)
    checked_at = fields.AwareDateTime(
        required=True, allow_none=True, metadata=said("When it was seen to be gone; null while it is not.")
    )
    removed = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata=said("How much was removed, by place."),
    )
