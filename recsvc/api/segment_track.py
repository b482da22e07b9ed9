"""Segment's `track` calls. In: one parsed call, or a batch of them. Out: events as they are on our wire.

userId is customer_id, messageId is event_id, timestamp is occurred_at. The name in `event` becomes the
interaction type by the table below, or by being one already (`Not Interested` is not_interested). Of the
properties, those that an event has a field for move there, the others stay properties.
"""

from __future__ import annotations

from typing import Any

from recsvc.api.event_rules import Naming
from recsvc.domain.event_limits import MAX_EVENTS
from recsvc.errors import FieldError, InvalidRequestError

TYPE_BY_NAME = {
    "product_viewed": "view",
    "product_clicked": "click",
    "product_list_viewed": "impression",
    "product_added_to_wishlist": "bookmark",
    "product_shared": "share",
    "product_reviewed": "comment",
    "order_completed": "purchase",
    "promotion_viewed": "impression",
    "promotion_clicked": "click",
    "coupon_applied": "redeem",
    "article_viewed": "view",
    "article_completed": "dwell",
    "lead_converted": "convert",
    "unsubscribed": "unsubscribe",
}
_NAMES = {
    "event_id": "messageId",
    "type": "event",
    "customer_id": "userId",
    "occurred_at": "timestamp",
    "properties": "properties",
}

EXAMPLE = {
    "batch": [
        {
            "type": "track",
            "messageId": "ajs-1",
            "userId": "c1",
            "event": "Product Viewed",
            "timestamp": "2026-11-20T10:15:00Z",
            "properties": {"product_id": "o3", "value": 12.5, "currency": "EUR", "page": "start"},
        }
    ]
}

_PRODUCT = "product_id"
_FIELDS = ("item_id", "value", "currency", "quantity", "channel", "slate_id", "position", "placement")


def naming_of(body: Any) -> Naming:
    """Where fields of events stand in the calls of a body that `events_of` let pass."""

    def name_of(place: str, field: str) -> str:
        call = body["batch"][int(place.rpartition("/")[2])]
        if field == "item_id" and _says_product(call.get("properties") or {}):
            return f"{place}/properties/{_PRODUCT}"
        return f"{place}/{_NAMES.get(field, f'properties/{field}')}"

    return name_of


def events_of(body: Any) -> Any:
    """The calls of a batch as a list of events; one that is too long is left for the rules to refuse.

    Raises:
        InvalidRequestError: there is no batch, a call is no track, or its properties are no object.
    """
    calls = body.get("batch") if isinstance(body, dict) else None
    if not isinstance(calls, list):
        raise InvalidRequestError([FieldError("/batch", "must be a list of track calls")])
    if len(calls) > MAX_EVENTS:
        return calls
    errors = [error for place, call in enumerate(calls) for error in _refusals(f"/batch/{place}", call)]
    if errors:
        raise InvalidRequestError(errors)
    return [_event_of(call) if isinstance(call, dict) else call for call in calls]


def _refusals(place: str, call: Any) -> list[FieldError]:
    if not isinstance(call, dict):
        return []
    errors = []
    if call.get("type", "track") != "track":
        errors.append(FieldError(f"{place}/type", "must be track"))
    if not isinstance(call.get("properties"), dict | None):
        errors.append(FieldError(f"{place}/properties", "must be an object"))
    return errors


def _event_of(call: dict[str, Any]) -> dict[str, Any]:
    given = dict(call.get("properties") or {})
    if _says_product(given):
        given["item_id"] = given.pop(_PRODUCT)
    fields = {name: given.pop(name) for name in _FIELDS if name in given}
    if type(fields.get("value")) in (int, float):
        fields["value"] = repr(fields["value"])  # Segment writes money as a number.
    return {
        **fields,
        "event_id": call.get("messageId"),
        "type": _type_of(call.get("event")),
        "customer_id": call.get("userId"),
        "occurred_at": call.get("timestamp"),
        "properties": given,
    }


def _says_product(properties: dict[str, Any]) -> bool:
    """Whether the item is named as Segment has it. Beside an item_id, a product_id is a property."""
    return _PRODUCT in properties and "item_id" not in properties


def _type_of(name: Any) -> Any:
    if not isinstance(name, str):
        return name
    plain = "_".join(name.lower().split())
    return TYPE_BY_NAME.get(plain, plain)
