"""For front ends: a customer's two lists. In: a customer and a query. Out: the slate's ready bytes.

The fast path answers the plain ones of these calls before Flask sees them, with what stands here.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request

from recsvc.api.documents import SLATE_EXAMPLES, SLATE_HEADERS
from recsvc.api.endpoints import Endpoints, request_record, services
from recsvc.api.records import is_known
from recsvc.api.schemas import SlateQuery, SlateSchema
from recsvc.domain.access import Scope
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import SlateRequest
from recsvc.serving.answers import ServedSlate

recommendations = Endpoints("recommendations", "A customer's two lists: content and offers.")

SCOPE = Scope.RECS_READ
ROUTES = {
    ItemKind.CONTENT: "/v1/customers/<customer_id>/recommendations/content",
    ItemKind.OFFER: "/v1/customers/<customer_id>/recommendations/offers",
}
_NOT_CHANGED = {304: "The list whose ETag was sent as If-None-Match is still the answer."}


@recommendations.get(
    ROUTES[ItemKind.CONTENT],
    requires=SCOPE,
    query=SlateQuery,
    answers=SlateSchema,
    headers=SLATE_HEADERS,
    example=SLATE_EXAMPLES[ItemKind.CONTENT],
    more_answers=_NOT_CHANGED,
)
def content(customer_id: str, query: dict[str, Any]) -> Response:
    """What the customer should read next.

    A customer whom nobody knows gets a list too, from a lower rung of the ladder; source says which.
    """
    wanted = SlateRequest(ItemKind.CONTENT, customer_id, **query)
    return _slate_response(services().engine.recommend(wanted))


@recommendations.get(
    ROUTES[ItemKind.OFFER],
    requires=SCOPE,
    query=SlateQuery,
    answers=SlateSchema,
    headers=SLATE_HEADERS,
    example=SLATE_EXAMPLES[ItemKind.OFFER],
    more_answers=_NOT_CHANGED,
)
def offers(customer_id: str, query: dict[str, Any]) -> Response:
    """The offers that the customer may and should see.

    Only what is valid now, open on the channel and within the customer's risk limit; each with its
    disclosures.
    """
    wanted = SlateRequest(ItemKind.OFFER, customer_id, **query)
    return _slate_response(services().engine.recommend(wanted))


def slate_headers(served: ServedSlate) -> list[tuple[str, str]]:
    """What every answer with a slate says of it, the one without a body included."""
    return [
        ("ETag", served.etag),
        # Never a max-age: a browser that kept the list for it would not see what an event, a withdrawn
        # consent or a paused item changed. To ask again costs it a 304.
        ("Cache-Control", "private, no-cache"),
        ("X-Recs-Source", served.source.value),
        ("X-Model-Version", served.model_version or "none"),
    ]


def _slate_response(served: ServedSlate) -> Response:
    record = request_record()
    record.source, record.cache = served.source.value, served.cache.value
    record.made_at = served.generated_at
    headers = slate_headers(served)
    if is_known(served.etag, request.headers.get("If-None-Match", "")):
        return Response(status=304, headers=headers)
    return Response(served.body, mimetype="application/json", headers=headers)
