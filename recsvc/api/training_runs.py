"""For marketers: training runs. In: what to train. Out: runs, and how far they have come."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from flask import Response, request

from recsvc.api.bodies import JSON, JsonBody
from recsvc.api.documents import CHANGE_HEADERS, RUN_EXAMPLE, RUN_HEADERS, RUN_REQUEST_EXAMPLE
from recsvc.api.endpoints import Answered, BodyForm, Endpoints, request_record, services
from recsvc.api.problems import CONFLICT, NOT_FOUND, RATE_LIMITED
from recsvc.api.records import load_body, training_request_of
from recsvc.api.run_events import EVENT_STREAM, Snapshot, StreamPlaces, events_of, most_streams
from recsvc.api.training_schemas import (
    TrainingRequestSchema,
    TrainingRunSchema,
    TrainingRunsQuery,
    TrainingRunsSchema,
)
from recsvc.domain.access import Scope
from recsvc.domain.training_runs import RunState, TrainingRun
from recsvc.errors import FieldError, InvalidRequestError

training_runs = Endpoints("training_runs", "Train a model, and watch it being trained.")

_RUNS = "/v1/training-runs"
_RUN = f"{_RUNS}/<run_id>"
_KEY = re.compile(r"[!-~]{1,200}")
_PLACES = StreamPlaces(time.monotonic)


@training_runs.change(
    "POST",
    _RUNS,
    requires=Scope.TRAIN_RUN,
    takes=(BodyForm(JSON, TrainingRequestSchema, RUN_REQUEST_EXAMPLE),),
    answer=Answered(202, TrainingRunSchema, RUN_HEADERS, RUN_EXAMPLE),
    problems=(CONFLICT, RATE_LIMITED),
)
def post_training_run(body: JsonBody) -> Response:
    """Ask for a training run. It begins within seconds; Location says where it can be watched.

    One run is open at a time: while it is, another is a conflict, with its Location. With an Idempotency-Key
    the same request finds the run that it asked for before, whatever has become of that.
    """
    wanted = training_request_of(load_body(TrainingRequestSchema(), body.value))
    asked_by = request_record().key_id or "anybody"
    run = services().training_runs.ask(wanted, asked_by=asked_by, idempotency_key=_idempotency_key())
    return _answer(run, 202)


@training_runs.get(
    _RUNS,
    requires=Scope.TRAIN_RUN,
    answers=TrainingRunsSchema,
    query=TrainingRunsQuery,
    headers=CHANGE_HEADERS,
    example={"runs": [RUN_EXAMPLE]},
)
def get_training_runs(query: Mapping[str, Any]) -> Response:
    """The runs that were asked for last, newest first."""
    runs = [_shown(run) for run in services().training_runs.listed(query["limit"])]
    return Response(msgspec.json.encode({"runs": runs}), mimetype=JSON, headers={"Cache-Control": "no-store"})


@training_runs.get(
    _RUN,
    requires=Scope.TRAIN_RUN,
    answers=TrainingRunSchema,
    headers=CHANGE_HEADERS,
    example=RUN_EXAMPLE,
    problems=(NOT_FOUND,),
)
def get_training_run(run_id: str) -> Response:
    """The run as far as it has come."""
    return _answer(services().training_runs.get(run_id), 200)


@training_runs.change(
    "POST",
    f"{_RUN}/cancel",
    requires=Scope.TRAIN_RUN,
    answer=Answered(202, TrainingRunSchema, RUN_HEADERS, RUN_EXAMPLE),
    problems=(NOT_FOUND, CONFLICT),
)
def cancel_training_run(run_id: str) -> Response:
    """End the run, whatever stage it is at: within seconds it is cancelled, and nothing of it is left."""
    return _answer(services().training_runs.cancel(run_id), 202)


@training_runs.get(
    f"{_RUN}/events",
    requires=Scope.TRAIN_RUN,
    answers={"type": "string"},
    headers=CHANGE_HEADERS,
    media_type=EVENT_STREAM,
    problems=(NOT_FOUND,),
)
def get_training_run_events(run_id: str) -> Response:
    """The run as server-sent events: one now, and one each time it has changed, until it ends.

    A stream ends after a minute; a client comes back with Last-Event-ID, as browsers do by themselves. Two
    streams may be open in each worker process; one more is answered 503, and may poll the run.
    """
    desk = services().training_runs  # Read within the stream, when no request is at hand any more.

    def read() -> Snapshot:
        run = desk.get(run_id)
        return Snapshot(msgspec.json.encode(_shown(run)), run.state.is_open)

    read()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":
        return Response(mimetype=EVENT_STREAM, headers=headers)
    last_seen = request.headers.get("Last-Event-ID", "")
    leave = _PLACES.take(most_streams(services().settings))

    def stream() -> Iterator[bytes]:
        try:
            yield from events_of(read, last_seen=last_seen, pause=time.sleep, monotonic=time.monotonic)
        finally:
            leave()

    response = Response(stream(), mimetype=EVENT_STREAM, headers=headers)
    response.call_on_close(leave)
    return response


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        rule = "must be 1 to 200 visible ASCII characters"
        raise InvalidRequestError([FieldError("header/Idempotency-Key", rule)])
    return key


def _answer(run: TrainingRun, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 202:
        headers["Location"] = f"{_RUNS}/{run.run_id}"
    return Response(msgspec.json.encode(_shown(run)), status, mimetype=JSON, headers=headers)


def _shown(run: TrainingRun) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(run)
    shown["request"]["name"] = run.request.name or None
    promotes, _ = shown.pop("promotes"), shown.pop("settled_as")
    return {**shown, "promoted": promotes and run.state is RunState.SUCCEEDED}
