"""For marketers: the catalogue. In: items as JSON. Out: the same as they are stored, with their versions."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from flask import Response

from recsvc.api.bodies import JSON, JsonBody
from recsvc.api.documents import CHANGE_HEADERS, ITEM_EXAMPLE, NOT_CHANGED, RECORD_HEADERS
from recsvc.api.endpoints import Answered, BodyForm, Endpoints, acting_key, services
from recsvc.api.problems import NOT_FOUND, PRECONDITION_FAILED, PRECONDITION_REQUIRED
from recsvc.api.record_schemas import ItemBatchSchema, ItemSchema, StoredSchema
from recsvc.api.records import (
    check_each_once,
    expected_version,
    item_of,
    load_body,
    show_draft,
    show_gone,
    show_stored,
    show_written,
)
from recsvc.domain.access import Scope
from recsvc.domain.condition_facts import known_fields
from recsvc.domain.conditions import FieldType
from recsvc.errors import NotFoundError

catalogue = Endpoints("catalogue", "What can be recommended, offers included.")

_RULE = "/v1/items/<item_id>"


@catalogue.get(
    _RULE,
    requires=Scope.CATALOGUE_WRITE,
    answers=ItemSchema,
    headers=RECORD_HEADERS,
    example=ITEM_EXAMPLE,
    more_answers=NOT_CHANGED,
    problems=(NOT_FOUND,),
)
def get_item(item_id: str) -> Response:
    """The item as it is stored, whatever its status."""
    return show_stored(services().catalogue.get(item_id), "item")


@catalogue.change(
    "PUT",
    _RULE,
    requires=Scope.CATALOGUE_WRITE,
    takes=(BodyForm(JSON, ItemSchema, ITEM_EXAMPLE),),
    answer=Answered(200, ItemSchema, RECORD_HEADERS, ITEM_EXAMPLE),
    more_answers={
        201: "There was no such item; Location says where it is now.",
        202: "A new version waits for approval, at Location; what was served still is.",
    },
    problems=(PRECONDITION_FAILED, PRECONDITION_REQUIRED),
)
def put_item(item_id: str, body: JsonBody) -> Response:
    """Create the item, or replace it whole. Lists know it within a second.

    To replace one, send its ETag as If-Match. An offer of a risk class, or with a target market or
    disclosures, begins as a draft whatever its status says: somebody else has to approve it. A change of
    these makes a new version in draft, and what is live goes on being served.
    """
    item = item_of(load_body(ItemSchema(), body.value), item_id, _fields())
    desk = services().catalogue
    put = desk.put(item, expected=expected_version(desk.get, item_id), by=acting_key())
    return show_written(put.item, put.written) if put.draft is None else show_draft(put.item, put.draft)


@catalogue.change(
    "DELETE",
    _RULE,
    requires=Scope.CATALOGUE_WRITE,
    answer=Answered(204, headers=CHANGE_HEADERS),
    problems=(NOT_FOUND, PRECONDITION_FAILED, PRECONDITION_REQUIRED),
)
def delete_item(item_id: str) -> Response:
    """Take the item out of service for good. Send its ETag as If-Match."""
    desk = services().catalogue
    if not desk.retire(item_id, expected=expected_version(desk.get, item_id), by=acting_key()):
        raise NotFoundError("there is no such item")
    return show_gone()


@catalogue.change(
    "POST",
    "/v1/items",
    requires=Scope.CATALOGUE_WRITE,
    takes=(BodyForm(JSON, ItemBatchSchema, {"items": [ITEM_EXAMPLE]}),),
    answer=Answered(200, StoredSchema, CHANGE_HEADERS, {"stored": 1}),
)
def put_items(body: JsonBody) -> Response:
    """Create or replace 1 to 500 items, all or none, whatever their versions.

    Of offers, `drafts` counts those of which a new version waits for approval while the old is served.
    """
    loaded = load_body(ItemBatchSchema(), body.value)["items"]
    fields = _fields()
    items = [item_of(one, one["item_id"], fields, f"/items/{place}") for place, one in enumerate(loaded)]
    check_each_once(items)
    put = services().catalogue.put_many(items, by=acting_key())
    answer = {"stored": put.n_stored} | ({"drafts": put.n_drafts} if put.n_drafts else {})
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(answer), mimetype=JSON, headers=headers)


def _fields() -> Mapping[str, FieldType]:
    return known_fields(services().policy)
