"""What the OpenAPI document says beside the shapes: examples, headers, security, every problem.

In: the spec that flask-smorest keeps. Out: the same spec, complete.
"""

from __future__ import annotations

from typing import Any

from recsvc.api.access import SECURITY_SCHEMES
from recsvc.api.problems import PROBLEM_TYPE, ProblemType, problem_types
from recsvc.api.schemas import ProblemSchema
from recsvc.domain.items import ItemKind

ANY_PROBLEM = "any-problem"

ABOUT = (
    "Personalised content and offers. Every call under /v1 needs an API key with the scope that the call "
    "names, as Authorization: Bearer or as X-API-Key. Unknown, repeated or ill-formed parameters are "
    "refused, never ignored. Every error is application/problem+json (RFC 9457)."
)


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


_REQUEST_ID = _header(
    "The id of this request: yours when it matches [A-Za-z0-9-]{1,64}, else ours.", "5f0c7a9e21d84b3f"
)

LIST_HEADERS = {
    "X-Request-ID": _REQUEST_ID,
    "X-Recs-Source": _header("The rung of the ladder that answered.", "popular"),
    "X-Model-Version": _header("The model that answered, or none.", "20261122T101500Z-als-3f9a1c"),
    "Server-Timing": _header("Milliseconds that the answer took.", "app;dur=0.9"),
    "Cache-Control": _header("Whether and how long the answer may be kept.", "private, no-cache"),
    "Vary": _header("What else the answer depends on.", "Authorization, X-API-Key"),
}

SLATE_HEADERS = {
    **LIST_HEADERS,
    "ETag": _header("Send it as If-None-Match: 304 says that the list is still the answer.", '"9d2f61c0a4"'),
    "X-Recs-Source": _header("The rung of the ladder that answered.", "personalised"),
    "Server-Timing": _header("What the cache had to say, and milliseconds.", "cache;desc=hit, app;dur=0.4"),
}

CHANGE_HEADERS = {
    "X-Request-ID": _REQUEST_ID,
    "Server-Timing": LIST_HEADERS["Server-Timing"],
    "Cache-Control": _header("Whether and how long the answer may be kept.", "no-store"),
    "Vary": LIST_HEADERS["Vary"],
}

RECORD_HEADERS = {
    **CHANGE_HEADERS,
    "ETag": _header("The version: send it as If-Match to replace this one and no other.", '"9d2f61c0a4"'),
    "Cache-Control": LIST_HEADERS["Cache-Control"],
}

NOT_CHANGED = {304: "What was sent as If-None-Match is still its ETag."}

RUN_HEADERS = {
    **CHANGE_HEADERS,
    "Location": _header("Where the run can be watched.", "/v1/training-runs/5f0c7a9e21d84b3f"),
}

EXPORT_HEADERS = {
    **CHANGE_HEADERS,
    "Content-Disposition": _header("Says that this is a file.", 'attachment; filename="customer.json"'),
}

ITEM_EXAMPLE = {
    "item_id": "o3",
    "kind": "offer",
    "title": {"en": "Savings account with 3.1 %"},
    "category": "saving",
    "tags": ["account"],
    "url": "/offers/o3",
    "valid_from": "2026-11-01T00:00:00Z",
    "valid_to": "2026-12-31T23:00:00Z",
    "channels": ["web", "mobile"],
    "status": "live",
    "terms": {
        "value": "40.00",
        "currency": "EUR",
        "risk_class": 1,
        "disclosures": [{"id": "rate", "version": 2, "text": {"en": "The rate may change at any time."}}],
    },
}

RULE_EXAMPLE = {
    "rule_id": "autumn-saving",
    "action": "boost",
    "category": "saving",
    "kind": "content",
    "channels": ["web", "mobile"],
    "placements": ["home"],
    "starts_at": "2026-11-23T00:00:00Z",
    "ends_at": "2026-11-30T00:00:00Z",
    "factor": 3.0,
    "note": "The week of saving",
}

RUN_REQUEST_EXAMPLE = {"model": "als", "factors": 64, "iterations": 15, "promote": "if_better"}

RUN_EXAMPLE = {
    "run_id": "5f0c7a9e21d84b3f",
    "request": {
        "model": "als",
        "factors": 64,
        "iterations": 15,
        "regularization": None,
        "alpha": None,
        "seed": 1,
        "since": None,
        "until": None,
        "name": None,
        "time_budget_seconds": None,
        "promote": "if_better",
    },
    "state": "running",
    "stage": "fit",
    "progress": 0.82,
    "asked_by": "k_3f9a1c",
    "asked_at": "2026-11-22T10:20:00Z",
    "started_at": "2026-11-22T10:20:01Z",
    "heartbeat_at": "2026-11-22T10:20:41Z",
    "finished_at": None,
    "attempt": 1,
    "retried_as": None,
    "is_cancelling": False,
    "version": None,
    "promoted": False,
    "reasons": [],
    "error": None,
    "log": ["read", "prepare", "select", "fit als", "fit"],
}

