"""For front ends: lists of many customers, and of visitors. In: a JSON body. Out: slates as ready bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from recsvc.api.bodies import JSON, JsonBody
from recsvc.api.documents import CHANGE_HEADERS, LIST_HEADERS, SLATE_EXAMPLES
from recsvc.api.endpoints import Answered, BodyForm, Endpoints, request_record, services
from recsvc.api.event_rules import read_events
from recsvc.api.posted_schemas import (
    MAX_SHOWN,
    ManyWantedSchema,
    SessionSlateSchema,
    SessionWantedSchema,
    SlatesSchema,
)
from recsvc.api.records import load_body
from recsvc.domain.access import Scope
from recsvc.domain.interactions import Interaction
from recsvc.domain.items import ItemKind
from recsvc.domain.slates import ANONYMOUS, SlateRequest
from recsvc.errors import FieldError, InvalidRequestError
from recsvc.serving.answers import render_slate

posted_recommendations = Endpoints("posted_recommendations", "Lists for many customers, and for visitors.")

_NOT_KEPT = {"Cache-Control": "no-store"}
_SESSION_HEADERS = {
    **CHANGE_HEADERS,
    "X-Recs-Source": LIST_HEADERS["X-Recs-Source"],
    "X-Model-Version": LIST_HEADERS["X-Model-Version"],
}
_EXAMPLE = SLATE_EXAMPLES[ItemKind.CONTENT]
_MANY_EXAMPLE = {"customer_ids": ["c1"], "kind": "content", "limit": 5, "placement": "home", "locale": "en"}
_SESSION_EXAMPLE = {
    "interactions": [
        {"type": "view", "item_id": "a2", "occurred_at": "2026-11-22T10:19:00Z"},
        {"type": "like", "item_id": "a9"},
    ],
    "kind": "content",
    "limit": 5,
    "locale": "en",
}
_VISITOR_EXAMPLE = {**_EXAMPLE, "customer_id": None, "source": "folded_in"}


@posted_recommendations.change(
    "POST",
    "/v1/recommendations",
    requires=Scope.RECS_READ,
    takes=(BodyForm(JSON, ManyWantedSchema, _MANY_EXAMPLE),),
    answer=Answered(200, SlatesSchema, CHANGE_HEADERS, {"slates": [_EXAMPLE]}),
)
def post_recommendations(body: JsonBody) -> Response:
    """The lists of 1 to 500 customers at once, in the order of their ids.

    Each is the list that the customer's own call gives, arm and exposure of an experiment included. A call
    makes lists for 200 ms of CPU; from then on customers whose list is not kept get what is popular, or no
    offers, with `load` in `degraded`. Ask for these again: what was made is kept, so each call gets further.
    Customers times `limit` may be 10,000 at most.
    """
    wanted = load_body(ManyWantedSchema(), body.value)
    customer_ids: Sequence[str] = wanted.pop("customer_ids")
    _check_size(len(customer_ids), wanted["limit"])
    requests = [SlateRequest(customer_id=each, **wanted) for each in customer_ids]
    with services().computing.allowance():
        slates = [slate.body for slate in services().engine.recommend_many(requests)]
    return Response(b'{"slates":[' + b",".join(slates) + b"]}", mimetype=JSON, headers=_NOT_KEPT)


@posted_recommendations.change(
    "POST",
    "/v1/sessions/recommendations",
    requires=Scope.RECS_READ,
    takes=(BodyForm(JSON, SessionWantedSchema, _SESSION_EXAMPLE),),
    answer=Answered(200, SessionSlateSchema, _SESSION_HEADERS, _VISITOR_EXAMPLE),
)
def post_session_recommendations(body: JsonBody) -> Response:
    """A list for a visitor, after what they did in this session.

    Nothing of it is kept. Consent is what the policy says of customers without a record; there is no
    suitability, so no offer with a risk is among them, and no experiment.
    """
    wanted = load_body(SessionWantedSchema(), body.value)
    did = _read(body.value["interactions"]) if wanted.pop("interactions") else []
    slate = services().visitors.recommend_visitor(SlateRequest(customer_id=ANONYMOUS, **wanted), did)
    request_record().source = slate.source.value
    headers = {
        **_NOT_KEPT,
        "X-Recs-Source": slate.source.value,
        "X-Model-Version": slate.model_version or "none",
    }
    return Response(render_slate(slate), mimetype=JSON, headers=headers)


def _check_size(n_customers: int, limit: int) -> None:
    """Raises InvalidRequestError where the lists may hold more items together than one call answers with."""
    if n_customers * limit > MAX_SHOWN:
        fault = f"times {n_customers} customers is over {MAX_SHOWN:,} items: ask for fewer of either"
        raise InvalidRequestError([FieldError("/limit", fault)])


def _read(done: Sequence[Mapping[str, Any]]) -> list[Interaction]:
    """What was done, held to the rules of events."""
    now = services().clock()
    events = [
        {"occurred_at": now.isoformat(), **one, "event_id": f"{place}", "customer_id": "anonymous"}
        for place, one in enumerate(done)
    ]
    return read_events(events, services().policy.interaction_types, now, place="/interactions")
