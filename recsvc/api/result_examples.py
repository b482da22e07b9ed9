"""What the OpenAPI document shows of results and plans. In: nothing. Out: examples in their shapes."""

from __future__ import annotations

from typing import Any

REPORT_EXAMPLE: dict[str, Any] = {
    "experiment": "home-als",
    "phase": 2,
    "status": "running",
    "analysis": "sequential",
    "method": "confidence_sequence",
    "alpha": 0.05,
    "control": "control",
    "as_of": "2026-11-22T10:20:00Z",
    "counted_until": "2026-11-22T10:20:00Z",
    "has_ended": True,
    "checks": {
        "is_sound": True,
        "sample_ratio": {"chi2": 0.0576, "p_value": 0.8103},
        "n_customers": 10000,
        "crossed_share": 0.0,
        "n_mismatched": 0,
        "variants": [
            {
                "variant": "control",
                "weight": 50,
                "n_customers": 5012,
                "share": 0.5012,
                "n_crossed": 0,
                "n_answers": 45108,
                "n_fallbacks": 0,
                "n_mismatched": 0,
            },
            {
                "variant": "als",
                "weight": 50,
                "n_customers": 4988,
                "share": 0.4988,
                "n_crossed": 0,
                "n_answers": 44892,
                "n_fallbacks": 0,
                "n_mismatched": 0,
            },
        ],
    },
    "arms": [
        {
            "variant": "als",
            "verdict": "inconclusive",
            "sentence": "clicks differs by +0.01337 (between -0.00262 and +0.02937): "
            "chance alone may do that; more customers would tell.",
            "primary": {
                "metric": "clicks",
                "better": "higher",
                "control": {"n_customers": 5012, "mean": 0.0822},
                "treatment": {"n_customers": 4988, "mean": 0.1065},
                "difference": {
                    "estimate": 0.01337,
                    "standard_error": 0.005224,
                    "interval": {"low": -0.00262, "high": 0.02937},
                    "p_value": 0.1883,
                },
                "adjusted_p_value": 0.1883,
                "level": 0.95,
                "relative": {
                    "estimate": 0.1627,
                    "standard_error": 0.07266,
                    "interval": {"low": -0.05974, "high": 0.3852},
                    "p_value": 0.3884,
                },
                "variance_reduction": 0.2001,
                "refusal": None,
            },
            "secondary": [
                {
                    "metric": "conversion",
                    "better": "higher",
                    "control": {"n_customers": 5012, "mean": 0.0},
                    "treatment": {"n_customers": 4988, "mean": 0.0},
                    "difference": None,
                    "adjusted_p_value": None,
                    "level": None,
                    "relative": None,
                    "variance_reduction": None,
                    "refusal": "no customer of either arm differs from another",
                }
            ],
            "guardrails": [
                {
                    "variant": "als",
                    "metric": "complaints",
                    "better": "lower",
                    "margin": 0.005,
                    "state": "holds",
                    "control": {"n_customers": 5012, "mean": 0.00399},
                    "treatment": {"n_customers": 4988, "mean": 0.00401},
                    "difference": 1.92e-05,
                    "bound": 0.003556,
                    "refusal": None,
                }
            ],
            "exploratory_segments": [
                {
                    "name": "everyone",
                    "comparison": {
                        "metric": "clicks",
                        "better": "higher",
                        "control": {"n_customers": 4009, "mean": 0.08207},
                        "treatment": {"n_customers": 3990, "mean": 0.1063},
                        "difference": {
                            "estimate": 0.01347,
                            "standard_error": 0.005837,
                            "interval": {"low": -0.004321, "high": 0.03126},
                            "p_value": 0.3139,
                        },
                        "adjusted_p_value": 0.3139,
                        "level": 0.95,
                        "relative": {
                            "estimate": 0.1641,
                            "standard_error": 0.08131,
                            "interval": {"low": -0.08368, "high": 0.4119},
                            "p_value": 0.5602,
                        },
                        "variance_reduction": 0.2,
                        "refusal": None,
                    },
                }
            ],
            "exploratory_channels": [],
        }
    ],
    "refusal": None,
}

WISH_EXAMPLE: dict[str, Any] = {"primary_metric": "clicks", "relative_effect": 0.1, "weights": [50, 50]}

PLAN_EXAMPLE: dict[str, Any] = {
    "customers_per_arm": [9923, 9923],
    "customers_in_all": 19846,
    "days": 36,
    "minimum_effect": 0.01414,
    "relative_effect": 0.1,
    "alpha": 0.05,
    "power": 0.8,
    "weights": [50, 50],
    "coverage": 1.0,
    "baseline": {
        "metric": "clicks",
        "better": "higher",
        "mean": 0.1414,
        "deviation": 0.3484,
        "n_customers": 10000,
        "counted_share": 1.0,
        "customers_a_day": 555.6,
        "since": "2026-10-25T10:20:00Z",
        "until": "2026-11-22T10:20:00Z",
    },
}
