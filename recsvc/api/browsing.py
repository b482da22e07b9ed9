"""For front ends without a customer: lists that belong to nobody. In: an item or a kind. Out: a list."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from recsvc.api.documents import ITEM_LIST_EXAMPLE, LIST_HEADERS
from recsvc.api.endpoints import Endpoints, request_record, services
from recsvc.api.problems import NOT_FOUND
from recsvc.api.schemas import ItemListSchema, ListQuery, TrendingQuery
from recsvc.domain.access import Scope
from recsvc.serving.answers import ItemList

browsing = Endpoints("browsing", "Lists that belong to nobody.")


@browsing.get(
    "/v1/items/<item_id>/similar",
    requires=Scope.RECS_READ,
    query=ListQuery,
    answers=ItemListSchema,
    headers=LIST_HEADERS,
    example=ITEM_LIST_EXAMPLE,
    problems=(NOT_FOUND,),
)
def similar(item_id: str, query: dict[str, Any]) -> Response:
    """Items of the same kind that are like this one.

    Of merchandising rules, blocks hold here. Pins, boosts and buries do not: they order customers' lists.
    """
    return _list_response(services().browser.similar(item_id, **query))


@browsing.get(
    "/v1/trending",
    requires=Scope.RECS_READ,
    query=TrendingQuery,
    answers=ItemListSchema,
    headers=LIST_HEADERS,
    example=ITEM_LIST_EXAMPLE,
)
def trending(query: dict[str, Any]) -> Response:
    """What most customers turn to now.

    Of merchandising rules, blocks hold here. Pins, boosts and buries do not: they order customers' lists.
    """
    return _list_response(services().browser.trending(**query))


def _list_response(found: ItemList) -> Response:
    request_record().source = found.source.value
    headers = {
        "Cache-Control": "private, no-cache",
        "X-Recs-Source": found.source.value,
        "X-Model-Version": found.model_version or "none",
    }
    return Response(msgspec.json.encode(found), mimetype="application/json", headers=headers)
