"""Examples of experiments and identities for the OpenAPI document. In: nothing. Out: bodies and answers."""

from __future__ import annotations

from typing import Any

EXPERIMENT_EXAMPLE: dict[str, Any] = {
    "variants": [
        {"key": "control", "model_version": "20261122T101500Z-als-3f9a1c", "weight": 50},
        {
            "key": "varied",
            "model_version": "20261122T101500Z-als-3f9a1c",
            "weight": 50,
            "policy": {"calibration": 0.25},
        },
    ],
    "coverage": 0.5,
    "layer": "home",
    "layer_range": [0, 5000],
    "status": "running",
    "end": "2026-12-31T00:00:00Z",
    "hypothesis": "Less calibration brings more clicks.",
    "primary_metric": "click_through",
    "secondary": ["conversion"],
    "guardrails": [{"metric": "complaints", "margin": 0.002, "direction": "lower"}],
    "alpha": 0.05,
    "power": 0.8,
    "minimum_effect": 0.01,
    "analysis": "sequential",
}

EXPERIMENT_ANSWERED: dict[str, Any] = {
    **EXPERIMENT_EXAMPLE,
    "key": "calibration-1",
    "salt": "calibration-1:1",
    "layer_salt": "layer@home",
    "phase": 1,
    "begun_at": "2026-11-22T10:20:00Z",
    "paused_at": None,
    "stopped_at": None,
    "paused_because": None,
    "updated_at": "2026-11-22T10:20:00Z",
    "is_on": True,
}

ASSIGNMENT_EXAMPLE = {
    "variant": "varied",
    "bucket": 6021,
    "layer_bucket": 417,
    "unit": "c1",
    "is_on": True,
    "held_out": False,
}

IDENTITY_EXAMPLE = {
    "identity_id": "anonymous-5f0c7a9e",
    "customer_id": "c1",
    "unit": "anonymous-5f0c7a9e",
    "linked_at": "2026-11-22T10:20:00Z",
}
