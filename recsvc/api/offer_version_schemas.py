"""The shapes of an offer's versions. They document answers."""

from __future__ import annotations

from marshmallow import fields

from recsvc.api.documents import ITEM_EXAMPLE
from recsvc.api.offer_schemas import said
from recsvc.api.record_schemas import ItemSchema
from recsvc.api.schemas import AnswerSchema
from recsvc.domain.items import ItemStatus

_BY = "The id of a key; import: an operator, from a file; nobody: no keys were asked for."


def _status() -> fields.Enum:  # type: ignore[type-arg]
    return fields.Enum(ItemStatus, by_value=fields.String, required=True)


class PassageSchema(AnswerSchema):
    """That a version came to a status."""

    status = _status()
    by = fields.String(required=True, metadata=said(_BY))
    at = fields.AwareDateTime(
        required=True, allow_none=True, metadata=said("null: before versions were kept.")
    )


class OfferVersionSchema(AnswerSchema):
    """A version of an offer: who wrote it, who approved it, all it came to, and what it says."""

    offer_id = fields.String(required=True)
    version = fields.Integer(required=True)
    status = _status()
    written_by = fields.String(required=True, metadata=said(_BY))
    written_at = fields.AwareDateTime(required=True, allow_none=True)
    approved_by = fields.String(
        required=True, allow_none=True, metadata=said("null: nobody yet, or nobody had to.")
    )
    approved_at = fields.AwareDateTime(required=True, allow_none=True)
    history = fields.List(fields.Nested(PassageSchema), required=True, metadata=said("Oldest first."))
    item = fields.Nested(ItemSchema, required=True)


class OfferVersionsSchema(AnswerSchema):
    """Every version of an offer, oldest first."""

    versions = fields.List(fields.Nested(OfferVersionSchema), required=True)


_WRITTEN, _APPROVED = "2026-11-22T09:00:00Z", "2026-11-22T10:20:00Z"
VERSION_EXAMPLE = {
    "offer_id": "o3",
    "version": 2,
    "status": "approved",
    "written_by": "3f9a1c5d7e8b2046",
    "written_at": _WRITTEN,
    "approved_by": "b1d2e3f405162738",
    "approved_at": _APPROVED,
    "history": [
        {"status": "draft", "by": "3f9a1c5d7e8b2046", "at": _WRITTEN},
        {"status": "approved", "by": "b1d2e3f405162738", "at": _APPROVED},
    ],
    "item": {**ITEM_EXAMPLE, "status": "approved"},
}
