"""For marketers: the shelf of models. In: a version. Out: its facts, or the aliases after a change."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

from recsvc.api.bodies import JSON
from recsvc.api.documents import CHANGE_HEADERS
from recsvc.api.endpoints import Answered, Endpoints, services
from recsvc.api.long_reads import LONG_READS
from recsvc.api.model_examples import ALIASES_EXAMPLE, MODEL_EXAMPLE, PREVIEW_EXAMPLE, SHELF_EXAMPLE
from recsvc.api.model_schemas import AliasesSchema, ModelSchema, ModelShelfSchema, PreviewSchema
from recsvc.api.problems import BUNDLE_REFUSED, CONFLICT, NOT_FOUND, REPORT_NOT_READY
from recsvc.domain.access import Scope
from recsvc.serving.models_desk import ModelFacts

models = Endpoints("models", "Look at models, promote one, and roll back.")

_MODELS = "/v1/models"
_MODEL = f"{_MODELS}/<version>"
_SHOWN = ("version", "family", "name", "created_at", "seed", "data_window", "rows", "parts")
_JUDGED = ("policy_version", "holdout", "metrics")


@models.get(
    _MODELS,
    requires=Scope.MODELS_PROMOTE,
    answers=ModelShelfSchema,
    headers=CHANGE_HEADERS,
    example=SHELF_EXAMPLE,
)
def get_models() -> Response:
    """Every model version, newest first, and which one serves."""
    return _answer(services().models.shelf())


@models.get(
    _MODEL,
    requires=Scope.MODELS_PROMOTE,
    answers=ModelSchema,
    headers=CHANGE_HEADERS,
    example=MODEL_EXAMPLE,
    problems=(NOT_FOUND, BUNDLE_REFUSED),
)
def get_model(version: str) -> Response:
    """What a version was made of, how good it was, and what the promotion gate found of it.

    `champion` and `challenger` are versions too.
    """
    return _answer(_facts(services().models.facts(version)))


@models.get(
    f"{_MODEL}/preview",
    requires=Scope.MODELS_PROMOTE,
    answers=PreviewSchema,
    headers=CHANGE_HEADERS,
    example=PREVIEW_EXAMPLE,
    problems=(NOT_FOUND, BUNDLE_REFUSED, REPORT_NOT_READY),
)
def preview_model(version: str) -> Response:
    """What would change if a version took the champion's place.

    Some customers, always the same, are asked for their first ten items of each kind under both models. What
    is live counts in neither. Winners and losers by segment come from the promotion gate's report. Another
    process makes it, and it is kept for ten times as long as that took, whatever the catalogue does
    meanwhile; until it is there, and while this worker makes or waits for another such answer, the answer is
    503 with Retry-After.
    """
    return _answer(services().models.preview(version, LONG_READS.place()))


@models.change(
    "POST",
    f"{_MODEL}/promote",
    requires=Scope.MODELS_PROMOTE,
    answer=Answered(200, AliasesSchema, CHANGE_HEADERS, ALIASES_EXAMPLE),
    problems=(NOT_FOUND, BUNDLE_REFUSED),
)
def promote_model(version: str) -> Response:
    """Have a version serve, after a full check of its bytes. Every worker follows within seconds.

    The promotion gate is not asked again: whoever calls this has seen its report. A bundle that fails its
    checks, or that knows a customer who was erased since its training began, is refused, and what serves goes
    on.
    """
    return _answer(services().models.promote(version))


@models.change(
    "POST",
    f"{_MODELS}/rollback",
    requires=Scope.MODELS_PROMOTE,
    answer=Answered(200, AliasesSchema, CHANGE_HEADERS, ALIASES_EXAMPLE),
    problems=(CONFLICT,),
)
def roll_back_model() -> Response:
    """Have the champion before this one serve again, or the last one before it that is fit to serve."""
    return _answer(services().models.roll_back())


def _facts(facts: ModelFacts) -> dict[str, Any]:
    manifest = facts.manifest
    shown = {name: getattr(manifest, name) for name in (*_SHOWN, *_JUDGED)}
    return {**shown, "alias": facts.alias, "gate": facts.gate}


def _answer(body: Any) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(body), mimetype=JSON, headers=headers)