CUSTOMER_EXAMPLE = {
    "customer_id": "c1",
    "attributes": {"age": 34, "city": "Graz"},
    "locale": "en",
    "consents": {"personalisation": True, "marketing": ["web", "email"]},
    "suitability": {"client_type": "retail", "max_risk_class": 3, "expires_at": "2027-11-22T00:00:00Z"},
}

RECEIPT_EXAMPLE = {
    "receipt_id": "er_5f0c7a9e21d84b3f",
    "requested_at": "2026-11-22T10:20:00Z",
    "checked_at": "2026-11-22T10:20:01Z",
    "removed": {"events": 412, "customer": 1, "exposures": 2, "identities": 1, "slates": 2, "bundles": 1},
}

EVENT_EXAMPLE = {
    "event_id": "0b5f6c1e-7d53-4a52-9a55-1c2f4be0a1d7",
    "type": "click",
    "customer_id": "c1",
    "item_id": "a7",
    "occurred_at": "2026-11-20T10:15:00Z",
    "channel": "web",
    "slate_id": "s_5f0c7a9e21d84b3f",
    "position": 1,
    "placement": "home",
}


def _item(item_id: str, title: str, category: str) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "position": 1,
        "score": 0.83,
        "title": title,
        "category": category,
        "url": f"/articles/{item_id}",
        "reason": {
            "code": "because_you_read",
            "text": "Because you looked at “Your first budget”",
            "because": ["a2"],
        },
        "propensity": 1.0,
        "explored": False,
        "rules": [],
    }


def _slate(kind: ItemKind, item: dict[str, Any]) -> dict[str, Any]:
    return {
        "slate_id": "s_5f0c7a9e21d84b3f",
        "customer_id": "c1",
        "kind": kind.value,
        "channel": "web",
        "placement": "home",
        "locale": "en",
        "items": [item],
        "source": "personalised",
        "model_version": "20261122T101500Z-als-3f9a1c",
        "policy_version": "0d7be3a4c512",
        "generated_at": "2026-11-22T10:20:00Z",
        "expires_at": "2026-11-22T10:25:00Z",
        "experiment": None,
        "degraded": [],
    }


SLATE_EXAMPLES = {
    ItemKind.CONTENT: _slate(ItemKind.CONTENT, _item("a7", "Three months of reserves", "saving")),
    ItemKind.OFFER: _slate(
        ItemKind.OFFER,
        {
            **_item("o3", "Savings account with 3.1 %", "saving"),
            "url": "/offers/o3",
            "priority": None,
            "disclosures": [{"id": "rate", "version": 2, "text": "The rate may change at any time."}],
            "valid_to": "2026-12-31T23:00:00Z",
        },
    ),
}

ITEM_LIST_EXAMPLE = {
    "items": [{**_item("a7", "Three months of reserves", "saving"), "reason": None}],
    "source": "popular",
    "model_version": "20261122T101500Z-als-3f9a1c",
    "generated_at": "2026-11-22T10:20:00Z",
}

READINESS_EXAMPLE = {
    "ready": True,
    "degraded": True,
    "reasons": ["redis"],
    "model": {"version": "20261122T101500Z-als-3f9a1c", "refused": []},
    "redis": "down",
    "store": "up",
    "live": {"sequence": 48213, "behind": 0},
}


def describe(spec: Any) -> None:
    """Add to the spec what no view says."""
    spec.options["info"] = {
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    spec.components.schemas.pop("PaginationMetadata")  # flask-smorest adds it to every document.
    spec.options["servers"] = [{"url": "/"}]
    for name, scheme in SECURITY_SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    for kind in problem_types():
        spec.components.response(kind.slug, _documented(kind))
    spec.components.response(ANY_PROBLEM, _any_problem())


def _any_problem() -> dict[str, Any]:
    return {
        "description": "Any other problem.",
        "headers": {"X-Request-ID": _REQUEST_ID},
        "content": {PROBLEM_TYPE: {"schema": ProblemSchema}},
    }


def _documented(kind: ProblemType) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        "instance": "/v1/customers/c1/recommendations/content",
        "request_id": "5f0c7a9e21d84b3f",
    }
    if kind.slug == "validation-error":
        rule = "must be a whole number from 1 to 100, in plain digits"
        example["errors"] = [{"pointer": "query/limit", "detail": rule}]
    headers = {name: _header("What to do next.", value) for name, value in kind.headers}
    return {
        "description": kind.title,
        "headers": {"X-Request-ID": _REQUEST_ID, **headers},
        "content": {PROBLEM_TYPE: {"schema": ProblemSchema, "example": example}},
    }
