"""CloudEvents 1.0 in the batched JSON form. In: the parsed batch. Out: events as they are on our wire.

id is event_id, time is occurred_at, subject is customer_id, the last part of type is the interaction
type (`data.type` where it is given), and data holds the rest. Nothing is checked here that an event's
own rules check; only the places are named as the sender knows them.
"""

from __future__ import annotations

from typing import Any

from recsvc.api.event_rules import Naming
from recsvc.domain.event_limits import MAX_EVENTS, MAX_TEXT_CHARS
from recsvc.errors import FieldError, InvalidRequestError

MEDIA_TYPE = "application/cloudevents-batch+json"

_NAMES = {"event_id": "id", "occurred_at": "time", "customer_id": "subject", "type": "type"}
_ATTRIBUTES_ONLY = ("event_id", "occurred_at", "customer_id")

EXAMPLE = [
    {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/apps/mobile",
        "type": "com.example.recsvc.click",
        "subject": "c1",
        "time": "2026-11-20T10:15:00Z",
        "datacontenttype": "application/json",
        "data": {"item_id": "a7", "channel": "mobile"},
    }
]


def naming_of(batch: Any) -> Naming:
    """Where fields of events stand in a batch that `events_of` let pass."""

    def name_of(place: str, field: str) -> str:
        if field == "type" and "type" in batch[int(place[1:])].get("data", {}):
            return f"{place}/data/type"
        return f"{place}/{_NAMES.get(field, f'data/{field}')}"

    return name_of


def events_of(batch: Any) -> Any:
    """The batch as a list of events; what is no list of few or no object is left for the rules.

    Raises:
        InvalidRequestError: one is not of version 1.0, names no source, its data is not JSON, or says another
            thing than an attribute.
    """
    if not isinstance(batch, list) or len(batch) > MAX_EVENTS:
        return batch
    errors = [error for place, raw in enumerate(batch) for error in _refusals(f"/{place}", raw)]
    if errors:
        raise InvalidRequestError(errors)
    return [_event_of(raw) if isinstance(raw, dict) else raw for raw in batch]


def _refusals(place: str, raw: Any) -> list[FieldError]:
    if not isinstance(raw, dict):
        return []
    errors = []
    if raw.get("specversion") != "1.0":
        errors.append(FieldError(f"{place}/specversion", "must be 1.0"))
    source = raw.get("source")
    if not isinstance(source, str) or not 1 <= len(source) <= MAX_TEXT_CHARS:
        errors.append(FieldError(f"{place}/source", f"must be text of 1 to {MAX_TEXT_CHARS} characters"))
    if raw.get("datacontenttype", "application/json") != "application/json":
        errors.append(FieldError(f"{place}/datacontenttype", "must be application/json"))
    if "data_base64" in raw:
        errors.append(FieldError(f"{place}/data_base64", "must be absent: send data as JSON"))
    data = raw.get("data", {})
    if not isinstance(data, dict):
        return [*errors, FieldError(f"{place}/data", "must be an object")]
    return errors + [
        FieldError(f"{place}/data/{name}", f"must be what {_NAMES[name]} of the CloudEvent says, or absent")
        for name in _ATTRIBUTES_ONLY
        if name in data and data[name] != raw.get(_NAMES[name])
    ]


def _event_of(raw: dict[str, Any]) -> dict[str, Any]:
    kind = raw.get("type")
    return {
        "type": kind.rpartition(".")[2] if isinstance(kind, str) else kind,
        **raw.get("data", {}),
        "event_id": raw.get("id"),
        "customer_id": raw.get("subject"),
        "occurred_at": raw.get("time"),
    }
