"""Examples of models as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any

_CHAMPION = "20261122T101500Z-blend-3f9a1c"
_CHALLENGER = "20261129T101500Z-als-77b0e2"

_COMPARED = {"candidate": 0.118, "champion": 0.121, "change": -0.025, "low": -0.061, "high": 0.012}
_REASON = "ndcg@20 0.1180 against 0.1210, -2.5% (-6.1% to +1.2%): it may be worse, as far as can be told"

GATE_EXAMPLE: dict[str, Any] = {
    "version": _CHALLENGER,
    "champion": _CHAMPION,
    "decision": "hold",
    "reasons": [{"code": "primary_uncertain", "text": f"{_REASON}; the margin is -2.0%"}],
    "basis": "the champion as it serves: its data ended at 2026-11-22 09:58, before what it is judged on",
    "holdout": "first-time interactions from 2026-11-26 07:10 on",
    "n_customers": 1841,
    "metric": "ndcg@20",
    "primary": _COMPARED,
    "guardrails": [
        {
            "name": "coverage",
            "candidate": 0.61,
            "champion": 0.64,
            "limit": 0.448,
            "holds": True,
            "note": "share of the items on anybody's first twenty",
        }
    ],
    "segments": [{"segment": "young", "n_customers": 412, "compared": _COMPARED, "holds": True}],
    "personas": [
        {
            "name": "a reader of saving",
            "history": ["a2", "a7", "a9"],
            "expect_categories": ["saving"],
            "candidate": 0.6,
            "champion": 0.5,
            "wanted": 0.2,
            "holds": True,
        }
    ],
}

_METRICS = {"ndcg@20": {"value": 0.121, "low": 0.115, "high": 0.127}}

SHELF_EXAMPLE: dict[str, Any] = {
    "champion": _CHAMPION,
    "challenger": _CHALLENGER,
    "models": [
        {
            "version": _CHALLENGER,
            "alias": "challenger",
            "family": "als",
            "name": "sunday",
            "created_at": "2026-11-29T10:15:00Z",
            "metrics": _METRICS,
            "decision": "hold",
            "problem": None,
        },
        {
            "version": _CHAMPION,
            "alias": "champion",
            "family": "blend",
            "name": "first",
            "created_at": "2026-11-22T10:15:00Z",
            "metrics": _METRICS,
            "decision": "promote",
            "problem": None,
        },
    ],
}

MODEL_EXAMPLE: dict[str, Any] = {
    "version": _CHALLENGER,
    "alias": "challenger",
    "family": "als",
    "name": "sunday",
    "created_at": "2026-11-29T10:15:00Z",
    "seed": 1,
    "data_window": {"since": "2026-08-31T00:00:04Z", "until": "2026-11-29T10:14:31Z"},
    "rows": {"customers": 5000, "items": 640, "interactions": 402118, "pairs": 120304},
    "parts": [{"family": "als", "weight": 1.0, "parameters": {"n_factors": 16, "confidence": 40.0}}],
    "policy_version": "0d7be3a4c512",
    "holdout": "first-time interactions from 2026-11-26 07:10 on",
    "metrics": {"als": _METRICS, "popularity": _METRICS},
    "gate": GATE_EXAMPLE,
}

ALIASES_EXAMPLE: dict[str, Any] = {
    "champion": _CHALLENGER,
    "challenger": None,
    "former_champions": [_CHAMPION],
}

_SHOWN = {"item_id": "a7", "title": "Three months of reserves", "category": "saving"}

PREVIEW_EXAMPLE: dict[str, Any] = {
    "version": _CHALLENGER,
    "champion": _CHAMPION,
    "catalogue_revision": 318,
    "n_customers": 30,
    "overlap": 0.71,
    "n_changed": 27,
    "offers": [{"name": "o3", "title": "Savings account with 3.1 %", "candidate": 19, "champion": 13}],
    "categories": [{"name": "saving", "title": None, "candidate": 24, "champion": 22}],
    "segments": GATE_EXAMPLE["segments"],
    "personas": [
        {"name": "a reader of saving", "history": [_SHOWN], "candidate": [_SHOWN], "champion": [_SHOWN]}
    ],
}
