"""For whoever runs the service: does it live, can it answer. Neither needs a key, neither says a secret."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response
from werkzeug.exceptions import ServiceUnavailable

from recsvc.api.documents import READINESS_EXAMPLE
from recsvc.api.endpoints import Endpoints, services
from recsvc.api.problems import UNAVAILABLE
from recsvc.api.schemas import LivenessSchema, ReadinessSchema
from recsvc.serving.answers import HealthReport

health = Endpoints("health", "Whether the service lives and can answer.")

_UP = {True: "up", False: "down"}


@health.get("/healthz", requires=None, answers=LivenessSchema, example={"status": "ok"})
def healthz() -> Response:
    """Whether the process lives. It asks nothing else."""
    return _uncached({"status": "ok"})


@health.get(
    "/readyz",
    requires=None,
    answers=ReadinessSchema,
    example=READINESS_EXAMPLE,
    problems=(UNAVAILABLE,),
)
def readyz() -> Response:
    """Whether the process can answer, and what it has to do without."""
    report = services().health.report()
    if not report.ready:
        raise ServiceUnavailable(f"not ready: {', '.join(report.degraded) or 'nothing to show yet'}")
    return _uncached(_readiness(report))


def _readiness(report: HealthReport) -> dict[str, Any]:
    return {
        "ready": True,
        "degraded": bool(report.degraded),
        "reasons": report.degraded,
        "model": {"version": report.model_version, "refused": report.refused_bundles},
        "redis": _UP[report.redis],
        "store": _UP[report.store],
        "live": {"sequence": report.live.sequence, "behind": report.live.n_behind},
    }


def _uncached(body: dict[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(body), mimetype="application/json", headers=headers)
