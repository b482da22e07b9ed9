"""For front ends: what customers do. In: events in one of three forms. Out: 202 once they are durable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from flask import Response

from recsvc.api import cloud_events, segment_track
from recsvc.api.bodies import JSON, JsonBody
from recsvc.api.documents import CHANGE_HEADERS, EVENT_EXAMPLE
from recsvc.api.endpoints import Answered, BodyForm, Endpoints, services
from recsvc.api.event_rules import read_events
from recsvc.api.event_schemas import CloudEventSchema, EventBatchSchema, SegmentBatchSchema, TakenSchema
from recsvc.api.problems import CONFLICT
from recsvc.api.rates import Rate
from recsvc.domain.access import Scope
from recsvc.domain.interactions import Interaction
from recsvc.errors import FieldError, InvalidRequestError

events = Endpoints("events", "What customers did.")

_TAKEN = Answered(202, TakenSchema, CHANGE_HEADERS, {"accepted": 1, "duplicates": 0})
_CLOUD_EVENTS = {"type": "array", "items": CloudEventSchema}


@events.change(
    "POST",
    "/v1/events",
    requires=Scope.EVENTS_WRITE,
    takes=(
        BodyForm(JSON, EventBatchSchema, {"events": [EVENT_EXAMPLE]}),
        BodyForm(cloud_events.MEDIA_TYPE, _CLOUD_EVENTS, cloud_events.EXAMPLE),
    ),
    rate=Rate.EVENTS,
    answer=_TAKEN,
    problems=(CONFLICT,),
)
def take_events(body: JsonBody) -> Response:
    """Store 1 to 1,000 events, all or none.

    The answer comes when they are on disk and the customers' next lists know them. An event that was
    stored before with the same body is a duplicate and changes nothing; with another body it is a
    conflict. After a 503, send the same events again.
    """
    if body.media_type == cloud_events.MEDIA_TYPE:
        batch = body.value
        return _take(_read(cloud_events.events_of(batch), place="", name_of=cloud_events.naming_of(batch)))
    return _take(_read(_listed(body.value)))


@events.change(
    "POST",
    "/v1/events/segment",
    requires=Scope.EVENTS_WRITE,
    takes=(BodyForm(JSON, SegmentBatchSchema, segment_track.EXAMPLE),),
    rate=Rate.EVENTS,
    answer=_TAKEN,
    problems=(CONFLICT,),
)
def take_segment_events(body: JsonBody) -> Response:
    """Store 1 to 1,000 track calls of Segment as events, all or none."""
    calls = segment_track.events_of(body.value)
    return _take(_read(calls, place="/batch", name_of=segment_track.naming_of(body.value)))


def _listed(body: Any) -> Any:
    if not isinstance(body, dict):
        raise InvalidRequestError([FieldError("", 'must be an object: {"events": [...]}')])
    unknown = [
        FieldError(f"/{name[:64]}", "is not a field; send events") for name in body if name != "events"
    ]
    if unknown:
        raise InvalidRequestError(unknown)
    return body.get("events")


def _read(given: Any, **how: Any) -> list[Interaction]:
    return read_events(given, services().policy.interaction_types, services().clock(), **how)


def _take(found: Sequence[Interaction]) -> Response:
    taken = services().intake.take(found)
    body = msgspec.json.encode(taken)
    return Response(body, 202, mimetype=JSON, headers={"Cache-Control": "no-store"})
