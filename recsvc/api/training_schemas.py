"""The shapes of training runs: what may be asked for, and what is told of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from recsvc.api.fields import WholeNumber
from recsvc.api.record_fields import Moment, Number, Whole, short_text
from recsvc.api.schemas import AnswerSchema, QuerySchema
from recsvc.domain.training_runs import AUTO, FAMILY_SETTINGS, MAX_NAME_CHARS, RANGES, RunState

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_STATES = ", ".join(RunState)


def _said(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, **more}


class DayOrMoment(Moment):
    """A moment with its offset, or a day, which stands for its beginning in UTC."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any
    ) -> datetime:
        if type(value) is str and _DAY.fullmatch(value):
            try:
                return datetime.fromisoformat(value).replace(tzinfo=UTC)
            except ValueError as error:
                raise ValidationError("must be a day of the calendar, such as 2026-11-22") from error
        return super()._deserialize(value, attr, data, **options)


def _whole(name: str, description: str) -> Whole:
    least, most = RANGES[name]
    return Whole(int(least), int(most), allow_none=True, metadata=_said(description))


def _number(name: str, description: str) -> Number:
    least, most = RANGES[name]
    return Number(least, most, allow_none=True, metadata=_said(description))


class TrainingRequestSchema(AnswerSchema):
    """What to train. Everything may be left out; null is the same as left out."""

    model = fields.String(
        allow_none=True,
        validate=validate.OneOf(
            (AUTO, *FAMILY_SETTINGS), error=f"must be {AUTO} or one of {', '.join(FAMILY_SETTINGS)}"
        ),
        metadata=_said(f"A model family, or {AUTO}: all of them compete, and a blend."),
    )
    factors = _whole("factors", "Factors of a customer and an item. Of als, spectral, bpr, lmf.")
    iterations = _whole("iterations", "Sweeps of the fit. Of als, bpr, lmf.")
    regularization = _number("regularization", "How much is shrunk. Of als, ease, bpr, lmf.")
    alpha = _number("alpha", "Confidence of what was taken, against what was not. Of als, bpr, lmf.")
    seed = _whole("seed", "Seed of chance; the same one on the same history gives the same model.")
    since = DayOrMoment(allow_none=True, metadata=_said("Learn from then on: a day in UTC, or a moment."))
    until = DayOrMoment(allow_none=True, metadata=_said("Learn from what was before."))
    name = short_text(MAX_NAME_CHARS, allow_none=True, metadata=_said("A name to remember it by."))
    time_budget_seconds = _number("time_budget_seconds", "End the search of settings after so long.")
    promote = fields.String(
        allow_none=True,
        validate=validate.OneOf(("if_better", "never"), error="must be if_better or never"),
        metadata=_said("Whether the bundle becomes champion when it is fit to be."),
    )


class TrainingRunSchema(AnswerSchema):
    """One training run, as far as it has come."""

    run_id = fields.String(required=True)
    request = fields.Nested(TrainingRequestSchema, required=True)
    state = fields.Enum(RunState, by_value=fields.String, required=True, metadata=_said(f"One of {_STATES}."))
    stage = fields.String(required=True, allow_none=True, metadata=_said("What it is at."))
    progress = fields.Float(required=True, metadata=_said("How far it has come, 0 to 1."))
    asked_by = fields.String(required=True, metadata=_said("The id of a key, command line, or schedule."))
    asked_at = fields.AwareDateTime(required=True)
    started_at = fields.AwareDateTime(required=True, allow_none=True)
    heartbeat_at = fields.AwareDateTime(
        required=True, allow_none=True, metadata=_said("When its worker gave its last sign of life.")
    )
    finished_at = fields.AwareDateTime(required=True, allow_none=True)
    attempt = fields.Integer(required=True, metadata=_said("1, or more when one before was interrupted."))
    retried_as = fields.String(
        required=True, allow_none=True, metadata=_said("The run that tries again what was interrupted.")
    )
    is_cancelling = fields.Boolean(required=True, metadata=_said("Whether it was asked to end."))
    version = fields.String(required=True, allow_none=True, metadata=_said("The bundle it published."))
    promoted = fields.Boolean(required=True, metadata=_said("Whether that became champion."))
    reasons = fields.List(fields.String(), required=True, metadata=_said("Why it was promoted or held."))
    error = fields.String(required=True, allow_none=True, metadata=_said("Why it failed."))
    log = fields.List(fields.String(), required=True, metadata=_said("The last lines it said."))


class TrainingRunsSchema(AnswerSchema):
    """The runs that were asked for last, newest first."""

    runs = fields.List(fields.Nested(TrainingRunSchema), required=True)


class TrainingRunsQuery(QuerySchema):
    """How many runs to list."""

    limit = WholeNumber(
        minimum=1,
        maximum=100,
        load_default=20,
        metadata=_said("How many runs at most.", default=20, example=5),
    )
