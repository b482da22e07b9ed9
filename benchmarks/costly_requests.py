"""Requests that are the largest of their kind. In: a model version, an offer. Out: requests to send."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from recsvc.api.limits import MAX_BODY_BYTES
from recsvc.api.posted_schemas import MAX_CUSTOMERS, MAX_SHOWN
from recsvc.api.record_schemas import MAX_ITEMS
from recsvc.domain.event_limits import MAX_EVENTS

HEAVY = "c0001"  # Whom the store knows more of than a list reads.
ARMS = tuple(f"v{place}" for place in range(20))
_EXCLUDED = [f"none-{place:04}" for place in range(200)]
_MOST = {"limit": 100, "diversity": 1, "explain": True}
_WIDEST = "limit=100&diversity=1&explain=true"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and the status that answers it."""

    what: str
    method: str
    path: str
    body: object = None
    media_type: str = "application/json"
    expected: Sequence[int] = (200,)
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes | None:
        """The body's bytes."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()


def content_of(customer_id: str, kind: str, query: str) -> Ask:
    """A list of a customer."""
    return Ask("", "GET", f"/v1/customers/{customer_id}/recommendations/{kind}{query}")


def preparation(version: str) -> Iterator[Ask]:
    """A customer who did more than a list reads, a catalogue of thousands, an experiment that runs."""
    for number in range(10):
        items = [_an_item(number * MAX_ITEMS + place) for place in range(MAX_ITEMS)]
        yield Ask("items", "POST", "/v1/items", {"items": items})
    for number, type in enumerate(("click", "impression", "view")):
        events = [_an_event(number * MAX_EVENTS + place, type, HEAVY) for place in range(MAX_EVENTS)]
        yield Ask("events", "POST", "/v1/events", {"events": events}, expected=(202, 409))
    many = [_an_event(10_000 + place, "click", f"c{place % 400:04}") for place in range(MAX_EVENTS)]
    yield Ask("events", "POST", "/v1/events", {"events": many}, expected=(202, 409))
    arms = [{"key": key, "model_version": version, "weight": 5} for key in ARMS]
    experiment = {"variants": arms, "status": "running", "primary_metric": "clicks", "coverage": 1}
    experiment |= {"secondary": ["click_through", "view", "nps"]}
    yield Ask("experiment", "PUT", "/v1/experiments/most", experiment, expected=(201, 428))
    customers = [f"c{place:04}" for place in range(1, MAX_CUSTOMERS + 1)]
    body = {"customer_ids": customers, "kind": "content"}
    yield Ask("exposures", "POST", "/v1/recommendations", body)


def _an_event(number: int, type: str, customer_id: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    item_id = f"a{number % 400 + 1:04}"
    return {
        "event_id": f"costliest-{number}",
        "type": type,
        "customer_id": customer_id,
        "item_id": item_id,
        "occurred_at": now,
    }


def _an_item(number: int) -> dict[str, Any]:
    title = {"en": f"An article of number {number}", "zh": f"文章 {number}"}
    return {"item_id": f"new-{number:05}", "kind": "content", "title": title, "category": f"k{number % 40}"}


def _an_offer(number: int) -> dict[str, Any]:
    """An offer that somebody has to approve, with as many terms as a thousand in one body leave room for."""
    terms = {
        "value": "40.00",
        "currency": "EUR",
        "caps": [{"most": place, "hours": place} for place in range(1, 11)],
        "disclosures": [{"id": f"d{place}", "version": 1, "text": {"en": "x"}} for place in range(10)],
    }
    return {"item_id": f"offer-{number}", "kind": "offer", "title": {"en": "x"}, "terms": terms}


def asks(version: str, offer_id: str) -> Iterator[Ask]:
    """What is to be measured."""
    yield from _of_lists(offer_id)
    yield from _of_events()
    yield from _of_records()
    yield from _of_refusals()
    yield Ask("experiment results", "GET", "/v1/experiments/most/results")
    yield Ask("experiment results, as a page", "GET", "/v1/experiments/most/results?view=page")
    wish = {"primary_metric": "clicks", "relative_effect": 1e-4, "weights": [5] * 20, "lookback_days": 365}
    yield Ask("experiment plan", "POST", "/v1/experiments/plan", wish, expected=(200, 409))
    yield Ask("satisfaction by variant", "GET", "/v1/cx?by=variant&experiment=most&since=2020-01-01")
    yield Ask("satisfaction by segment", "GET", "/v1/cx?by=segment&since=2020-01-01")
    yield Ask("models", "GET", "/v1/models")
    yield Ask("preview of a model", "GET", f"/v1/models/{version}/preview")
    yield Ask("promote a model", "POST", f"/v1/models/{version}/promote")
    yield Ask("openapi.json", "GET", "/openapi.json")
    yield Ask("docs", "GET", "/docs")


def _of_lists(offer_id: str) -> Iterator[Ask]:
    excluded = ",".join(_EXCLUDED)
    categories = "&".join(f"category=none{place}" for place in range(20))
    for kind in ("content", "offers"):
        what = f"{kind}, longest list"
        yield Ask(what, "GET", f"/v1/customers/{HEAVY}/recommendations/{kind}?{_WIDEST}&exclude={excluded}")
        yield Ask(
            f"{kind}, nothing fits",
            "GET",
            f"/v1/customers/{HEAVY}/recommendations/{kind}?{_WIDEST}&{categories}",
        )
        page = f"/v1/customers/{HEAVY}/recommendations/{kind}?{_WIDEST}&placement=p6"
        yield Ask(f"{kind}, last of six placements", "GET", page)
        for name, customers in (
            ("known", [f"c{place:04}" for place in range(MAX_CUSTOMERS, 0, -1)]),
            ("strangers", [f"stranger-{place}" for place in range(MAX_CUSTOMERS)]),
        ):
            for n_customers in (MAX_CUSTOMERS, MAX_SHOWN // 100):
                body = {"customer_ids": customers[:n_customers], "kind": kind.rstrip("s")} | _MOST
                body |= {"limit": MAX_SHOWN // n_customers, "exclude": _EXCLUDED, "placement": "many"}
                yield Ask(f"{n_customers} {name}, {kind}", "POST", "/v1/recommendations", body)
        done = [{"type": "click", "item_id": f"a{place + 1:04}"} for place in range(200)]
        visitor = {"interactions": done, "kind": kind.rstrip("s"), **_MOST, "exclude": _EXCLUDED}
        yield Ask(f"visitor, {kind}", "POST", "/v1/sessions/recommendations", visitor)
        yield Ask(f"trending {kind}", "GET", f"/v1/trending?kind={kind.rstrip('s')}&limit=100&{categories}")
    yield Ask("similar items", "GET", "/v1/items/a0001/similar?limit=100")
    yield Ask("explanation", "GET", f"/v1/customers/{HEAVY}/offers/{offer_id}/explanation?placement=p6")
    yield Ask("decisions", "GET", f"/v1/customers/{HEAVY}/decisions?limit=100")


def _of_events() -> Iterator[Ask]:
    spare = MAX_BODY_BYTES // MAX_EVENTS - 400
    few = {f"k{place}": "x" for place in range(20)} | {"text": "y" * max(0, spare - 250)}
    wide = [
        _an_event(20_000 + place, "click", f"many-{place}") | {"properties": few}
        for place in range(MAX_EVENTS)
    ]
    yield Ask("1,000 events of 1 MB", "POST", "/v1/events", {"events": wide}, expected=(202,))
    cloud = [
        {
            "specversion": "1.0",
            "id": f"cloud-{place}",
            "source": "bank",
            "type": "click",
            "subject": f"many-{place}",
            "time": datetime.now(UTC).isoformat(),
            "data": {"item_id": f"a{place % 400 + 1:04}"},
        }
        for place in range(MAX_EVENTS)
    ]
    batch = "application/cloudevents-batch+json"
    yield Ask("1,000 CloudEvents", "POST", "/v1/events", cloud, media_type=batch, expected=(202, 415, 422))
    track = [
        {
            "type": "track",
            "messageId": f"track-{place}",
            "userId": f"many-{place}",
            "event": "Product Viewed",
            "timestamp": datetime.now(UTC).isoformat(),
            "properties": {"product_id": f"a{place % 400 + 1:04}"},
        }
        for place in range(MAX_EVENTS)
    ]
    yield Ask("1,000 track calls", "POST", "/v1/events/segment", {"batch": track}, expected=(202,))
    wrong = [{"event_id": "e", "type": "?" * 300, "nothing": 1} for _ in range(MAX_EVENTS)]
    yield Ask("1,000 wrong events", "POST", "/v1/events", {"events": wrong}, expected=(422,))


def _of_records() -> Iterator[Ask]:
    tags = [f"tag {place}" for place in range(60)]
    items = [_an_item(place) | {"item_id": f"other-{place}", "tags": tags} for place in range(MAX_ITEMS)]
    yield Ask(f"{MAX_ITEMS} items", "POST", "/v1/items", {"items": items})
    offers = [_an_offer(place) for place in range(MAX_ITEMS)]
    yield Ask(f"{MAX_ITEMS} offers to be approved", "POST", "/v1/items", {"items": offers})
    wrong = [{"kind": "x"}] * MAX_ITEMS
    yield Ask(f"{MAX_ITEMS} wrong items", "POST", "/v1/items", {"items": wrong}, expected=(422,))
    texts = {f"name{place}": "z" * 400 for place in range(100)}
    yield Ask("customer's record", "PUT", "/v1/customers/most", {"attributes": texts}, expected=(201, 422))
    yield Ask("portrait", "GET", f"/v1/customers/{HEAVY}/profile")
    yield Ask("export", "GET", f"/v1/customers/{HEAVY}/export")
    yield Ask("merchandising rules", "GET", "/v1/merchandising-rules")
    yield Ask("erasure", "DELETE", f"/v1/customers/{HEAVY}", expected=(202,))


def _of_refusals() -> Iterator[Ask]:
    """Bodies and targets of the largest size that say nothing."""
    most = MAX_BODY_BYTES - 64
    bodies = {
        "nested lists": b"[" * most,
        "a million numbers": b'{"events":[' + b"1," * (most // 2 - 16) + b"1]}",
        "many names": b"{" + b",".join(b'"%06x":1' % n for n in range(most // 12)) + b"}",
        "the same name again": b"{" + b",".join([b'"a":1'] * (most // 7)) + b"}",
        "escapes": b'{"events":"' + b"\\u00e9" * (most // 6 - 8) + b'"}',
        "a long number": b'{"events":' + b"9" * (most - 32) + b"}",
        "empty objects": b'{"events":[' + b"{}," * (most // 3 - 16) + b"{}]}",
    }
    for path in ("/v1/events", "/v1/recommendations", "/v1/items"):
        for name, body in bodies.items():
            if path != "/v1/events":
                body = body.replace(b'"events"', b'"items"' if path == "/v1/items" else b'"customer_ids"')
            yield Ask(f"{path}: {name}", "POST", path, body, expected=(400, 422))
    names = b",".join(b'"%06x":1' % n for n in range(most // 12))
    objects = b"[" + b",".join([b"{}"] * (most // 3 - 16)) + b"]"
    batch = "application/cloudevents-batch+json"
    more = [
        Ask("locales", "PUT", "/v1/items/most", b'{"title":{' + names + b"}}"),
        Ask("consents", "PUT", "/v1/customers/most", b'{"consents":{' + names + b"}}"),
        Ask("track calls", "POST", "/v1/events/segment", b'{"batch":' + objects + b"}"),
        Ask("CloudEvents", "POST", "/v1/events", objects, media_type=batch),
        Ask("caps", "PUT", "/v1/items/most", b'{"terms":{"caps":' + objects + b"}}"),
        Ask("variants", "PUT", "/v1/experiments/other", b'{"variants":' + objects + b"}"),
        Ask("names of a session", "POST", "/v1/sessions/recommendations", b"{" + names + b"}"),
    ]
    for ask in more:
        yield replace(ask, what=f"wrong: {ask.what}", expected=(400, 422))
    yield Ask("query of 8 KB", "GET", "/v1/trending?" + "a=1&" * 2_000, expected=(422, 414))
    headers = {"If-None-Match": " " * 30_000}
    yield Ask("header of 30 KB", "GET", content_of(HEAVY, "content", "").path, more=headers)
